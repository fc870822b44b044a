"""Loop subdivision as a sparse matrix, so that means and bases are refined by the same linear map.

C. Loop, "Smooth Subdivision Surfaces Based on Triangles", 1987, with Warren's vertex weight (3/8n, 3/16 for n = 3).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix, diags, vstack

from tddfa_ros.types import IntArray


def unique_edges(triangles: IntArray) -> tuple[IntArray, NDArray[np.int64], NDArray[np.int64]]:
    """Return edges (e, 2) with sorted ends, the edge of every triangle side (t, 3: sides 01, 12, 20), and triangles per edge."""
    sides = triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    edges, side_edges, counts = np.unique(
        np.sort(sides, axis=1), axis=0, return_inverse=True, return_counts=True
    )
    return edges.astype(np.int32), side_edges.reshape(-1, 3), counts


def split_triangles(triangles: IntArray, vertex_count: int) -> tuple[IntArray, IntArray]:
    """Split each triangle into four: (4t, 3) triangles, and the edges (e, 2) whose midpoints are the new vertices."""
    edges, side_edges, _ = unique_edges(triangles)
    middle = side_edges + vertex_count
    a, b, c = triangles.T
    ab, bc, ca = middle.T
    quads = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return np.concatenate([np.stack(q, axis=1) for q in quads]).astype(np.int32), edges


def loop_matrix(triangles: IntArray, vertex_count: int) -> csr_matrix:
    """Return the matrix (n + e, n) of one subdivision step; rows from n on are the edges of :func:`split_triangles`."""
    edges, side_edges, counts = unique_edges(triangles)
    old = _old(edges, counts, vertex_count)
    new = _new(triangles, edges, side_edges, counts, vertex_count)
    return csr_matrix(vstack([old, new]))


def _old(edges: IntArray, counts: NDArray[np.int64], n: int) -> csr_matrix:
    """Return the rows of old vertices: Warren's weights; on a boundary 1/8, 3/4, 1/8 along the boundary curve."""
    boundary_edges = edges[counts == 1]
    on_boundary = np.zeros(n, dtype=bool)
    on_boundary[boundary_edges] = True
    inner = _adjacency(edges, n)
    degree = np.asarray(inner.sum(axis=1)).ravel()
    weight = np.where(degree == 3, 3 / 16, 3 / (8 * np.maximum(degree, 1)))
    inside = diags(np.where(on_boundary, 0, weight)) @ inner + diags(
        np.where(on_boundary, 0, 1 - weight * degree)
    )
    border = diags(np.where(on_boundary, 1 / 8, 0)) @ _adjacency(boundary_edges, n) + diags(
        np.where(on_boundary, 3 / 4, 0)
    )
    return csr_matrix(inside + border)


def _new(
    triangles: IntArray,
    edges: IntArray,
    side_edges: NDArray[np.int64],
    counts: NDArray[np.int64],
    n: int,
) -> csr_matrix:
    """Return the rows of edge midpoints: 3/8 for both ends, 1/8 for both opposite corners; 1/2 for both ends on a boundary."""
    ends = np.where(counts == 1, 1 / 2, 3 / 8)
    rows = np.repeat(np.arange(len(edges)), 2)
    at_ends = coo_matrix((np.repeat(ends, 2), (rows, edges.ravel())), (len(edges), n))
    opposite = triangles[:, [2, 0, 1]].ravel()
    sides = side_edges.ravel()
    at_corners = coo_matrix(
        (np.where(counts[sides] == 1, 0, 1 / 8), (sides, opposite)), (len(edges), n)
    )
    return csr_matrix(at_ends + at_corners)


def _adjacency(edges: IntArray, n: int) -> csr_matrix:
    i, j = edges.T
    ones = np.ones(2 * len(edges))
    return csr_matrix((ones, (np.r_[i, j], np.r_[j, i])), (n, n))
