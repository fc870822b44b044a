"""Interface of face detectors."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from tddfa_ros.types import FloatArray, ImageBGR


class Detector(Protocol):
    """Callable that detects faces in an image.

    All detectors return boxes of the same extent, the one that `tddfa_ros.geometry.roi.roi_from_box` expects (that of
    3DDFA_V2's FaceBoxes: from above the eyebrows to below the mouth). A detector trained on another extent corrects its
    boxes with constants documented in its module.

    Attributes:
        score_threshold: minimum score of a detection, 0..1.
        max_faces: maximum number of detections.

    Both may be changed between calls.
    """

    score_threshold: float
    max_faces: int

    @property
    def provider(self) -> str:
        """Execution provider in use, as ONNX Runtime names it (``CPUExecutionProvider``)."""
        ...

    @property
    def fallback_reason(self) -> str | None:
        """Why a requested GPU is not used, one sentence; None if it is used or was not requested."""
        ...

    def __call__(self, image: ImageBGR) -> FloatArray:
        """Detect the faces of an (H, W, 3) uint8 BGR image.

        Returns:
            (n, 5) float32 ``x0, y0, x1, y1, score``, largest first; image px, possibly beyond the border; score 0..1.
        """
        ...


def no_boxes() -> FloatArray:
    """Return an empty array of detections, (0, 5) float32."""
    return np.zeros((0, 5), np.float32)
