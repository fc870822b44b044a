"""Closest points on a triangle mesh, as triangle index and barycentric weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.types import DoubleArray, IntArray

POINTS_FILE = Path(__file__).with_name("points.json")
"""Positions of landmarks on the default head, written by ``tddfa models locate``."""

_CANDIDATES = 12


def nearest_on_surface(
    points: DoubleArray, vertices: DoubleArray, triangles: IntArray
) -> tuple[NDArray[np.int64], DoubleArray]:
    """Return triangle (k,) and barycentric weights (k, 3) of the surface points closest to ``points`` (k, 3).

    Only triangles with the nearest centers are searched, which is exact for triangles much smaller than the distance to the points.
    """
    from scipy.spatial import cKDTree

    corners = vertices[triangles]
    count = min(_CANDIDATES, len(triangles))
    _, candidates = cKDTree(corners.mean(axis=1)).query(points, k=count)
    candidates = candidates.reshape(len(points), count)  # a query for one neighbor drops the axis
    weights = _closest_weights(np.repeat(points, count, axis=0), corners[candidates.ravel()])
    found = np.einsum("kc,kcx->kx", weights, corners[candidates.ravel()])
    distance = np.linalg.norm(found - np.repeat(points, count, axis=0), axis=1)
    best = distance.reshape(-1, count).argmin(axis=1)
    rows = np.arange(len(points))
    return candidates[rows, best], weights.reshape(-1, count, 3)[rows, best]


def _closest_weights(points: DoubleArray, corners: DoubleArray) -> DoubleArray:
    """Return the barycentric weights (k, 3) of the point of triangle (k, 3, 3) nearest to each point (k, 3)."""
    a, b, c = np.moveaxis(corners, 1, 0)
    normal_solution = _plane_weights(points, a, b, c)
    options = [normal_solution]
    for i, (p, q) in enumerate(((a, b), (b, c), (c, a))):
        along = np.einsum("kx,kx->k", points - p, q - p) / np.maximum(
            np.einsum("kx,kx->k", q - p, q - p), 1e-18
        )
        along = np.clip(along, 0, 1)
        edge = np.zeros((len(points), 3))
        edge[:, i], edge[:, (i + 1) % 3] = 1 - along, along
        options.append(edge)
    stacked = np.stack(options)  # (4, k, 3)
    distance = np.linalg.norm(np.einsum("okc,kcx->okx", stacked, corners) - points, axis=2)
    distance[0][(normal_solution < 0).any(axis=1)] = np.inf
    return np.asarray(stacked[distance.argmin(axis=0), np.arange(len(points))])


def _plane_weights(
    points: DoubleArray, a: DoubleArray, b: DoubleArray, c: DoubleArray
) -> DoubleArray:
    u, v, w = b - a, c - a, points - a
    uu, uv, vv, wu, wv = (
        np.einsum("kx,kx->k", *pair) for pair in ((u, u), (u, v), (v, v), (w, u), (w, v))
    )
    determinant = np.maximum(uu * vv - uv * uv, 1e-24)
    beta = (vv * wu - uv * wv) / determinant
    gamma = (uu * wv - uv * wu) / determinant
    return np.stack([1 - beta - gamma, beta, gamma], axis=1)
