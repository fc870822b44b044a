"""Affine transform of point sets."""

from __future__ import annotations

import cv2
import numpy as np

from tddfa_ros.types import FloatArray, RealArray


def transform(points: RealArray, linear: RealArray, offset: RealArray) -> FloatArray:
    """Compute ``linear @ point + offset`` of points (..., N, 3) in float32, by ``linear`` (..., 3, 3) and ``offset`` (..., 3).

    A single set of float32 points takes one pass of OpenCV over the memory, an eighth of the time of a product and a sum.
    """
    points = np.asarray(points, dtype=np.float32)
    linear = np.asarray(linear, dtype=np.float32)
    offset = np.asarray(offset, dtype=np.float32)
    if points.ndim == 2 and linear.ndim == 2 and len(points):
        matrix = np.concatenate([linear, offset[:, None]], axis=1)
        moved = cv2.transform(np.ascontiguousarray(points)[:, None], matrix)
        return np.asarray(moved, dtype=np.float32)[:, 0]
    out: FloatArray = np.matmul(points, np.swapaxes(linear, -1, -2))
    out += offset[..., None, :]
    return out
