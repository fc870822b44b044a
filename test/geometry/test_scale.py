from __future__ import annotations

import numpy as np
import pytest
from support.metric_heads import landmarks

from tddfa_ros.geometry.scale import (
    DEPTH_SIGMA,
    SIZE_PRIOR,
    HeadScale,
    eye_span,
    scale_from_depth,
    scale_from_interpupillary_distance,
)


def face_points(rng: np.random.Generator, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Points on a curved face at 0.8 m, and their pixels in an image of 640x480."""
    x, y = rng.uniform(-0.06, 0.06, (2, n))
    points = np.column_stack([x, y, 0.8 + 8 * x * x + 4 * y * y])
    return points, points[:, :2] / points[:, 2:] * 600 + (320, 240)


def depth_of(pixels: np.ndarray, values: np.ndarray) -> np.ndarray:
    depth = np.zeros((480, 640), np.float32)
    columns, rows = np.rint(pixels).astype(int).T
    depth[rows, columns] = values
    return depth


@pytest.mark.parametrize("factor", [0.75, 1.0, 1.2])
def test_recovers_scale_from_noisy_depth(factor: float) -> None:
    rng = np.random.default_rng(0)
    points, pixels = face_points(rng)
    depth = depth_of(pixels, factor * points[:, 2] + rng.normal(0, 0.005, len(points)))
    scale = scale_from_depth(points, pixels, depth)
    assert scale is not None
    assert scale.factor == pytest.approx(factor, rel=0.003)
    assert scale.measured
    assert DEPTH_SIGMA < scale.sigma < 0.02


def test_ignores_hands_background_and_holes() -> None:
    rng = np.random.default_rng(1)
    points, pixels = face_points(rng)
    values = 0.85 * points[:, 2] + rng.normal(0, 0.003, len(points))
    kind = rng.random(len(points))
    values[kind < 0.2] -= 0.15  # a hand in front
    values[(kind >= 0.2) & (kind < 0.3)] = 2.5  # background
    values[(kind >= 0.3) & (kind < 0.5)] = 0.0  # not measured
    values[(kind >= 0.5) & (kind < 0.52)] = np.nan
    scale = scale_from_depth(points, pixels, depth_of(pixels, values))
    assert scale is not None
    assert scale.factor == pytest.approx(0.85, rel=0.01)


def test_no_scale_without_enough_consistent_depth() -> None:
    rng = np.random.default_rng(2)
    points, pixels = face_points(rng)
    assert scale_from_depth(points, pixels, np.zeros((480, 640), np.float32)) is None
    assert scale_from_depth(points, pixels + 1000, np.ones((480, 640), np.float32)) is None
    few = depth_of(pixels[:10], points[:10, 2])
    assert scale_from_depth(points, pixels, few) is None
    anything = rng.uniform(0.3, 5.0, (480, 640)).astype(np.float32)
    assert scale_from_depth(points, pixels, anything) is None


def test_interpupillary_distance_sets_the_size() -> None:
    head = landmarks()
    scale = scale_from_interpupillary_distance(head, 0.050)
    assert eye_span(scale.factor * head) == pytest.approx(0.050)
    assert scale.sigma < SIZE_PRIOR.sigma / 2
    assert not scale.measured
    assert scale_from_interpupillary_distance(np.zeros((68, 3)), 0.06) == HeadScale(*SIZE_PRIOR)
