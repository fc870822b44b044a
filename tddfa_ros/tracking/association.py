"""Association of boxes by intersection over union (IoU), and of tracks and faces by likelihood."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from tddfa_ros.types import DoubleArray, RealArray


def iou(a: RealArray, b: RealArray) -> DoubleArray:
    """Compute the pairwise IoU (n, m), 0..1, of boxes (n, 4) and (m, 4) ``x0, y0, x1, y1``; 0 for boxes without area."""
    first = np.asarray(a, dtype=np.float64).reshape(-1, 1, 4)
    second = np.asarray(b, dtype=np.float64).reshape(1, -1, 4)
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(first[..., 2:], second[..., 2:])
    shared = _area(low, high)
    union = _area(first[..., :2], first[..., 2:]) + _area(second[..., :2], second[..., 2:]) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def associate(a: RealArray, b: RealArray, min_iou: float) -> list[tuple[int, int]]:
    """Match boxes (n, 4) to boxes (m, 4) with maximum total IoU (Hungarian method).

    Pairs with an IoU below ``min_iou`` or without overlap are excluded before the assignment.

    Returns:
        Sorted index pairs; each index occurs at most once.
    """
    overlap = iou(a, b)
    overlap[overlap < min_iou] = 0.0
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if overlap[i, j] > 0.0]


def assign(scores: RealArray, minimum: float) -> list[tuple[int, int]]:
    """Match rows to columns of scores (n, m) with maximum total above ``minimum`` (Hungarian method).

    Returns:
        Sorted index pairs, each with a score above ``minimum``; each index occurs at most once.
    """
    above = np.maximum(np.asarray(scores, dtype=np.float64) - minimum, 0.0)
    rows, columns = linear_sum_assignment(above, maximize=True)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if above[i, j] > 0.0]


def _area(low: DoubleArray, high: DoubleArray) -> DoubleArray:
    sides = np.maximum(high - low, 0.0)
    return np.asarray(sides[..., 0] * sides[..., 1])
