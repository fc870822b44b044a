from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tddfa_ros.geometry import rotation


@pytest.fixture
def vectors() -> np.ndarray:
    rng = np.random.default_rng(1)
    axes = rng.normal(size=(200, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    angles = np.concatenate(
        [rng.uniform(0, np.pi, 180), np.full(10, np.pi - 1e-9), np.full(10, 1e-9)]
    )
    return axes * angles[:, None]


def test_exp_is_scipys_rotvec(vectors: np.ndarray) -> None:
    np.testing.assert_allclose(
        rotation.exp(vectors), Rotation.from_rotvec(vectors).as_matrix(), atol=1e-12
    )


def test_log_inverts_exp_from_zero_to_half_a_turn(vectors: np.ndarray) -> None:
    np.testing.assert_allclose(rotation.log(rotation.exp(vectors)), vectors, atol=1e-7)
    assert rotation.log(np.eye(3)).tolist() == [0, 0, 0]


def test_quaternion_is_scipys_with_positive_w(vectors: np.ndarray) -> None:
    q = rotation.quaternion(rotation.exp(vectors))
    expected = Rotation.from_rotvec(vectors).as_quat()
    assert (q[:, 3] >= 0).all()
    np.testing.assert_allclose(np.abs((q * expected).sum(axis=1)), 1.0, atol=1e-12)
    np.testing.assert_allclose(
        rotation.rotation_from_quaternion(3 * q), rotation.exp(vectors), atol=1e-12
    )


@pytest.mark.parametrize("axis", range(3))
def test_quaternion_of_half_turns(axis: int) -> None:
    half_turn = -np.eye(3)
    half_turn[axis, axis] = 1
    assert np.abs(rotation.quaternion(half_turn)).tolist() == np.eye(4)[axis].tolist()


def test_nearest_rotation_removes_scale_and_reflection() -> None:
    r = rotation.exp(np.array([0.3, -0.8, 0.2]))
    stretch = np.diag([1.1, 0.9, 1.0])
    np.testing.assert_allclose(rotation.nearest_rotation(r @ stretch), r, atol=1e-12)
    mirrored = rotation.nearest_rotation(np.stack([r, -r]))
    np.testing.assert_allclose(np.linalg.det(mirrored), 1.0)


def test_angle_between_rotations() -> None:
    a = rotation.exp(np.array([0.4, 0.1, -0.9]))
    b = a @ rotation.exp(np.array([0.0, 0.7, 0.0]))
    assert rotation.angle_between(a, b) == pytest.approx(0.7)
