"""SCRFD detector (Guo et al. 2021, https://arxiv.org/abs/2105.04714), from the ONNX files that insightface publishes.

Per stride, one output holds scores, one the distances from the anchor center to the four sides in units of the stride,
and, in some models, one five landmarks. All scores come first, then all distances. Anchors are at the top left corner of
each cell: two per cell at strides 8, 16, 32, or one per cell at strides 8 to 128.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tddfa_ros.detection.boxes import fit, suppress, to_common_extent
from tddfa_ros.detection.families import fixed_size
from tddfa_ros.detection.onnx_detector import OnnxDetector
from tddfa_ros.errors import ModelError
from tddfa_ros.types import FloatArray, ImageBGR

LAYOUTS = {
    6: ((8, 16, 32), 2),
    9: ((8, 16, 32), 2),
    10: ((8, 16, 32, 64, 128), 1),
    15: ((8, 16, 32, 64, 128), 1),
}
"""Number of outputs -> strides and anchors per cell."""

NMS_IOU = 0.4


class Scrfd(OnnxDetector):
    """SCRFD; boxes are converted from WIDER FACE's extent to the common one."""

    def __init__(self, path: str | Path, *options: Any, **more: Any) -> None:
        super().__init__(path, *options, **more)
        outputs = self._session.output_names
        if len(outputs) not in LAYOUTS:
            raise ModelError(
                f"{Path(path).name} is not an SCRFD model: it has {len(outputs)} outputs, not {' or '.join(map(str, LAYOUTS))}"
            )
        self._strides, self._anchors = LAYOUTS[len(outputs)]
        self._outputs = outputs[: 2 * len(self._strides)]
        self._fixed = fixed_size(path)

    def __call__(self, image: ImageBGR) -> FloatArray:
        """Return (n, 5) ``x0, y0, x1, y1, score``, largest first; see `Detector`."""
        fitted, scale = fit(image, self.input_size, self._strides[-1], self._fixed)
        tensor = (fitted[None, :, :, ::-1].transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 128
        outputs = self._session.run({self._input: np.ascontiguousarray(tensor)}, self._outputs)
        levels = len(self._strides)
        columns = [-(-fitted.shape[1] // stride) for stride in self._strides]
        found = decode(
            outputs[:levels],
            outputs[levels:],
            self._strides,
            columns,
            self._anchors,
            self.score_threshold,
        )
        boxes = suppress(found, NMS_IOU, self.max_faces)
        boxes[:, :4] = to_common_extent(boxes[:, :4]) / scale
        return boxes


def decode(
    scores: Sequence[FloatArray],
    distances: Sequence[FloatArray],
    strides: Sequence[int],
    columns: Sequence[int],
    anchors: int,
    threshold: float,
) -> FloatArray:
    """Decode the outputs into boxes.

    Args:
        scores: per stride (..., 1), row-major cells with their anchors.
        distances: per stride (..., 4): left, top, right, bottom.
        strides, columns: per stride, px and number of cells in a row.
        anchors: number per cell.
        threshold: minimum score.

    Returns:
        (n, 5) ``x0, y0, x1, y1, score`` in network px; unordered.
    """
    found = []
    for score, distance, stride, count in zip(scores, distances, strides, columns, strict=True):
        flat = score.reshape(-1)
        chosen = np.flatnonzero(flat >= threshold)
        cells = chosen // anchors
        centers = np.stack([cells % count, cells // count], axis=1)
        sides = distance.reshape(-1, 4)[chosen]
        low, high = (centers - sides[:, :2]) * stride, (centers + sides[:, 2:]) * stride
        found.append(np.hstack([low, high, flat[chosen, None]]))
    return np.concatenate(found).astype(np.float32)
