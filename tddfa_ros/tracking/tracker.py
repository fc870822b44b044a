"""Faces that keep their name: follow what is known, look for newcomers, forget what is gone."""

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
from tddfa_ros.types import DoubleArray, ImageBGR, Intrinsics, RealArray, check_image

if TYPE_CHECKING:
    from tddfa_ros.config import PipelineConfig, TrackingConfig
    from tddfa_ros.face import Face, TrackedFace
    from tddfa_ros.pipeline import FacePipeline

REFINEMENT_DRIFT = 0.15
"""A face this far from the middle of its ROI, in ROI sides, is regressed again in the right ROI.

Beyond 0.2 the landmark error of 3DDFA_V2's mb05 doubles; with the second look a face is followed to 0.6 ROI sides per frame.
"""

_MOST_DRIFT = 1.0  # ROI sides from one look to the next; more is not this face
_LARGEST = 3.0  # ROI side in units of the picture's long side
_MOST_GROWTH = 2.0  # ratio of ROI sides from one look to the next, either way


class FaceTracker:
    """Follows faces through a video by regressing them again where they were, which is cheaper than detection and steadier.

    - The ROI comes from the previous landmarks, carried along with the motion; all tracks of a frame go through one batch.
    - The detector runs when no track is seen, and otherwise every ``detect_interval`` frames for newcomers and lost faces.
    - A face is reported once it was seen in ``min_hits`` frames, and only in frames where it is seen.
    - A track ends after ``max_misses`` frames without its face. Until then a detection in its place takes it up again.
    - Two tracks that end up on one face are one: the older goes on.
    - Names ("f1", "f2" ...) are never given twice, not even after :meth:`reset`.

    Not safe for use by two threads at once.

    Args:
        pipeline: does the looking.
        config: None for the pipeline's.

    Attributes:
        config: may be replaced between frames.
        timings: ms per stage of the pipeline during the last :meth:`update`, and the :meth:`run_deferred_detection` before it.
    """

    def __init__(self, pipeline: FacePipeline, config: TrackingConfig | None = None) -> None:
        self.config: TrackingConfig = pipeline.config.tracking if config is None else config
        self._pipeline = pipeline
        self._tracks: list[Track] = []  # oldest first
        self._named = 0
        self._stamp = -math.inf
        self._frames_since_search = 0
        self.timings: dict[str, float] = {}
        self._timings: dict[str, float] = {}
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
        """Faces of the next image, oldest track first.

        Args:
            image: (H, W, 3) uint8 BGR.
            stamp_s: when it was taken, seconds. One that goes back ends all tracks; one that repeats is a frame like any other.
            intrinsics: of the camera; None assumes the configured field of view.
            defer_detection: when something is tracked, leave the search for newcomers to :meth:`run_deferred_detection`, so that what is
                tracked can be published before the detector runs.

        Raises:
            ImageError: the image cannot be used, or the stamp is not a finite number. The tracks stay as they were.
        """
        if not math.isfinite(stamp_s):
            raise ImageError(f"the stamp of an image must be a finite number, not {stamp_s}")
        check_image(image)
        if stamp_s < self._stamp:
            self.reset()
        self._stamp = stamp_s
        self._pending = None
        self._timings, self._carried = self._carried, {}
        for track in self._tracks:
            track.begin_frame()
        self._follow(image, stamp_s, intrinsics)
        self._frames_since_search += 1
        nothing_seen = not any(track.seen for track in self._tracks)
        if nothing_seen or self._frames_since_search >= self.config.detect_interval:
            self._frames_since_search = 0
            if defer_detection and not nothing_seen:
                self._pending = image, stamp_s, intrinsics
            else:
                self._search(image, stamp_s, intrinsics)
        self._merge()
        self._prune()
        self.timings = self._timings
        return self._report(stamp_s)

    def run_deferred_detection(self) -> None:
        """Do the search that the last :meth:`update` left for later; newcomers are reported from the next image on.

        Its time is included in :attr:`timings` of the next image.
        """
        if self._pending is None:
            return
        (image, stamp, intrinsics), self._pending = self._pending, None
        self._timings = {}
        self._search(image, stamp, intrinsics)
        self._merge()
        self._carried = self._timings

    def configure(self, config: PipelineConfig) -> None:
        """Take over what may change while running, for the pipeline too; tracks go on."""
        self._pipeline.reconfigure(config)
        self.config = config.tracking

    def reset(self) -> None:
        """End all tracks. Names go on where they were."""
        self._tracks.clear()
        self._pending = None
        self._stamp = -math.inf
        self._frames_since_search = 0

    def _follow(self, image: ImageBGR, stamp: float, intrinsics: Intrinsics | None) -> None:
        """Look for every track where it should be now."""
        size = image.shape[1], image.shape[0]
        looks = [(track, track.predicted_roi(stamp)) for track in self._tracks]
        looks = [(track, roi) for track, roi in looks if self._worth_a_look(roi, size)]
        if not looks:
            return
        faces = self._regress(image, [roi for _, roi in looks], intrinsics)
        found = [
            (track, face, roi)
            for (track, _), face in zip(looks, faces, strict=True)
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
        """Detect; take lost tracks up again, and begin tracks for the rest."""
        size = image.shape[1], image.shape[0]
        boxes = self._pipeline.detect(image)[:, :4]
        self._collect_timings()
        boxes = boxes[[self._worth_a_look(roi, size) for roi in roi_from_box(boxes)]]
        places = [track.roi for track in self._tracks]
        pairs = associate(np.reshape(places, (-1, 4)), roi_from_box(boxes), self.config.min_iou)
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
        """Stop following what the detector has not seen for several searches: the network sees a face wherever it looks."""
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
            self._timings[stage] = self._timings.get(stage, 0.0) + ms

    def _accept(
        self, face: Face, roi: DoubleArray | None, size: tuple[int, int]
    ) -> DoubleArray | None:
        """``roi`` of the face's landmarks if this is a face, and still the one that was looked for; else None."""
        sure = face.confidence >= self.config.min_confidence and np.isfinite(face.params).all()
        if roi is None or not sure or not self._worth_a_look(roi, size):
            return None
        growth = (roi[2] - roi[0]) / (face.roi[2] - face.roi[0])
        if not 1 / _MOST_GROWTH <= growth <= _MOST_GROWTH or _drift(face.roi, roi) > _MOST_DRIFT:
            return None
        return roi

    def _worth_a_look(self, roi: RealArray, size: tuple[int, int]) -> bool:
        """Whether the ROI has a sensible size and its centre in the picture of ``size`` (width, height)."""
        x, y = (roi[0] + roi[2]) / 2, (roi[1] + roi[3]) / 2
        inside = 0 <= x <= size[0] - 1 and 0 <= y <= size[1] - 1
        return bool(inside and self.config.min_roi_px <= roi[2] - roi[0] <= _LARGEST * max(size))

    def _merge(self) -> None:
        """Resolve tracks that are on one face.

        The older goes on and the younger ends. But a track that was lost and has come up on a face that another followed all the
        while has found a stranger: it stays lost.
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
        """Count misses and end tracks; a tentative one ends with its first miss."""
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
                self._named += 1
                track.id = f"f{self._named}"
        return [
            track.tracked_face(stamp)
            for track in self._tracks
            if track.seen and track.id is not None
        ]


def _span(face: Face) -> DoubleArray:
    """(4,) bounding box of the landmarks; what `Face.box` is when the face was not detected but followed."""
    points = face.landmarks68[:, :2]
    return np.concatenate([points.min(axis=0), points.max(axis=0)]).astype(np.float64)


def _box_roi(box: RealArray) -> DoubleArray | None:
    """ROI (4,) of landmarks with this bounding box; None when they have no extent or are not finite."""
    try:
        return roi_from_landmarks(box.reshape(2, 2))
    except ImageError:
        return None


def _drift(before: RealArray, after: RealArray) -> float:
    """Distance of the centres of two ROIs (4,), in sides of the first."""
    x, y = (after - before).reshape(2, 2).mean(axis=0)
    return float(math.hypot(x, y) / (before[2] - before[0]))
