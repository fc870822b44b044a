from __future__ import annotations

import numpy as np
import pytest
from support.synthetic_model import synthetic_model

from tddfa_ros.morphable.surface import nearest_on_surface


def closest_on_triangle(p: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Ericson, Real-Time Collision Detection, 5.1.5."""
    ab, ac, ap = b - a, c - a, p - a
    d1, d2 = ab @ ap, ac @ ap
    if d1 <= 0 and d2 <= 0:
        return a
    bp = p - b
    d3, d4 = ab @ bp, ac @ bp
    if d3 >= 0 and d4 <= d3:
        return b
    vc = d1 * d4 - d3 * d2
    if vc <= 0 <= d1 and d3 <= 0:
        return a + d1 / (d1 - d3) * ab
    cp = p - c
    d5, d6 = ab @ cp, ac @ cp
    if d6 >= 0 and d5 <= d6:
        return c
    vb = d5 * d2 - d1 * d6
    if vb <= 0 <= d2 and d6 <= 0:
        return a + d2 / (d2 - d6) * ac
    va = d3 * d6 - d5 * d4
    if va <= 0 and d4 >= d3 and d5 >= d6:
        return b + (d4 - d3) / ((d4 - d3) + (d5 - d6)) * (c - b)
    total = va + vb + vc
    return a + vb / total * ab + vc / total * ac


@pytest.mark.parametrize("distance", [0.0, 0.0005, 0.003])
def test_nearest_point_matches_brute_force(distance: float) -> None:
    model = synthetic_model(rows=16, columns=20)
    vertices, triangles = model.mean.astype(np.float64), model.triangles
    rng = np.random.default_rng(1)
    points = vertices[triangles[rng.integers(0, len(triangles), 40)]]
    points = np.einsum("kc,kcx->kx", rng.dirichlet([1, 1, 1], 40), points)
    points += distance * rng.normal(size=points.shape)
    triangle, weights = nearest_on_surface(points, vertices, triangles)
    found = np.einsum("kc,kcx->kx", weights, vertices[triangles[triangle]])
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-9)
    assert weights.min() > -1e-9
    for p, q in zip(points, found, strict=True):
        best = min(np.linalg.norm(closest_on_triangle(p, *vertices[t]) - p) for t in triangles)
        assert np.linalg.norm(q - p) == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize(
    ("point", "weights"),
    [
        ((0.25, 0.25, 3.0), (0.5, 0.25, 0.25)),  # above the inside
        ((-1.0, -1.0, 0.5), (1, 0, 0)),  # beyond a corner
        ((0.5, -2.0, 0.0), (0.5, 0.5, 0)),  # beyond a side
        ((2.0, 2.0, 0.0), (0, 0.5, 0.5)),
    ],
)
def test_nearest_point_on_one_triangle(
    point: tuple[float, ...], weights: tuple[float, ...]
) -> None:
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    triangle, found = nearest_on_surface(
        np.array([point]), vertices, np.array([[0, 1, 2]], np.int32)
    )
    assert triangle.tolist() == [0]
    np.testing.assert_allclose(found[0], weights, atol=1e-12)
