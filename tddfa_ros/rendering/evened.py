"""Values at vertices, evened out with those of their neighbours: regions end along edges of triangles, in saw teeth."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from tddfa_ros.types import FloatArray, IntArray

_ROUNDS = 2


def evened(values: FloatArray, triangles: IntArray) -> FloatArray:
    """Values (N, C) of a mesh with triangles (T, 3): twice the mean of a vertex and its neighbours, (N, C) float32."""
    count = len(values)
    ends = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    edges = sparse.coo_matrix((np.ones(len(ends), np.float32), ends.T), shape=(count, count))
    around = (edges + edges.T + sparse.identity(count, dtype=np.float32)).tocsr()
    around.data[:] = 1
    weight = np.asarray(around.sum(axis=1))
    for _ in range(_ROUNDS):
        values = np.asarray(around @ values / weight, dtype=np.float32)
    return values
