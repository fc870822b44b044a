"""CenterFace detector: faces as heat map peaks (Xu, Yan, Yang et al. 2019, https://arxiv.org/abs/1911.03599).

Input: RGB image (0..255). Outputs: maps at a quarter of its size. A face is a local maximum of the heat map; at that cell
two more maps hold ``log(height / 4), log(width / 4)`` and the offset ``dy, dx`` of the center inside the cell.
"""

from __future__ import annotations

import cv2
import numpy as np

from tddfa_ros.detection.boxes import fit, suppress, to_common_extent
from tddfa_ros.detection.onnx_detector import OnnxDetector
from tddfa_ros.types import FloatArray, ImageBGR

STRIDE = 4
"""Input pixels per map cell."""

SIZE_MULTIPLE = 32
"""Input sides must be multiples of this: the network downsamples five times and adds upsampled features."""

NMS_IOU = 0.3
"""IoU threshold of non-maximum suppression."""


class CenterFace(OnnxDetector):
    """CenterFace with dynamic input height and width, as `tddfa_ros.model_store.store` provides it."""

    DEFAULT_SIZE = 320

    def __call__(self, image: ImageBGR) -> FloatArray:
        """Return (n, 5) ``x0, y0, x1, y1, score``, largest first; see `Detector`."""
        fitted, scale = fit(image, self.input_size, SIZE_MULTIPLE)
        tensor = np.ascontiguousarray(fitted[None, :, :, ::-1].transpose(0, 3, 1, 2), np.float32)
        heat, size, offset = self._session.run(
            {self._input: tensor},
            self._session.output_names[:3],  # the fourth (five landmarks) is not needed
        )
        boxes = decode(heat[0, 0], size[0], offset[0], self.score_threshold)
        boxes = suppress(boxes, NMS_IOU, self.max_faces)
        # Pixel centers are at integers in the image and at half-integers in network coordinates.
        boxes[:, :4] = to_common_extent(boxes[:, :4]) / scale - 0.5
        return boxes


def decode(heat: FloatArray, size: FloatArray, offset: FloatArray, threshold: float) -> FloatArray:
    """Decode the output maps into boxes.

    Args:
        heat: (h, w) scores 0..1.
        size: (2, h, w) log of height and width in cells.
        offset: (2, h, w) dy, dx of the center from the middle of its cell, in cells.
        threshold: minimum score.

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
