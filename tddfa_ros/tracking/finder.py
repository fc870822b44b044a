"""Faces and detections of one image, checked for use by the tracker."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tddfa_ros.errors import ImageError
from tddfa_ros.geometry.roi import roi_from_box, roi_from_landmarks
from tddfa_ros.types import DoubleArray, ImageBGR, Intrinsics, RealArray

if TYPE_CHECKING:
    from tddfa_ros.config import TrackingConfig
    from tddfa_ros.face import Face
    from tddfa_ros.pipeline import FacePipeline

REFINEMENT_DRIFT = 0.15
"""Distance of a face from its ROI center, in ROI sides, above which it is regressed again in the corrected ROI.

Beyond 0.2 the landmark error of 3DDFA_V2's mb05 doubles; with the second regression a face is tracked up to 0.6 ROI sides per frame.
"""

_MAX_DRIFT = 1.0  # ROI sides between two regressions; more is another face
_MAX_ROI = 3.0  # ROI side in units of the image's long side
_MAX_GROWTH = 2.0  # ratio of ROI sides between two regressions, either way


class FaceFinder:
    """Runs the pipeline on one image; results that cannot be a face are None.

    Args:
        pipeline: detects and regresses.
        config: tracking options.
        image: (H, W, 3) uint8 BGR.
        intrinsics: camera intrinsics; None = the configured field of view.
        timings: ms per stage; the time of each call is added.

    Attributes:
        size: width and height of the image, px.
        timings: as given; may be replaced.
    """

    def __init__(
        self,
        pipeline: FacePipeline,
        config: TrackingConfig,
        image: ImageBGR,
        intrinsics: Intrinsics | None,
        timings: dict[str, float],
    ) -> None:
        self.size = image.shape[1], image.shape[0]
        self._pipeline, self._config = pipeline, config
        self._image, self._intrinsics = image, intrinsics
        self.timings = timings

    def regress(self, rois: Sequence[DoubleArray]) -> list[tuple[Face, DoubleArray] | None]:
        """Fit a face to each ROI (4,), px; again in the ROI of its landmarks where it is far from the center.

        Returns:
            Per ROI the face and the ROI (4,) of its landmarks.
        """
        faces = self._regress(rois)
        found = [self._accept(face, face.box) for face in faces]
        off = [
            i
            for i, pair in enumerate(found)
            if pair is not None and _drift(pair[0].roi, pair[1]) > REFINEMENT_DRIFT
        ]
        again = self._regress([found[i][1] for i in off]) if off else []  # type: ignore[index]
        for i, face in zip(off, again, strict=True):
            found[i] = self._accept(face, face.box) or found[i]
        return found

    def detect(self, low: bool) -> RealArray:
        """Detect faces (n, 5) ``x0, y0, x1, y1, score``, px, if ``low`` with scores from ``low_score`` on."""
        detection = self._pipeline.config.detection
        # A fallback runs when nothing is found, which low scores would prevent.
        if low and not detection.fallback and self._config.low_score < detection.score_threshold:
            found = self._pipeline.detect(self._image, self._config.low_score)
        else:
            found = self._pipeline.detect(self._image)
        self._collect_timings()
        return found[[self.usable(roi) for roi in roi_from_box(found[:, :4])]]

    def align(self, boxes: RealArray) -> list[tuple[Face, DoubleArray] | None]:
        """Fit a face to each detection (n, 4), px; see :meth:`regress`."""
        faces = self._pipeline.align(self._image, boxes, self._intrinsics)
        self._collect_timings()
        return [self._accept(face, _span(face)) for face in faces]

    def usable(self, roi: RealArray) -> bool:
        """Return whether the ROI has a valid size and its center inside the image."""
        x, y = (roi[0] + roi[2]) / 2, (roi[1] + roi[3]) / 2
        inside = 0 <= x <= self.size[0] - 1 and 0 <= y <= self.size[1] - 1
        side = roi[2] - roi[0]
        return bool(inside and self._config.min_roi_px <= side <= _MAX_ROI * max(self.size))

    def _regress(self, rois: Sequence[DoubleArray]) -> list[Face]:
        faces = self._pipeline.regress(self._image, np.stack(rois), self._intrinsics)
        self._collect_timings()
        return faces

    def _accept(self, face: Face, box: RealArray) -> tuple[Face, DoubleArray] | None:
        """Return the face with its landmark ROI if the crop shows a face and it is still the tracked one, else None."""
        confident = face.confidence >= self._config.min_confidence
        if not confident or not np.isfinite(face.params).all():
            return None
        try:
            roi = roi_from_landmarks(box.reshape(2, 2))
        except ImageError:  # no extent, or not finite
            return None
        growth = (roi[2] - roi[0]) / (face.roi[2] - face.roi[0])
        if not 1 / _MAX_GROWTH <= growth <= _MAX_GROWTH or _drift(face.roi, roi) > _MAX_DRIFT:
            return None
        return (face, roi) if self.usable(roi) else None

    def _collect_timings(self) -> None:
        for stage, ms in self._pipeline.timings.items():
            self.timings[stage] = self.timings.get(stage, 0.0) + ms


def _span(face: Face) -> DoubleArray:
    """Bounding box (4,) of the landmarks: `Face.box` of a face that was tracked, not detected."""
    points = face.landmarks68[:, :2]
    return np.concatenate([points.min(axis=0), points.max(axis=0)]).astype(np.float64)


def _drift(before: RealArray, after: RealArray) -> float:
    """Distance of the centers of two ROIs (4,), in sides of the first."""
    x, y = (after - before).reshape(2, 2).mean(axis=0)
    return float(math.hypot(x, y) / (before[2] - before[0]))
