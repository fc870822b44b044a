"""Boxes of an image around parts of a face."""

from __future__ import annotations

import numpy as np

from tddfa_ros.types import FloatArray


def box_in_image(
    points: FloatArray, before: float, after: float, shape: tuple[int, ...]
) -> tuple[int, int, int, int]:
    """x, y, width, height, px, of what an image of this shape has of the box of points (N, 2 or more), widened left and above, right and below."""
    low = np.floor(points[:, :2].min(axis=0) - before)
    high = np.ceil(points[:, :2].max(axis=0) + after)
    x, y = (int(v) for v in np.clip(low, 0, [shape[1], shape[0]]))
    right, bottom = (int(v) for v in np.clip(high, 0, [shape[1], shape[0]]))
    return x, y, right - x, bottom - y


def scaled(vertices: FloatArray, corner: tuple[float, float], scale: float) -> FloatArray:
    """Px (N, 3) to px of an image whose first pixel's center was at ``corner``, ``scale`` times as fine."""
    out = vertices - np.array([*corner, 0], np.float32)
    out[:, :2] += 0.5
    out *= np.float32(scale)
    out[:, :2] -= 0.5
    return np.asarray(out, dtype=np.float32)
