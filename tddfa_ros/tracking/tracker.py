"""Multi-face tracker: regress known tracks, detect new faces at intervals, recover lost ones, end old ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tddfa_ros.errors import ImageError
from tddfa_ros.face import grouped
from tddfa_ros.geometry.roi import roi_from_box
from tddfa_ros.tracking import backfill
from tddfa_ros.tracking.association import associate, iou
from tddfa_ros.tracking.camera_motion import BackgroundMotion, CameraMotion
from tddfa_ros.tracking.finder import FaceFinder
from tddfa_ros.tracking.ids import TrackIds
from tddfa_ros.tracking.reidentification import (
    ACCEPT,
    Candidate,
    is_stranger,
    learn_appearance,
    log_odds,
    quality,
    recoveries,
    without_duplicates,
)
from tddfa_ros.tracking.schedule import detection_interval, select, surviving
from tddfa_ros.tracking.track import Track
from tddfa_ros.types import LATE_S, ImageBGR, Intrinsics, check_image

if TYPE_CHECKING:
    from tddfa_ros.config import PipelineConfig, TrackingConfig
    from tddfa_ros.face import EarlierFace, TrackedFace
    from tddfa_ros.pipeline import FacePipeline

_MAX_UNDECIDED = 5  # frames in which a face that may be a lost one waits for its ID
_WEAK_ACCEPT = 2.0  # log odds that a detection with a low score continues a lost track


class FaceTracker:
    """Tracks faces in a video by regression in the previous landmarks' ROI, which costs and jitters less than detection.

    - The ROI of a track is predicted from its previous landmarks and velocity and from the motion of the camera; all tracks of a
      frame are regressed in one batch. Of many faces, `TrackingConfig.max_regressed` are regressed and the others extrapolated.
    - The detector runs in frames without a hit, in the frame in which a track is lost, and otherwise every ``detect_interval`` frames.
    - A face is reported after ``min_hits`` hits, and only in frames with a hit. A face that may be a lost one is reported up to 5 frames
      later.
    - A lost track continues on the face that fits its predicted position, its size and its appearance; after ``max_lost_s`` it ends.
    - A face that two tracks claim belongs to the one that it fits better.
    - Track IDs ("f1", "f2" ..., after the prefix of ``ids``) are never reused, not even after :meth:`reset`.

    Not thread-safe.

    Args:
        pipeline: pipeline for detection and regression.
        config: tracking options; None = those of the pipeline.
        ids: numbers the tracks; None = `TrackIds` without a prefix.
        camera_motion: measures the motion of the background; None = `CameraMotion`.

    Attributes:
        config: tracking options; may be replaced between frames.
        timings: ms per pipeline stage of the last :meth:`update`, including a :meth:`run_deferred_detection` before it.
        earlier: faces of earlier images that the last :meth:`update` has found to belong to a track, oldest first per track.
    """

    def __init__(
        self,
        pipeline: FacePipeline,
        config: TrackingConfig | None = None,
        *,
        ids: TrackIds | None = None,
        camera_motion: BackgroundMotion | None = None,
    ) -> None:
        self.config: TrackingConfig = pipeline.config.tracking if config is None else config
        self._pipeline = pipeline
        self._ids = ids or TrackIds()
        self._camera_motion: BackgroundMotion = camera_motion or CameraMotion()
        self._tracks: list[Track] = []  # oldest first
        self._stamp = -math.inf
        self._frames_since_detection = 0
        self._frames_since_check = 0
        self.timings: dict[str, float] = {}
        self._carried: dict[str, float] = {}
        self._pending: FaceFinder | None = None
        self._frames = 0  # since the start or a reset
        self.earlier: list[EarlierFace] = []

    @property
    def confirmation_frames(self) -> int:
        """Upper limit of the frames by which :attr:`earlier` goes back."""
        return self.config.min_hits + _MAX_UNDECIDED - 1

    def update(
        self,
        image: ImageBGR,
        stamp_s: float,
        intrinsics: Intrinsics | None = None,
        *,
        defer_detection: bool = False,
    ) -> list[TrackedFace]:
        """Track faces into the next image.

        Args:
            image: (H, W, 3) uint8 BGR.
            stamp_s: stamp of the image, s. An image older than the newest one by less than a second is late and ignored; a stamp
                that goes back further resets the tracker; a repeated one is treated like any other.
            intrinsics: camera intrinsics; None = the configured field of view.
            defer_detection: whether to leave a detection to :meth:`run_deferred_detection` when faces are tracked, so that they can
                be published before the detector runs.

        Returns:
            Faces with a hit in this image, oldest track first; none in a late image.

        Raises:
            ImageError: the image is unusable or the stamp is not finite; the tracks are unchanged.
        """
        if not math.isfinite(stamp_s):
            raise ImageError(f"the stamp of an image must be a finite number, not {stamp_s}")
        check_image(image)
        if stamp_s < self._stamp:
            if self._stamp - stamp_s < LATE_S:
                return []
            self.reset()
        self._stamp = stamp_s
        self._frames += 1
        self.earlier = []
        self._pending = None
        self.timings, self._carried = self._carried, {}
        finder = FaceFinder(self._pipeline, self.config, image, intrinsics, self.timings)
        self._tracks = surviving(self._tracks, stamp_s, self.config.max_lost_s)
        camera = self._camera_motion(image) if self.config.camera_motion else np.zeros(2)
        for track in self._tracks:
            track.begin_frame(camera, stamp_s)
        self._follow(finder)
        self._frames_since_detection += 1
        self._frames_since_check += 1
        nothing_seen = not any(track.seen for track in self._tracks)
        interval = detection_interval(self._tracks, stamp_s, self.config.detect_interval)
        if nothing_seen or self._frames_since_detection >= interval:
            self._frames_since_detection = 0
            if defer_detection and not nothing_seen:
                self._pending = finder
            else:
                self._search(finder)
        undecided = self._recover(finder.size)
        learn_appearance(self._tracks, stamp_s, finder.size)
        self._prune()
        return self._report(stamp_s, undecided)

    def run_deferred_detection(self) -> None:
        """Run the detection that the last :meth:`update` deferred; new faces are reported from the next image on.

        Its time is included in the :attr:`timings` of the next update.
        """
        if self._pending is None:
            return
        finder, self._pending = self._pending, None
        finder.timings = self._carried
        self._search(finder)
        self._recover(finder.size)

    def finish(self) -> list[EarlierFace]:
        """End a recording: confirm the tentative tracks that more images would have confirmed, and return their faces.

        These are tracks with ``min_hits`` hits that may be a lost one, and, in a recording with fewer images than that, those with
        a hit in every image. A number of frames of 0 means the last image.
        """
        found: list[EarlierFace] = []
        for track in self._tracks:
            if track.id is None and track.hits >= min(self.config.min_hits, self._frames):
                found += backfill.confirm(track, self._ids.next())
        return found

    def configure(self, config: PipelineConfig) -> None:
        """Apply options that can change at run time, to the pipeline too; tracks are kept."""
        self._pipeline.reconfigure(config)
        self.config = config.tracking

    def reset(self) -> None:
        """End all tracks; the numbering of IDs continues."""
        self._tracks.clear()
        self._pending = None
        self._stamp = -math.inf
        self._frames = 0
        self._camera_motion.reset()
        self._frames_since_detection = 0
        self._frames_since_check = 0

    def _follow(self, finder: FaceFinder) -> None:
        """Regress tracks in their predicted ROIs, extrapolate the others, and give each face to one track."""
        stamp, size = self._stamp, finder.size
        predicted = {id(track): track.predicted_roi(stamp) for track in self._tracks}
        limit = self.config.max_misses
        tracks = [t for t in self._tracks if not t.coasting or t.misses < limit]
        tracks = [t for t in tracks if finder.usable(predicted[id(t)])]
        chosen = select(tracks, self.config.max_regressed)
        for track in tracks:
            if track not in chosen:
                track.extrapolate(stamp)
        if not chosen:
            return
        results = finder.regress([predicted[id(track)] for track in chosen])
        found = [
            Candidate(track, *result)
            for track, result in zip(chosen, results, strict=True)
            if result is not None
        ]
        found = [c for c in found if not c.track.coasting or log_odds(c, stamp, size) > ACCEPT]
        found = [c for c in found if not is_stranger(c, stamp, size)]
        found, duplicates = without_duplicates(found, stamp, size, self.config.max_overlap)
        self._tracks = [track for track in self._tracks if track not in duplicates]
        for c in found:
            c.track.hit(c.face, c.roi, stamp)

    def _search(self, finder: FaceFinder) -> None:
        """Detect faces and start a tentative track for each that no track follows."""
        lost = any(track.lost for track in self._tracks)
        found = finder.detect(low=lost)
        boxes, scores = found[:, :4], found[:, 4]
        seen = [track for track in self._tracks if track.seen]
        rois = [track.predicted_roi(self._stamp) if track.waiting else track.roi for track in seen]
        known = np.reshape(rois, (-1, 4))
        pairs = associate(known, roi_from_box(boxes), self.config.min_iou)
        strong = scores >= self._pipeline.config.detection.score_threshold
        self._count_unconfirmed(
            seen, {id(seen[i]) for i, j in pairs if strong[j]}, {id(seen[i]) for i, _ in pairs}
        )
        owned = {j for _, j in pairs}
        wanted = [j for j in range(len(boxes)) if j not in owned and (strong[j] or lost)]
        if not wanted:
            return
        weak: list[Track] = []
        for j, result in zip(wanted, finder.align(boxes[wanted]), strict=True):
            if result is None or (iou(known, result[1][None]) > self.config.max_overlap).any():
                continue
            track = Track(*result, self._stamp)
            track.descriptor.add(result[0], quality(*result, finder.size))
            (self._tracks if strong[j] else weak).append(track)
        self._continue_on(weak, finder.size, _WEAK_ACCEPT)

    def _count_unconfirmed(
        self, seen: Sequence[Track], confirmed: set[int], doubtful: set[int]
    ) -> None:
        """Lose tracks that the detector has missed in several periodic runs: the regressor fits a face to any crop."""
        periodic = self._frames_since_check >= self.config.detect_interval
        if periodic:
            self._frames_since_check = 0
        limit = self.config.max_unconfirmed or math.inf
        for track in seen:
            if id(track) in confirmed:
                track.unconfirmed = 0
            elif periodic and id(track) not in doubtful:
                track.unconfirmed += 1
            if track.unconfirmed >= limit:
                track.lose(self.config.max_misses)

    def _recover(self, size: tuple[int, int]) -> list[Track]:
        """Continue lost tracks on faces without an ID; return those faces that are still undecided."""
        fresh = [track for track in self._tracks if track.id is None and track.seen]
        return self._continue_on(fresh, size, ACCEPT)

    def _continue_on(
        self, fresh: list[Track], size: tuple[int, int], minimum: float
    ) -> list[Track]:
        lost = [track for track in self._tracks if track.lost]
        pairs, undecided = recoveries(lost, fresh, self._stamp, size, minimum)
        for old, new in pairs:
            self.earlier += backfill.recovered(old, new)
            old.hit(new.face, new.roi, self._stamp, recovered=True)
            if new in self._tracks:
                self._tracks.remove(new)
        return undecided

    def _prune(self) -> None:
        """Count misses; a tentative track ends with its first miss."""
        for track in self._tracks:
            track.end_frame()
        self._tracks = [track for track in self._tracks if track.seen or track.id is not None]

    def _report(self, stamp: float, undecided: Sequence[Track]) -> list[TrackedFace]:
        for track in self._tracks:
            wanted = self.config.min_hits
            if track in undecided:
                wanted += _MAX_UNDECIDED
            if track.id is None and track.hits >= wanted:
                self.earlier += backfill.confirm(track, self._ids.next())
            elif track.id is None:
                track.unreported.append(track.tracked_face(stamp))
        return grouped(
            track.tracked_face(stamp)
            for track in self._tracks
            if track.seen and track.id is not None
        )
