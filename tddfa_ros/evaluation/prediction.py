"""What the suites ask of a method of face alignment, whatever it is inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from tddfa_ros.geometry.roi import roi_from_landmarks
from tddfa_ros.types import DoubleArray, FloatArray, ImageBGR, RealArray


@dataclass(frozen=True, eq=False)
class Prediction:
    """One face; what a method does not say is None, and its figures are left out.

    Attributes:
        landmarks: (68, 2 or 3) iBUG-68, image px: what the figures are about; of a mesh where there is one.
        rotation: (3, 3) rotation of the head, crop frame (y up) <- model; see :mod:`tddfa_ros.geometry.pose`.
        expression: coefficients by ARKit's names.
        confidence: that this is a face, in any unit, higher = surer.
    """

    landmarks: FloatArray
    rotation: DoubleArray | None = None
    expression: Mapping[str, float] | None = None
    confidence: float | None = None


Follower: TypeAlias = Callable[[ImageBGR, float], Mapping[str, FloatArray | None]]
"""Takes the pictures of a video and their times in seconds; says where the landmarks (68, 2 or 3) of the largest face are, image
px, or None where it sees none, for each of the method's ways to follow a face, by name."""


class Predictor(Protocol):
    """A method of face alignment.

    Attributes:
        name: heads the report.
    """

    name: str

    def regress(self, image: ImageBGR, rois: RealArray) -> Sequence[Prediction]:
        """Faces in square ROIs (n, 4) ``x0, y0, x1, y1``, image px, in one pass."""
        ...

    def direct(self, image: ImageBGR, rois: RealArray) -> FloatArray | None:
        """Landmarks (n, 68, 2), image px, from a head that knows no mesh; None where there is no such head."""
        ...

    def detect(self, image: ImageBGR) -> FloatArray:
        """Faces of a whole picture, (n, 4 or more) ``x0, y0, x1, y1 ...``, boxes as `tddfa_ros.detection.Detector` has them."""
        ...

    def follower(self) -> Follower:
        """Begin a new video."""
        ...


def refined(
    predictor: Predictor, image: ImageBGR, roi: RealArray
) -> tuple[Prediction, DoubleArray]:
    """Look twice: in ``roi`` (4,), then in the ROI of the landmarks found; also that second ROI."""
    first = predictor.regress(image, roi[None])[0]
    again = roi_from_landmarks(first.landmarks)
    return predictor.regress(image, again[None])[0], again
