"""Vertex normals, shading and smoothing of per-vertex values."""

from __future__ import annotations

import numpy as np
from scipy import sparse

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
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    face_normals = np.cross(b - a, c - a)
    count = len(vertices)
    normals = np.zeros((count, 3), dtype=np.float32)
    corners = triangles.T.ravel()
    for axis in range(3):
        weights = np.tile(face_normals[:, axis], 3)
        normals[:, axis] = np.bincount(corners, weights=weights, minlength=count)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)


def image_normals(vertices: FloatArray, triangles: IntArray) -> FloatArray:
    """Compute the normals of a mesh in the image frame (x right, y down, z nearer = larger); returned with y up.

    The image frame is left-handed; flipping y makes it the right-handed frame that lights are given in.
    """
    upright = vertices * np.array([1, -1, 1], dtype=np.float32)
    return vertex_normals(upright.astype(np.float32, copy=False), triangles)


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
    highlight = np.clip(normals @ half, 0, None) ** 24
    shade = ambient + (1 - ambient) * 0.85 * diffuse + specular * highlight
    return np.clip(shade, 0, 1).astype(np.float32)
