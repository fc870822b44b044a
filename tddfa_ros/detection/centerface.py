"""CenterFace: faces as points (Xu, Yan, Yang et al. 2019, https://arxiv.org/abs/1911.03599).

The network maps an RGB image (0..255) to maps at a quarter of its size. A face is a local maximum of the heat map; at
that cell two more maps hold ``log(height / 4), log(width / 4)`` and the centre's offset ``dy, dx`` inside the cell.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from tddfa_ros.detection.base import no_boxes
from tddfa_ros.runtime.session import OnnxSession
from tddfa_ros.types import FloatArray, ImageBGR

STRIDE = 4
"""Input pixels per map cell."""

SIZE_MULTIPLE = 32
"""Input sides must be multiples of this: the network halves them five times and adds what it upsamples again."""

NMS_IOU = 0.3
"""Boxes that overlap a better one by more than this are the same face."""


BOX_SCALE = 0.82
"""Sides of the returned boxes in units of CenterFace's own, which reach from the hairline to the chin."""

BOX_SHIFT = 0.025
"""How far the returned boxes lie below CenterFace's own, in units of the mean of width and height.

Both constants follow from 1.30, the side of the ROI around the 68 true landmarks in units of CenterFace's mean side, and
0.14, how far its centre lies lower: medians over photos of AFLW2000-3D (500; 1.28, 0.136), HELEN (110; 1.28, 0.137) and
YTF (385; 1.34, 0.147). `roi_from_box` multiplies by 1.58 and adds 0.14.
"""


class CenterFace:
    """A CenterFace model in ONNX Runtime.

    Args:
        path: the model with free height and width, as `tddfa_ros.runtime.store` keeps it.
        input_size: long side in px to which images are scaled; smaller faces need a larger one, and time grows with
            its square.
        score_threshold: faces below are dropped, 0..1.
        max_faces: at most so many faces are returned, the largest ones.
        device, threads: see `OnnxSession`.
    """

    def __init__(
        self,
        path: str | Path,
        input_size: int = 320,
        score_threshold: float = 0.5,
        max_faces: int = 20,
        device: str = "auto",
        threads: int = 1,
    ) -> None:
        self.input_size = input_size
        self.score_threshold = score_threshold
        self.max_faces = max_faces
        self._session = OnnxSession(path, device, threads)
        self._input = self._session.input_names[0]
        self._outputs = self._session.output_names[:3]  # the fourth, five landmarks, is not needed

    @property
    def provider(self) -> str:
        """See `Detector.provider`."""
        return self._session.provider

    @property
    def fallback_reason(self) -> str | None:
        """See `Detector.fallback_reason`."""
        return self._session.fallback_reason

    def __call__(self, image: ImageBGR) -> FloatArray:
        """Return (n, 5) ``x0, y0, x1, y1, score``, largest first; see `Detector`."""
        tensor, scale = _prepare(image, self.input_size)
        heat, size, offset = self._session.run({self._input: tensor}, self._outputs)
        boxes = decode(heat[0, 0], size[0], offset[0], self.score_threshold)
        boxes = _suppress(boxes, self.max_faces)
        # Pixel centres are at whole numbers in the image and at halves in the network's coordinates.
        boxes[:, :4] = _to_common_extent(boxes[:, :4]) / scale - 0.5
        return boxes


def decode(heat: FloatArray, size: FloatArray, offset: FloatArray, threshold: float) -> FloatArray:
    """Turn the network's maps into boxes.

    Args:
        heat: (h, w) scores 0..1.
        size: (2, h, w) log of height and width in cells.
        offset: (2, h, w) dy, dx of the centre from the middle of its cell, in cells.
        threshold: lowest score of a face.

    Returns:
        (n, 5) ``x0, y0, x1, y1, score`` in input px, x = 0 at the left edge of the first pixel; unordered.
    """
    peaks = (heat >= threshold) & (heat == cv2.dilate(heat, np.ones((3, 3), np.uint8)))
    rows, columns = np.nonzero(peaks)
    half = np.exp(size[:, rows, columns]) * (STRIDE / 2)
    y = (rows + offset[0, rows, columns] + 0.5) * STRIDE
    x = (columns + offset[1, rows, columns] + 0.5) * STRIDE
    boxes = (x - half[1], y - half[0], x + half[1], y + half[0], heat[rows, columns])
    return np.stack(boxes, axis=1).astype(np.float32)


def _prepare(image: ImageBGR, input_size: int) -> tuple[FloatArray, float]:
    """Scale so that the long side is ``input_size``, pad right and bottom; (1, 3, h, w) RGB and the scale."""
    height, width = image.shape[:2]
    scale = input_size / max(height, width)
    h, w = max(1, round(height * scale)), max(1, round(width * scale))
    # Averaging (INTER_AREA) takes up to 5 ms where this takes 0.3, and finds the same faces.
    resized = cv2.resize(image, (w, h), interpolation=cv2.INTER_LINEAR)
    tensor = np.zeros((1, 3, _round_up(h), _round_up(w)), np.float32)
    tensor[0, :, :h, :w] = resized[:, :, ::-1].transpose(2, 0, 1)
    return tensor, scale


def _round_up(side: int) -> int:
    return -(-side // SIZE_MULTIPLE) * SIZE_MULTIPLE


def _suppress(boxes: FloatArray, max_faces: int) -> FloatArray:
    """Non-maximum suppression; (n, 5), largest first, at most ``max_faces``."""
    if not len(boxes):
        return no_boxes()
    sides = boxes[:, 2:4] - boxes[:, :2]
    corners_and_sides = np.hstack([boxes[:, :2], sides])
    keep = cv2.dnn.NMSBoxes(corners_and_sides.tolist(), boxes[:, 4].tolist(), 0.0, NMS_IOU)
    kept = np.asarray(keep, dtype=np.intp).ravel()
    largest_first = kept[np.argsort(-sides[kept].prod(axis=1), kind="stable")]
    return boxes[largest_first[:max_faces]]


def _to_common_extent(boxes: FloatArray) -> FloatArray:
    """CenterFace's boxes (n, 4) as `Detector` promises them."""
    sides = boxes[:, 2:] - boxes[:, :2]
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    centres[:, 1] += BOX_SHIFT * sides.mean(axis=1)
    return np.hstack([centres - BOX_SCALE / 2 * sides, centres + BOX_SCALE / 2 * sides])
