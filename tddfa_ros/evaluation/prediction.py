"""Interface between suites and methods of face alignment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.geometry.roi import roi_from_landmarks
from tddfa_ros.types import DoubleArray, FloatArray, ImageBGR, RealArray


@dataclass(frozen=True, eq=False)
class Prediction:
    """One face; values that a method does not provide are None, and their figures are omitted.

    Attributes:
        landmarks: (68, 2 or 3) iBUG-68, image px: the evaluated landmarks; of the mesh if there is one.
        rotation: (3, 3) rotation of the head, crop frame (y up) <- model; see :mod:`tddfa_ros.geometry.pose`.
        expression: coefficients by ARKit's names.
        confidence: score of being a face, in any unit; higher = more confident.
        landmark_sigma: (68,) predicted standard deviation of each landmark's x and y, image px.
    """

    landmarks: FloatArray
    rotation: DoubleArray | None = None
    expression: Mapping[str, float] | None = None
    confidence: float | None = None
    landmark_sigma: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class MapPrediction:
    """Maps that the network regressed for one face, and those of its mesh.

    Attributes:
        parsing, mesh_parsing: (h, w) uint8 class at each pixel of the image, 0 outside the ROI; the first is None without that head.
        uv_position, mesh_uv_position: (u, u, 3) image px, z nearer = larger and relative; the first is None without that head.
        uv_mask: (u, u) texels with a surface point.
        mm_per_px: mm of the head per image px.
        face_size: square root of the area of the landmarks' box, image px.
    """

    parsing: NDArray[np.uint8] | None
    mesh_parsing: NDArray[np.uint8]
    uv_position: FloatArray | None
    mesh_uv_position: FloatArray
    uv_mask: NDArray[np.bool_]
    mm_per_px: float
    face_size: float


Follower: TypeAlias = Callable[[ImageBGR, float], Mapping[str, FloatArray | None]]
"""Takes the images of a video and their times in seconds; returns the landmarks (68, 2 or 3) of the largest face, image px, or None
without a face, for each tracking mode of the method, by name."""


class Predictor(Protocol):
    """A method of face alignment.

    Attributes:
        name: heading of the report.
    """

    name: str

    def regress(self, image: ImageBGR, rois: RealArray) -> Sequence[Prediction]:
        """Regress faces in square ROIs (n, 4) ``x0, y0, x1, y1``, image px, in one pass."""
        ...

    def direct(self, image: ImageBGR, rois: RealArray) -> FloatArray | None:
        """Return landmarks (n, 68, 2), image px, of a head without a morphable model; None if there is no such head."""
        ...

    def maps(self, image: ImageBGR, rois: RealArray) -> Sequence[MapPrediction] | None:
        """Return the maps of faces in square ROIs (n, 4), image px; None if the network has no head for maps."""
        ...

    def detect(self, image: ImageBGR) -> FloatArray:
        """Detect faces in an image, (n, 4 or more) ``x0, y0, x1, y1 ...``, with boxes as in `tddfa_ros.detection.Detector`."""
        ...

    def follower(self) -> Follower:
        """Start a new video."""
        ...


def refined(
    predictor: Predictor, image: ImageBGR, roi: RealArray
) -> tuple[Prediction, DoubleArray]:
    """Regress in ``roi`` (4,), then in the ROI of the resulting landmarks; return the prediction and the second ROI."""
    first = predictor.regress(image, roi[None])[0]
    again = roi_from_landmarks(first.landmarks)
    return predictor.regress(image, again[None])[0], again
