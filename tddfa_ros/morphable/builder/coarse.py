"""The coarse level: a subset of the dense vertices with its own triangles, light enough for RViz."""

from __future__ import annotations

import numpy as np

from tddfa_ros.types import DoubleArray, IntArray

MAX_TRIANGLES = 2000


def coarsen(
    vertices: DoubleArray, triangles: IntArray, limit: int = MAX_TRIANGLES
) -> tuple[IntArray, IntArray]:
    """Quadric decimation whose vertices are snapped to vertices of the mesh itself.

    Returns:
        Indices (m,) into ``vertices`` and triangles (c, 3) into these, with c < limit.
    """
    import fast_simplification
    from scipy.spatial import cKDTree

    points, faces = fast_simplification.simplify(
        vertices.astype(np.float32), triangles.astype(np.int32), target_count=limit - 20, agg=3
    )
    nearest = cKDTree(vertices).query(points)[1][faces]
    distinct = (nearest != np.roll(nearest, 1, axis=1)).all(axis=1)
    kept = _once(nearest[distinct])
    indices, coarse = np.unique(kept, return_inverse=True)
    return indices.astype(np.int32), coarse.reshape(-1, 3).astype(np.int32)


def _once(triangles: IntArray) -> IntArray:
    """Triangles without repetitions (two points may snap to one vertex), order kept."""
    _, first = np.unique(np.sort(triangles, axis=1), axis=0, return_index=True)
    return np.asarray(triangles[np.sort(first)])
