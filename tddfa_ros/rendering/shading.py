"""Vertex normals, shading and smoothing of per-vertex values."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from tddfa_ros.rendering.raster_compiled import compiled_kernels, has_compiler
from tddfa_ros.types import FloatArray, IntArray

_ROUNDS = 2


def evened(values: FloatArray, triangles: IntArray) -> FloatArray:
    """Smooth vertex values (N, C) of a mesh with triangles (T, 3): two passes of the mean of a vertex and its neighbors, float32."""
    count = len(values)
    ends = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    edges = sparse.coo_matrix((np.ones(len(ends), np.float32), ends.T), shape=(count, count))
    around = (edges + edges.T + sparse.identity(count, dtype=np.float32)).tocsr()
    around.data[:] = 1
    weight = np.asarray(around.sum(axis=1))
    for _ in range(_ROUNDS):
        values = np.asarray(around @ values / weight, dtype=np.float32)
    return values


KEY_LIGHT = (0.35, 0.45, 0.82)
"""Direction toward the key light, in a frame with x right, y up, z toward the viewer."""


def vertex_normals(vertices: FloatArray, triangles: IntArray) -> FloatArray:
    """Compute area-weighted unit normals of a mesh, (N, 3) float32.

    Args:
        vertices: (N, 3) in a right-handed frame; triangles counter-clockwise seen from outside give outward normals.
        triangles: (T, 3) indices.

    A vertex that no triangle with an area uses gets a zero normal.
    """
    vertices = np.ascontiguousarray(vertices, dtype=np.float32)
    triangles = np.ascontiguousarray(triangles, dtype=np.int32)
    if has_compiler():
        compiled: FloatArray = compiled_kernels().normals(vertices, triangles)
        return compiled
    return _normals_numpy(vertices, triangles)


def _normals_numpy(vertices: FloatArray, triangles: IntArray) -> FloatArray:
    """Compute :func:`vertex_normals` without Numba: contiguous columns, which NumPy gathers several times faster than rows."""
    columns, count = np.ascontiguousarray(vertices.T), len(vertices)
    a, b, c = np.ascontiguousarray(triangles.T)
    u, v = columns[:, b], columns[:, c]
    corner = columns[:, a]
    u -= corner
    v -= corner
    corners = np.concatenate([a, b, c])
    normals = np.empty((3, count))
    for axis, (i, j) in enumerate(((1, 2), (2, 0), (0, 1))):
        weights = np.tile(u[i] * v[j] - u[j] * v[i], 3)
        normals[axis] = np.bincount(corners, weights=weights, minlength=count)
    length = np.sqrt(np.square(normals).sum(axis=0))
    np.divide(normals, length, out=normals, where=length > 0)
    return np.ascontiguousarray(normals.T, dtype=np.float32)


def image_normals(vertices: FloatArray, triangles: IntArray) -> FloatArray:
    """Compute the normals of a mesh in the image frame (x right, y down, z nearer = larger); returned with y up.

    The image frame is left-handed; flipping y makes it the right-handed frame that lights are given in.
    """
    upright = np.array(vertices, dtype=np.float32, order="C")
    upright[:, 1] *= -1
    return vertex_normals(upright, triangles)


def lambert(
    normals: FloatArray,
    ambient: float = 0.35,
    specular: float = 0.12,
    light: tuple[float, float, float] = KEY_LIGHT,
) -> FloatArray:
    """Brightness of each vertex, (N,) float32 in 0..1: ambient, a key light, a weak fill light, a soft highlight."""
    key = np.asarray(light, dtype=np.float32)
    key /= np.linalg.norm(key)
    fill = np.array([-0.8, -0.1, 0.6], dtype=np.float32)
    half = key + np.array([0, 0, 1], dtype=np.float32)
    half /= np.linalg.norm(half)
    diffuse = np.clip(normals @ key, 0, None) + 0.25 * np.clip(normals @ fill, 0, None)
    highlight = np.clip(normals @ half, 0, None)
    highlight *= highlight * highlight  # to the power of 3, and with three squares of 24
    for _ in range(3):
        highlight *= highlight
    shade = ambient + (1 - ambient) * 0.85 * diffuse + specular * highlight
    return np.clip(shade, 0, 1).astype(np.float32)
