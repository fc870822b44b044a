"""Multi-face tracker: regress known tracks, detect new faces at intervals, prune lost tracks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from tddfa_ros.errors import ImageError
from tddfa_ros.geometry.roi import roi_from_box, roi_from_landmarks
from tddfa_ros.tracking.association import associate, iou
from tddfa_ros.tracking.track import Track
from tddfa_ros.types import LATE_S, DoubleArray, ImageBGR, Intrinsics, RealArray, check_image

if TYPE_CHECKING:
    from tddfa_ros.config import PipelineConfig, TrackingConfig
    from tddfa_ros.face import Face, TrackedFace
    from tddfa_ros.pipeline import FacePipeline

REFINEMENT_DRIFT = 0.15
"""Distance of a face from its ROI center, in ROI sides, above which it is regressed again in the corrected ROI.

Beyond 0.2 the landmark error of 3DDFA_V2's mb05 doubles; with the second regression a face is tracked up to 0.6 ROI sides per frame.
"""

_MAX_DRIFT = 1.0  # ROI sides between two regressions; more is another face
_MAX_ROI = 3.0  # ROI side in units of the image's long side
_MAX_GROWTH = 2.0  # ratio of ROI sides between two regressions, either way


class FaceTracker:
    """Tracks faces in a video by regression in the previous landmarks' ROI, which costs and jitters less than detection.

    - The ROI of a track is predicted from its previous landmarks and velocity; all tracks of a frame are regressed in one batch.
    - The detector runs in frames without a hit, and otherwise every ``detect_interval`` frames for new and lost faces.
    - A face is reported after ``min_hits`` hits, and only in frames with a hit.
    - A track ends after ``max_misses`` misses. Until then a detection at its last ROI recovers it.
    - Of two tracks on one face the older is kept.
    - Track IDs ("f1", "f2" ...) are never reused, not even after :meth:`reset`.

    Not thread-safe.

    Args:
        pipeline: pipeline for detection and regression.
        config: tracking options; None = those of the pipeline.

    Attributes:
        config: tracking options; may be replaced between frames.
        timings: ms per pipeline stage of the last :meth:`update`, including a :meth:`run_deferred_detection` before it.
    """

    def __init__(self, pipeline: FacePipeline, config: TrackingConfig | None = None) -> None:
        self.config: TrackingConfig = pipeline.config.tracking if config is None else config
        self._pipeline = pipeline
        self._tracks: list[Track] = []  # oldest first
        self._last_id = 0
        self._stamp = -math.inf
        self._frames_since_detection = 0
        self.timings: dict[str, float] = {}
        self._carried: dict[str, float] = {}
        self._pending: tuple[ImageBGR, float, Intrinsics | None] | None = None

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
            defer_detection: whether to leave a periodic detection to :meth:`run_deferred_detection`, so that tracked faces can be
                published before the detector runs.

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
        self._pending = None
        self.timings, self._carried = self._carried, {}
        for track in self._tracks:
            track.begin_frame()
        self._follow(image, stamp_s, intrinsics)
        self._frames_since_detection += 1
        nothing_seen = not any(track.seen for track in self._tracks)
        if nothing_seen or self._frames_since_detection >= self.config.detect_interval:
            self._frames_since_detection = 0
            if defer_detection and not nothing_seen:
                self._pending = image, stamp_s, intrinsics
            else:
                self._search(image, stamp_s, intrinsics)
        self._merge()
        self._prune()
        return self._report(stamp_s)

    def run_deferred_detection(self) -> None:
        """Run the detection that the last :meth:`update` deferred; new faces are reported from the next image on.

        Its time is included in the :attr:`timings` of the next update.
        """
        if self._pending is None:
            return
        (image, stamp, intrinsics), self._pending = self._pending, None
        reported, self.timings = self.timings, {}
        self._search(image, stamp, intrinsics)
        self._merge()
        self._carried, self.timings = self.timings, reported

    def configure(self, config: PipelineConfig) -> None:
        """Apply options that can change at run time, to the pipeline too; tracks are kept."""
        self._pipeline.reconfigure(config)
        self.config = config.tracking

    def reset(self) -> None:
        """End all tracks; the numbering of IDs continues."""
        self._tracks.clear()
        self._pending = None
        self._stamp = -math.inf
        self._frames_since_detection = 0

    def _follow(self, image: ImageBGR, stamp: float, intrinsics: Intrinsics | None) -> None:
        """Regress every track in its predicted ROI."""
        size = image.shape[1], image.shape[0]
        predicted = [(track, track.predicted_roi(stamp)) for track in self._tracks]
        predicted = [(track, roi) for track, roi in predicted if self._usable(roi, size)]
        if not predicted:
            return
        faces = self._regress(image, [roi for _, roi in predicted], intrinsics)
        found = [
            (track, face, roi)
            for (track, _), face in zip(predicted, faces, strict=True)
            if (roi := self._accept(face, _box_roi(face.box), size)) is not None
        ]
        off = [
            i for i, (_, face, roi) in enumerate(found) if _drift(face.roi, roi) > REFINEMENT_DRIFT
        ]
        again = self._regress(image, [found[i][2] for i in off], intrinsics) if off else []
        for i, face in zip(off, again, strict=True):
            roi = self._accept(face, _box_roi(face.box), size)
            if roi is not None:
                found[i] = found[i][0], face, roi
        for track, face, roi in found:
            track.hit(face, roi, stamp)

    def _search(self, image: ImageBGR, stamp: float, intrinsics: Intrinsics | None) -> None:
        """Detect faces, recover lost tracks and start new ones."""
        size = image.shape[1], image.shape[0]
        boxes = self._pipeline.detect(image)[:, :4]
        self._collect_timings()
        boxes = boxes[[self._usable(roi, size) for roi in roi_from_box(boxes)]]
        rois = [track.roi for track in self._tracks]
        pairs = associate(np.reshape(rois, (-1, 4)), roi_from_box(boxes), self.config.min_iou)
        owner = {j: self._tracks[i] for i, j in pairs}
        self._count_unconfirmed(confirmed=list(owner.values()))
        wanted = [j for j in range(len(boxes)) if j not in owner or not owner[j].seen]
        if not wanted:
            return
        faces = self._pipeline.align(image, boxes[wanted], intrinsics)
        self._collect_timings()
        for j, face in zip(wanted, faces, strict=True):
            roi = self._accept(face, _box_roi(_span(face)), size)
            if roi is None:
                continue
            if j in owner:
                owner[j].hit(face, roi, stamp)
            else:
                self._tracks.append(Track(face, roi, stamp))

    def _count_unconfirmed(self, confirmed: Sequence[Track]) -> None:
        """End tracks that the detector has missed in several runs: the regressor fits a face to any crop."""
        for track in self._tracks:
            if track in confirmed:
                track.unconfirmed = 0
            elif track.seen:
                track.unconfirmed += 1
        limit = self.config.max_unconfirmed or math.inf
        self._tracks = [track for track in self._tracks if track.unconfirmed < limit]

    def _regress(
        self, image: ImageBGR, rois: Sequence[DoubleArray], intrinsics: Intrinsics | None
    ) -> list[Face]:
        faces = self._pipeline.regress(image, np.stack(rois), intrinsics)
        self._collect_timings()
        return faces

    def _collect_timings(self) -> None:
        for stage, ms in self._pipeline.timings.items():
            self.timings[stage] = self.timings.get(stage, 0.0) + ms

    def _accept(
        self, face: Face, roi: DoubleArray | None, size: tuple[int, int]
    ) -> DoubleArray | None:
        """Return the landmark ROI if the crop shows a face and the face is still the tracked one, else None."""
        confident = face.confidence >= self.config.min_confidence and np.isfinite(face.params).all()
        if roi is None or not confident or not self._usable(roi, size):
            return None
        growth = (roi[2] - roi[0]) / (face.roi[2] - face.roi[0])
        if not 1 / _MAX_GROWTH <= growth <= _MAX_GROWTH or _drift(face.roi, roi) > _MAX_DRIFT:
            return None
        return roi

    def _usable(self, roi: RealArray, size: tuple[int, int]) -> bool:
        """Return whether the ROI has a valid size and its center inside an image of ``size`` (width, height)."""
        x, y = (roi[0] + roi[2]) / 2, (roi[1] + roi[3]) / 2
        inside = 0 <= x <= size[0] - 1 and 0 <= y <= size[1] - 1
        return bool(inside and self.config.min_roi_px <= roi[2] - roi[0] <= _MAX_ROI * max(size))

    def _merge(self) -> None:
        """Resolve duplicate tracks of one face.

        The older track is kept. Exception: a track that recovers from misses on a face that another track has followed meanwhile
        has switched to another person, so its hit is revoked.
        """
        seen = [track for track in self._tracks if track.seen]
        if len(seen) < 2:
            return
        overlap = iou(*[np.stack([track.roi for track in seen])] * 2)
        for i, j in combinations(range(len(seen)), 2):
            older, younger = seen[i], seen[j]
            if overlap[i, j] <= self.config.max_overlap or not (older.seen and younger.seen):
                continue
            if older.coasting and not younger.coasting and younger.age > 0:
                older.revoke_hit()
            else:
                younger.revoke_hit()
                if not younger.coasting:
                    self._tracks.remove(younger)

    def _prune(self) -> None:
        """Count misses and end lost tracks; a tentative track ends with its first miss."""
        for track in self._tracks:
            track.end_frame()
        self._tracks = [
            track
            for track in self._tracks
            if track.seen or (track.id is not None and track.misses < self.config.max_misses)
        ]

    def _report(self, stamp: float) -> list[TrackedFace]:
        for track in self._tracks:
            if track.id is None and track.hits >= self.config.min_hits:
                self._last_id += 1
                track.id = f"f{self._last_id}"
        return [
            track.tracked_face(stamp)
            for track in self._tracks
            if track.seen and track.id is not None
        ]


def _span(face: Face) -> DoubleArray:
    """Bounding box (4,) of the landmarks: `Face.box` of a face that was tracked, not detected."""
    points = face.landmarks68[:, :2]
    return np.concatenate([points.min(axis=0), points.max(axis=0)]).astype(np.float64)


def _box_roi(box: RealArray) -> DoubleArray | None:
    """ROI (4,) of landmarks with a bounding box; None when they have no extent or are not finite."""
    try:
        return roi_from_landmarks(box.reshape(2, 2))
    except ImageError:
        return None


def _drift(before: RealArray, after: RealArray) -> float:
    """Distance of the centers of two ROIs (4,), in sides of the first."""
    x, y = (after - before).reshape(2, 2).mean(axis=0)
    return float(math.hypot(x, y) / (before[2] - before[0]))
