"""What every face detector looks like."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from tddfa_ros.types import FloatArray, ImageBGR


class Detector(Protocol):
    """Finds faces.

    Every detector returns boxes of one extent, the one that `tddfa_ros.geometry.roi.roi_from_box` is made for (that of
    3DDFA_V2's FaceBoxes: from above the eyebrows to below the mouth). A detector that was trained on other extents
    corrects its boxes itself, with constants that its module documents.

    Attributes:
        score_threshold: faces below are dropped, 0..1.
        max_faces: at most so many faces are returned.

    Both may be changed between calls.
    """

    score_threshold: float
    max_faces: int

    @property
    def provider(self) -> str:
        """The compute device in use, in ONNX Runtime's words (``CPUExecutionProvider``)."""
        ...

    @property
    def fallback_reason(self) -> str | None:
        """One sentence that says why a requested GPU is not used, or None."""
        ...

    def __call__(self, image: ImageBGR) -> FloatArray:
        """Return the faces of an (H, W, 3) BGR image as (n, 5) ``x0, y0, x1, y1, score``, largest first.

        Boxes are in image px and may reach over the border; scores are in 0..1.
        """
        ...


def no_boxes() -> FloatArray:
    """The answer of a detector that sees no face: (0, 5)."""
    return np.zeros((0, 5), np.float32)
