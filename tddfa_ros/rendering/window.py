"""Crop windows of an image around points of a face."""

from __future__ import annotations

import numpy as np

from tddfa_ros.types import FloatArray


def box_in_image(
    points: FloatArray, before: float, after: float, shape: tuple[int, ...]
) -> tuple[int, int, int, int]:
    """Return x, y, width, height, px, of the bounding box of points (N, 2 or more), extended and clipped to an image.

    Args:
        points: (N, 2 or more) px.
        before: extension to the left and above, px.
        after: extension to the right and below, px.
        shape: (height, width) or more of the image.
    """
    low = np.floor(points[:, :2].min(axis=0) - before)
    high = np.ceil(points[:, :2].max(axis=0) + after)
    x, y = (int(v) for v in np.clip(low, 0, [shape[1], shape[0]]))
    right, bottom = (int(v) for v in np.clip(high, 0, [shape[1], shape[0]]))
    return x, y, right - x, bottom - y


def scaled(vertices: FloatArray, corner: tuple[float, float], scale: float) -> FloatArray:
    """Convert px (N, 3) to px of a window at ``corner`` with ``scale`` px per px."""
    out = vertices - np.array([*corner, 0], np.float32)
    out[:, :2] += 0.5
    out *= np.float32(scale)
    out[:, :2] -= 0.5
    return np.asarray(out, dtype=np.float32)
