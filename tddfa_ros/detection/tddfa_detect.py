"""Our own detector, ``tddfa-detect``: anchor-free, trained by ``tddfa train-detector``.

Input: BGR image (0..255). Output ``map_<stride>`` (n, 15, H / stride, W / stride) for each stride: the logit of the score, the center and the
sides of the box, and five points, relative to the cell. The boxes have the extent of `Detector`: the network is trained on boxes whose
`tddfa_ros.geometry.roi.roi_from_box` is the ROI of the 68 landmarks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tddfa_ros.detection.boxes import fit, suppress
from tddfa_ros.detection.families import TDDFA_OUTPUTS, TDDFA_STRIDES
from tddfa_ros.detection.onnx_detector import OnnxDetector
from tddfa_ros.errors import ModelError
from tddfa_ros.types import FloatArray, ImageBGR

STRIDES = TDDFA_STRIDES
CHANNELS = 15
"""Of each map: logit; dx, dy of the box center from the middle of the cell, in strides; log of width and height in strides; dx, dy of five
points in strides: right eye, left eye, tip of the nose, right and left corner of the mouth."""

NMS_IOU = 0.35
_LARGEST_LOG = 6.0  # of a side in strides: e^6 strides are more than any input


class TddfaDetect(OnnxDetector):
    """``tddfa-detect`` with dynamic input height and width."""

    DEFAULT_SIZE = 320

    def __init__(self, path: str | Path, *options: Any, **more: Any) -> None:
        super().__init__(path, *options, **more)
        missing = set(TDDFA_OUTPUTS) - set(self._session.output_names)
        if missing:
            raise ModelError(
                f"{Path(path).name} is not a tddfa-detect model: it has no output {min(missing)}"
            )

    def __call__(self, image: ImageBGR) -> FloatArray:
        """Return (n, 5) ``x0, y0, x1, y1, score``, largest first; see `Detector`."""
        fitted, scale = fit(image, self.input_size, STRIDES[-1])
        tensor = np.ascontiguousarray(fitted[None].transpose(0, 3, 1, 2), dtype=np.float32)
        maps = self._session.run({self._input: tensor}, TDDFA_OUTPUTS)
        boxes = suppress(decode(maps, self.score_threshold), NMS_IOU, self.max_faces)
        # pixel centers are at integers, in the image as in network coordinates
        boxes[:, :4] = (boxes[:, :4] + 0.5) / scale - 0.5
        return boxes


def decode(maps: Sequence[FloatArray], threshold: float) -> FloatArray:
    """Decode the output maps of one image into boxes.

    Args:
        maps: (1, 15, h, w) for each of :data:`STRIDES`.
        threshold: minimum score, 0..1.

    Returns:
        (n, 5) ``x0, y0, x1, y1, score`` in network px, pixel centers at integers; unordered.
    """
    inside = 0 < threshold < 1
    least = (
        math.log(threshold / (1 - threshold))
        if inside
        else math.copysign(math.inf, threshold - 0.5)
    )
    found = []
    for stride, values in zip(STRIDES, maps, strict=True):
        rows, columns = np.nonzero(values[0, 0] >= least)
        cell = values[0, :5, rows, columns].astype(np.float64)
        middle = np.stack([columns, rows], axis=1) + 0.5
        centers = (middle + cell[:, 1:3]) * stride - 0.5
        halves = np.exp(np.minimum(cell[:, 3:5], _LARGEST_LOG)) * (stride / 2)
        scores = 1 / (1 + np.exp(-cell[:, :1]))
        found.append(np.hstack([centers - halves, centers + halves, scores]))
    return np.concatenate(found).astype(np.float32)
