"""Scalar quaternions, against SciPy and `tddfa_ros.geometry.rotation`."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tddfa_ros.geometry import rotation
from tddfa_ros.smoothing import quaternion


def random_rotations(n: int) -> list[Rotation]:
    rng = np.random.default_rng(3)
    return [Rotation.from_quat(q) for q in rng.normal(size=(n, 4))]


def test_product_matrix_and_back_agree_with_scipy():
    for a, b in zip(random_rotations(50), random_rotations(100)[50:], strict=True):
        got = quaternion.to_matrix(quaternion.product(tuple(a.as_quat()), tuple(b.as_quat())))
        np.testing.assert_allclose(got, (a * b).as_matrix(), atol=1e-12)
        back = quaternion.to_matrix(quaternion.from_matrix(a.as_matrix().tolist()))
        np.testing.assert_allclose(back, a.as_matrix(), atol=1e-12)


@pytest.mark.parametrize("axis", np.eye(3).tolist() + (-np.eye(3)).tolist() + [[0.6, 0.0, -0.8]])
def test_half_turns_round_trip_through_matrix(axis: list[float]):
    r = rotation.exp(np.array(axis) * math.pi)
    np.testing.assert_allclose(
        quaternion.to_matrix(quaternion.from_matrix(r.tolist())), r, atol=1e-12
    )


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-7, 0.3, 2.0, math.pi - 1e-6])
def test_exp_and_log_match_geometry_and_invert(angle: float):
    vector = np.array([0.6, 0.0, -0.8]) * angle
    q = quaternion.exp(vector.tolist())
    np.testing.assert_allclose(quaternion.to_matrix(q), rotation.exp(vector), atol=1e-12)
    np.testing.assert_allclose(quaternion.log(q), vector, atol=1e-9)


def test_log_returns_shorter_rotation():
    beyond = quaternion.exp([0.0, math.pi + 0.1, 0.0])
    np.testing.assert_allclose(quaternion.log(beyond), [0.0, -(math.pi - 0.1), 0.0], atol=1e-12)


def test_between_and_turned_are_inverse():
    a, b = (tuple(r.as_quat()) for r in random_rotations(2))
    reached = quaternion.turned(a, quaternion.between(a, b))
    np.testing.assert_allclose(quaternion.to_matrix(reached), quaternion.to_matrix(b), atol=1e-12)


def test_mean_matches_scipy_and_ignores_signs():
    rotations = [Rotation.from_rotvec([0.1 * i, 0.2, -0.05 * i]) for i in range(5)]
    weights = [1.0, 2.0, 0.5, 1.0, 3.0]
    expected = Rotation.concatenate(rotations).mean(weights).as_matrix()
    flipped = [tuple((-1) ** i * r.as_quat()) for i, r in enumerate(rotations)]
    got = quaternion.to_matrix(quaternion.mean(flipped, weights))
    np.testing.assert_allclose(got, expected, atol=1e-12)
