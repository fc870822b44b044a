from __future__ import annotations

import numpy as np
import pytest

from tddfa_ros.model_builder.subdivision import loop_matrix, split_triangles, unique_edges

TETRAHEDRON = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]], np.int32)
SIDE = 6


def torus() -> np.ndarray:
    """A regular closed mesh: every vertex has six neighbors."""
    i, j = (k.ravel() for k in np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij"))
    at = lambda a, b: (a % SIDE) * SIDE + b % SIDE  # noqa: E731
    a, b, c, d = at(i, j), at(i + 1, j), at(i, j + 1), at(i + 1, j + 1)
    return np.concatenate([np.stack([a, b, d], 1), np.stack([a, d, c], 1)]).astype(np.int32)


def patch(n: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """A flat, open grid of n x n vertices and its triangles, mirror images about the middle column."""
    x, y = (k.ravel() for k in np.meshgrid(np.arange(n) - n // 2, np.arange(n), indexing="xy"))
    triangles = []
    for row in range(n - 1):
        for column in range(n - 1):
            a, b = row * n + column, row * n + column + 1
            c, d = a + n, b + n
            left = column < n // 2
            triangles += [(a, b, d), (a, d, c)] if left else [(a, b, c), (b, d, c)]
    return np.stack([x, y, 0 * x], 1).astype(float), np.array(triangles, np.int32)


@pytest.mark.parametrize("triangles", [TETRAHEDRON, torus(), patch()[1]])
def test_weights_sum_to_one(triangles: np.ndarray) -> None:
    count = int(triangles.max()) + 1
    matrix = loop_matrix(triangles, count)
    edges, _, _ = unique_edges(triangles)
    assert matrix.shape == (count + len(edges), count)
    np.testing.assert_allclose(np.asarray(matrix.sum(axis=1)).ravel(), 1, atol=1e-12)
    assert matrix.data.min() > -1e-12


def test_regular_mesh_weights_match_loop() -> None:
    """Old vertices 10/16 and 6 x 1/16; new ones 3/8, 3/8, 1/8, 1/8."""
    triangles = torus()
    matrix = loop_matrix(triangles, SIDE**2).toarray()
    for row in matrix[: SIDE**2]:
        assert sorted(row[row > 0].tolist()) == pytest.approx([1 / 16] * 6 + [10 / 16])
    for row in matrix[SIDE**2 :]:
        assert sorted(row[row > 0].tolist()) == pytest.approx([1 / 8, 1 / 8, 3 / 8, 3 / 8])
    np.testing.assert_allclose(np.diag(matrix), 10 / 16)


def test_valence_three_weight() -> None:
    matrix = loop_matrix(TETRAHEDRON, 4).toarray()
    np.testing.assert_allclose(np.diag(matrix), 1 - 3 * 3 / 16)
    np.testing.assert_allclose(matrix[:4] - np.diag(np.diag(matrix)), 3 / 16 * (1 - np.eye(4)))


def test_boundary_is_a_cubic_spline() -> None:
    matrix = loop_matrix(np.array([[0, 1, 2]], np.int32), 3).toarray()
    np.testing.assert_allclose(matrix[:3], np.full((3, 3), 1 / 8) + np.eye(3) * 5 / 8)
    assert sorted(map(tuple, matrix[3:].tolist())) == [(0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)]


def test_reproduces_linear_functions_in_regular_patch() -> None:
    points, triangles = patch(9)
    torus_free = np.abs(points[:, 0]) < 3
    diagonal_free = torus_free & (points[:, 0] != 0) & (points[:, 1] > 1) & (points[:, 1] < 7)
    out = loop_matrix(triangles, len(points)) @ points
    np.testing.assert_allclose(out[: len(points)][diagonal_free], points[diagonal_free], atol=1e-12)
    np.testing.assert_allclose(out[:, 2], 0)


def test_symmetric_mesh_stays_symmetric() -> None:
    points, triangles = patch()
    points[:, 2] = points[:, 0] ** 2 + 0.1 * points[:, 1]
    out = loop_matrix(triangles, len(points)) @ points
    mirrored = out * [-1, 1, 1]
    distance = np.linalg.norm(out[:, None] - mirrored[None], axis=2).min(axis=1)
    assert distance.max() < 1e-12


def test_split_quadruples_triangles_and_keeps_winding() -> None:
    points, triangles = patch()
    split, edges = split_triangles(triangles, len(points))
    assert len(split) == 4 * len(triangles)
    flat = np.concatenate([points, points[edges].mean(axis=1)])

    def area(t: np.ndarray) -> np.ndarray:
        a, b, c = np.moveaxis(flat[t], 1, 0)
        return np.cross(b - a, c - a)[:, 2] / 2

    np.testing.assert_allclose(area(split).reshape(4, -1), np.tile(area(triangles) / 4, (4, 1)))


def test_edges() -> None:
    edges, sides, counts = unique_edges(TETRAHEDRON)
    assert len(edges) == 6 and (counts == 2).all()
    for triangle, (ab, bc, ca) in zip(TETRAHEDRON.tolist(), sides, strict=True):
        a, b, c = triangle
        assert [set(edges[k].tolist()) for k in (ab, bc, ca)] == [{a, b}, {b, c}, {c, a}]
