"""Smoothing of vertex values."""

import numpy as np

from tddfa_ros.rendering.shading import evened


def strip(count):
    """Triangles of a strip of so many vertices."""
    return np.array([(i, i + 1, i + 2) for i in range(count - 2)], dtype=np.int32)


def test_smoothing_is_two_neighbor_means():
    triangles = strip(7)
    neighbors = [{i} for i in range(7)]
    for triangle in triangles.tolist():
        for corner in triangle:
            neighbors[corner].update(triangle)
    values = np.random.default_rng(0).random((7, 2)).astype(np.float32)
    slow = values
    for _ in range(2):
        slow = np.array([slow[sorted(near)].mean(axis=0) for near in neighbors])
    np.testing.assert_allclose(evened(values, triangles), slow, atol=1e-6)


def test_smoothing_keeps_constants_and_separate_parts():
    triangles = np.concatenate([strip(6), strip(5) + 6])
    values = np.repeat(np.array([[1.0], [3.0]], np.float32), [6, 5], axis=0)
    np.testing.assert_allclose(evened(values, triangles), values, atol=1e-6)
    alone = evened(np.ones((12, 1), np.float32), triangles)
    assert alone[11] == 1  # a vertex that no triangle uses
