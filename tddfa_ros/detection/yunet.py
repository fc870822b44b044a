"""YuNet detector (Wu et al. 2023, https://doi.org/10.1007/s11633-023-1423-y), from OpenCV's ``face_detection_yunet_2023mar.onnx``.

It runs in ONNX Runtime instead of ``cv2.FaceDetectorYN``, so that ``device`` and ``threads`` apply and boxes do not depend on the OpenCV version.
One output per stride and kind: the cell at column c, row r has the score ``sqrt(cls * obj)``, the center ``(c + dx, r + dy)`` and the sides
``exp(w), exp(h)``, in strides.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tddfa_ros.detection.boxes import fit, suppress, to_common_extent
from tddfa_ros.detection.families import YUNET_OUTPUTS, YUNET_STRIDES, fixed_size
from tddfa_ros.detection.onnx_detector import OnnxDetector
from tddfa_ros.errors import ModelError
from tddfa_ros.types import FloatArray, ImageBGR

NMS_IOU = 0.3


class YuNet(OnnxDetector):
    """YuNet; boxes are converted from WIDER FACE's extent to the common one."""

    def __init__(self, path: str | Path, *options: Any, **more: Any) -> None:
        super().__init__(path, *options, **more)
        missing = set(YUNET_OUTPUTS) - set(self._session.output_names)
        if missing:
            raise ModelError(
                f"{Path(path).name} is not a YuNet model: it has no output {min(missing)}"
            )
        self._fixed = fixed_size(path)

    def __call__(self, image: ImageBGR) -> FloatArray:
        """Return (n, 5) ``x0, y0, x1, y1, score``, largest first; see `Detector`."""
        fitted, scale = fit(image, self.input_size, YUNET_STRIDES[-1], self._fixed)
        tensor = np.ascontiguousarray(fitted[None].transpose(0, 3, 1, 2), dtype=np.float32)
        values = self._session.run({self._input: tensor}, YUNET_OUTPUTS)
        outputs = dict(zip(YUNET_OUTPUTS, values, strict=True))
        boxes = decode(outputs, fitted.shape[1], self.score_threshold)
        boxes = suppress(boxes, NMS_IOU, self.max_faces)
        boxes[:, :4] = to_common_extent(boxes[:, :4]) / scale
        return boxes


def decode(outputs: Mapping[str, FloatArray], width: int, threshold: float) -> FloatArray:
    """Decode the outputs into boxes.

    Args:
        outputs: by name: ``cls_<stride>`` and ``obj_<stride>`` (1, cells, 1), ``bbox_<stride>`` (1, cells, 4); row-major cells.
        width: of the network input, px.
        threshold: minimum score.

    Returns:
        (n, 5) ``x0, y0, x1, y1, score`` in network px; unordered.
    """
    found = []
    for stride in YUNET_STRIDES:
        both = [np.clip(outputs[f"{kind}_{stride}"].reshape(-1), 0, 1) for kind in ("cls", "obj")]
        scores = np.sqrt(both[0] * both[1])
        chosen = np.flatnonzero(scores >= threshold)
        box = outputs[f"bbox_{stride}"].reshape(-1, 4)[chosen]
        columns = width // stride
        centers = np.stack([chosen % columns, chosen // columns], axis=1) + box[:, :2]
        halves = np.exp(box[:, 2:]) / 2
        low, high = (centers - halves) * stride, (centers + halves) * stride
        found.append(np.hstack([low, high, scores[chosen, None]]))
    return np.concatenate(found).astype(np.float32)
