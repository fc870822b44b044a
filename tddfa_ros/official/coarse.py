"""Mesh simplification by vertex clustering (Rossignac and Borrel 1993), in NumPy, for imported models."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.types import IntArray

MAX_TRIANGLES = 2000
_HALVINGS = 14


def cluster(
    vertices: NDArray[np.floating], triangles: IntArray, limit: int = MAX_TRIANGLES
) -> tuple[IntArray, IntArray]:
    """Merge the vertices of each cell of a cubic grid into the one nearest to their mean, on the finest grid within the limit.

    Args:
        vertices: (N, 3).
        triangles: (T, 3).
        limit: maximum number of triangles.

    Returns:
        Indices (M,) into ``vertices`` and triangles (C, 3) into these, oriented as the given ones.
    """
    points = np.asarray(vertices, dtype=np.float64)
    if len(triangles) <= limit:
        return _compact(np.asarray(triangles, np.int32))
    low, high = 0.0, float(np.ptp(points, axis=0).max())
    best = np.zeros((0, 3), np.int32)
    for _ in range(_HALVINGS):
        side = (low + high) / 2
        coarse = _clustered(points, triangles, side)
        if len(coarse) > limit:
            low = side
        else:
            best, high = coarse, side
    return _compact(best)


def _clustered(points: NDArray[np.float64], triangles: IntArray, side: float) -> IntArray:
    """Return the unique triangles between the chosen vertices of three different cells."""
    cells = np.floor((points - points.min(axis=0)) / side).astype(np.int64)
    _, cell = np.unique(np.ravel_multi_index(cells.T, cells.max(axis=0) + 1), return_inverse=True)
    counts = np.bincount(cell)
    means = np.stack([np.bincount(cell, column) / counts for column in points.T], axis=1)
    distance = np.linalg.norm(points - means[cell], axis=1)
    order = np.lexsort((distance, cell))
    nearest = order[np.concatenate([[0], np.cumsum(counts)[:-1]])]
    moved = nearest[cell[triangles]]
    moved = moved[(moved != np.roll(moved, 1, axis=1)).all(axis=1)]
    same = np.ravel_multi_index(np.sort(moved, axis=1).T.astype(np.int64), (len(points),) * 3)
    _, first = np.unique(same, return_index=True)
    return moved[np.sort(first)].astype(np.int32)


def _compact(triangles: IntArray) -> tuple[IntArray, IntArray]:
    indices, numbered = np.unique(triangles, return_inverse=True)
    return indices.astype(np.int32), numbered.reshape(-1, 3).astype(np.int32)
