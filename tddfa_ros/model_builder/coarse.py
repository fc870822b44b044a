"""Coarse level of detail for RViz: a subset of the dense vertices with its own triangles."""

from __future__ import annotations

import numpy as np

from tddfa_ros.types import DoubleArray, IntArray

MAX_TRIANGLES = 2000
_FOCUS_RADIUS = 0.06  # m; beyond this distance space is compressed


def coarsen(
    vertices: DoubleArray,
    triangles: IntArray,
    focus: DoubleArray,
    limit: int = MAX_TRIANGLES,
) -> tuple[IntArray, IntArray]:
    """Decimate by quadrics and snap the result to vertices of the mesh.

    Space is compressed away from ``focus`` (3,), the nose, before decimation, so that the face keeps more triangles than the scalp.

    Returns:
        Indices (m,) into ``vertices`` and triangles (c, 3) into these, with c < limit.
    """
    import fast_simplification
    from scipy.spatial import cKDTree

    offset = vertices - (focus - [0.0, 0.0, 0.03])
    radius = np.linalg.norm(offset, axis=1, keepdims=True)
    blown_up = offset / np.sqrt(radius**2 + _FOCUS_RADIUS**2)
    points, faces = fast_simplification.simplify(
        blown_up.astype(np.float32), triangles.astype(np.int32), target_count=limit - 20, agg=3
    )
    nearest = cKDTree(blown_up).query(points)[1][faces]
    distinct = (nearest != np.roll(nearest, 1, axis=1)).all(axis=1)
    kept = _once(nearest[distinct])
    indices, coarse = np.unique(kept, return_inverse=True)
    return indices.astype(np.int32), coarse.reshape(-1, 3).astype(np.int32)


def _once(triangles: IntArray) -> IntArray:
    """Remove duplicate triangles (two points may snap to one vertex), keeping the order."""
    _, first = np.unique(np.sort(triangles, axis=1), axis=0, return_index=True)
    return np.asarray(triangles[np.sort(first)])
