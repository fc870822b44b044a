"""FaceBoxes detector: an SSD for the CPU (Zhang et al. 2017, https://arxiv.org/abs/1708.05234), the detector of 3DDFA_V2.

Input: BGR minus :data:`MEAN`. Outputs: for each prior, four offsets and the softmax of background and face. A prior is a
square of fixed size on a grid of one of three strides; small ones are denser than their stride (anchor densification,
section 3.3 of the paper), see :data:`PRIORS`.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import cv2
import numpy as np

from tddfa_ros.detection.boxes import suppress
from tddfa_ros.detection.onnx_detector import OnnxDetector
from tddfa_ros.types import FloatArray, ImageBGR

MEAN = np.array([104, 117, 123], dtype=np.float32)
"""Subtracted from B, G, R."""

PRIORS: tuple[tuple[int, tuple[tuple[int, int], ...]], ...] = (
    (32, ((32, 4), (64, 2), (128, 1))),
    (64, ((256, 1),)),
    (128, ((512, 1),)),
)
"""Per stride: side of a prior, px, and its number per cell along each axis."""

VARIANCES = (0.1, 0.2)
NMS_IOU = 0.3
MOST_WIDTH, MOST_HEIGHT = 1080, 720
"""Larger images are downscaled to fit, as in 3DDFA_V2, unless another size is set."""

_MOST_CANDIDATES = 5000


class FaceBoxes(OnnxDetector):
    """FaceBoxes with dynamic input height and width; its boxes define the common extent of `Detector`.

    Images are never upscaled; an ``input_size`` of 0 is 3DDFA_V2's limit of 1080 x 720 px.
    """

    DEFAULT_SIZE = 0

    def __call__(self, image: ImageBGR) -> FloatArray:
        """Return (n, 5) ``x0, y0, x1, y1, score``, largest first; see `Detector`."""
        scale = self._scale(*image.shape[:2])
        height, width = (max(1, int(scale * side)) for side in image.shape[:2])
        if scale != 1:
            image = np.asarray(cv2.resize(image, (width, height)), dtype=np.uint8)
        tensor = (image.astype(np.float32) - MEAN).transpose(2, 0, 1)[None]
        offsets, probabilities = self._session.run(
            {self._input: np.ascontiguousarray(tensor)},
            self._session.output_names[:2],
        )
        faces = probabilities[0, :, 1]
        best = np.flatnonzero(faces > self.score_threshold)
        if len(best) > _MOST_CANDIDATES:
            best = best[np.argsort(-faces[best], kind="stable")[:_MOST_CANDIDATES]]
        boxes = decode(offsets[0, best], priors(height, width)[best])
        # As in 3DDFA_V2: divide by the requested scale, not by the one after rounding to whole pixels.
        boxes *= np.array([width, height, width, height], np.float32) / np.float32(scale)
        boxes = np.hstack([boxes, faces[best, None]])
        return suppress(boxes, NMS_IOU, self.max_faces, border=1.0)

    def _scale(self, height: int, width: int) -> float:
        if self.input_size:
            return min(1.0, self.input_size / max(height, width))
        return min(1.0, MOST_HEIGHT / height, MOST_WIDTH / width)


@lru_cache(maxsize=8)
def priors(height: int, width: int) -> FloatArray:
    """Return the priors (P, 4) ``cx, cy, w, h`` for an image size, in units of width and height; read-only."""
    levels = []
    for stride, squares in PRIORS:
        in_cell = np.array(  # x, y in the cell, 0..1, and the side; y is the outer loop
            [(x, y, side) for side, count in squares for y, x in product(_steps(count), repeat=2)]
        )
        y, x = np.mgrid[: -(-height // stride), : -(-width // stride)]
        cells = np.stack([x, y], axis=-1).reshape(-1, 1, 2)
        centers = (cells + in_cell[:, :2]) * stride
        sides = np.broadcast_to(in_cell[:, 2:], centers.shape)
        levels.append(np.concatenate([centers, sides], axis=-1).reshape(-1, 4))
    out = (np.concatenate(levels) / [width, height, width, height]).astype(np.float32)
    out.setflags(write=False)
    return out


def _steps(count: int) -> list[float]:
    """Return positions of priors in a cell along one axis: one at the center, or several evenly spaced from the edge."""
    return [0.5] if count == 1 else [i / count for i in range(count)]


def decode(offsets: FloatArray, squares: FloatArray) -> FloatArray:
    """Decode offsets and priors (n, 4) into boxes (n, 4) ``x0, y0, x1, y1``, in units of width and height."""
    centers = squares[:, :2] + offsets[:, :2] * np.float32(VARIANCES[0]) * squares[:, 2:]
    halves = squares[:, 2:] * np.exp(offsets[:, 2:] * np.float32(VARIANCES[1])) / 2
    return np.hstack([centers - halves, centers + halves])
