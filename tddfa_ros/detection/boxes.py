"""What detectors share: fitting the image into the network's input, suppressing doubles, and one extent for all boxes."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.detection.base import no_boxes
from tddfa_ros.types import FloatArray, ImageBGR

BOX_SCALE = 0.82
"""Sides of the returned boxes in units of WIDER FACE's, which reach from the hairline to the chin."""

BOX_SHIFT = 0.025
"""How far the returned boxes lie below WIDER FACE's, in units of the mean of width and height.

Both constants follow from 1.30, the side of the ROI around the 68 true landmarks in units of CenterFace's mean side, and
0.14, how far its center lies lower: medians over photos of AFLW2000-3D (500; 1.28, 0.136), HELEN (110; 1.28, 0.137) and
YTF (385; 1.34, 0.147). `roi_from_box` multiplies by 1.58 and adds 0.14.
"""


class Fitted(NamedTuple):
    """An image inside a network's input: ``image`` (h, w, 3) uint8, zero right and below; network px = ``scale`` * image px."""

    image: ImageBGR
    scale: float


def fit(
    image: ImageBGR, long_side: int, multiple: int, fixed: tuple[int, int] | None = None
) -> Fitted:
    """Scale an image so that its long side is ``long_side``, then pad it on the right and below.

    Args:
        image: (H, W, 3).
        long_side: px; ignored where the size is fixed.
        multiple: both sides of the result are multiples of it.
        fixed: height and width of the result, for networks that take no other; the image is made to fit.
    """
    height, width = image.shape[:2]
    scale = long_side / max(height, width)
    if fixed is not None:
        scale = min(fixed[0] / height, fixed[1] / width)
    h, w = max(1, round(height * scale)), max(1, round(width * scale))
    # Averaging (INTER_AREA) takes up to 5 ms where this takes 0.3, and finds the same faces.
    resized = cv2.resize(image, (w, h), interpolation=cv2.INTER_LINEAR)
    rows, columns = fixed or (-(-h // multiple) * multiple, -(-w // multiple) * multiple)
    padded = np.zeros((rows, columns, 3), np.uint8)
    padded[:h, :w] = resized
    return Fitted(padded, scale)


def suppress(boxes: FloatArray, iou: float, max_faces: int, border: float = 0.0) -> FloatArray:
    """Greedy non-maximum suppression of ``x0, y0, x1, y1, score`` (n, 5).

    Args:
        boxes: in any order.
        iou: boxes that overlap a better one by more than this are the same face.
        max_faces: at most so many are returned.
        border: added to the sides of boxes and of overlaps, as in programs that count pixels inclusively (1).

    Returns:
        (m, 5), largest first.
    """
    if not len(boxes):
        return no_boxes()
    rest = boxes[np.argsort(-boxes[:, 4], kind="stable")].astype(np.float64)
    kept = []
    while len(rest):
        best, rest = rest[0], rest[1:]
        kept.append(best)
        low, high = np.maximum(best[:2], rest[:, :2]), np.minimum(best[2:4], rest[:, 2:4])
        common = np.clip(high - low + border, 0, None).prod(axis=1)
        rest = rest[common <= iou * (_areas(best[None], border) + _areas(rest, border) - common)]
    survivors = np.stack(kept)
    largest_first = np.argsort(-_areas(survivors, 0.0), kind="stable")
    return survivors[largest_first[:max_faces]].astype(np.float32)


def to_common_extent(boxes: FloatArray) -> FloatArray:
    """Boxes (n, 4) of a network trained on WIDER FACE as `Detector` promises them."""
    sides = boxes[:, 2:] - boxes[:, :2]
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    centers[:, 1] += BOX_SHIFT * sides.mean(axis=1)
    return np.hstack([centers - BOX_SCALE / 2 * sides, centers + BOX_SCALE / 2 * sides])


def _areas(boxes: NDArray[np.float64], border: float) -> NDArray[np.float64]:
    return np.asarray((boxes[:, 2:4] - boxes[:, :2] + border).prod(axis=1))
