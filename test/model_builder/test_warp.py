"""Smooth warp of the mean head."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tddfa_ros.fitting.fit import PointBasis
from tddfa_ros.model_builder.slide import Seen
from tddfa_ros.model_builder.warp import Warp, mean_residuals

PLACES = np.array([[0.0, 0, 0], [0.02, 0, 0], [0, 0.015, 0.005]])
MOVES = np.array([[0.0, 0, 0.003], [0, 0, 0], [0.001, 0, 0]])
MIRROR = np.array([0, 2, 1, 3], dtype=np.int32)


def test_interpolates_given_displacements() -> None:
    np.testing.assert_allclose(Warp(PLACES, MOVES, smoothing=0)(PLACES), MOVES, atol=1e-12)
    smoothed = Warp(PLACES, MOVES)(PLACES)
    assert np.abs(smoothed - MOVES).max() < 3e-4


def test_displacement_vanishes_beyond_radius() -> None:
    rng = np.random.default_rng(0)
    far = rng.normal(size=(100, 3))
    far = 0.055 * far / np.linalg.norm(far, axis=1, keepdims=True)
    np.testing.assert_array_equal(Warp(PLACES, MOVES)(far), 0)


def test_warp_is_smooth() -> None:
    line = np.linspace([-0.04, 0.001, 0.002], [0.04, 0.001, 0.002], 4001)
    moved = Warp(PLACES, MOVES)(line)
    slope = np.diff(moved, axis=0) / 2e-5
    assert np.abs(slope).max() < 0.4, "a fold"
    assert np.abs(np.diff(slope, axis=0)).max() < 2e-3, "a kink"


def test_conflicting_displacements_are_averaged() -> None:
    places = np.array([[0.0, 0, 0], [0, 0.0005, 0]])
    moves = np.array([[0.0, 0.001, 0], [0, -0.001, 0]])
    assert np.abs(Warp(places, moves)(places)).max() < 1e-4
    assert np.abs(Warp(places, moves, smoothing=0)(places)).max() == pytest.approx(1e-3)


def test_inverse_recovers_points() -> None:
    warp = Warp(PLACES, MOVES)
    before = PLACES + 0.002
    np.testing.assert_allclose(warp.undo(before + warp(before)), before, atol=1e-6)


# -- what is left over -----------------------------------------------------------------------------------------------


def faces(count: int = 80) -> np.ndarray:
    """Parameters (count, 12 + 2) of poses from -75 to 75 degrees of yaw."""
    rng = np.random.default_rng(1)
    params = np.zeros((count, 14), np.float32)
    yaw, pitch = np.linspace(-75, 75, count), rng.normal(0, 10, count)
    pose = params[:, :12].reshape(count, 3, 4)
    pose[:, :, :3] = (
        600 * Rotation.from_euler("YX", np.column_stack([yaw, pitch]), degrees=True).as_matrix()
    )
    pose[:, :2, 3] = rng.uniform(50, 70, (count, 2))
    params[:, 12:] = rng.normal(0, 1, (count, 2))
    return params


@pytest.fixture
def basis() -> PointBasis:
    rng = np.random.default_rng(2)
    mean = np.array([[0, 0.02, 0.01], [0.03, 0, 0], [-0.03, 0, 0], [0, -0.02, 0]], np.float32)
    return PointBasis(
        mean,
        rng.normal(0, 0.002, (4, 3, 1)).astype(np.float32),
        rng.normal(0, 0.002, (4, 3, 1)).astype(np.float32),
    )


def seen(basis: PointBasis, params: np.ndarray, moves: np.ndarray) -> Seen:
    heads = basis.mean + moves + np.einsum("lxc,nc->nlx", basis.joint, params[:, 12:])
    pose = params[:, :12].reshape(-1, 3, 4)
    points = heads @ pose[:, :2, :3].transpose(0, 2, 1) + pose[:, None, :2, 3]
    return Seen(params, points.astype(np.float32), np.ones(points.shape[:2], np.float32))


def test_depth_is_recovered_from_turned_faces(basis: PointBasis) -> None:
    moves = np.array([[0, 0.001, 0.003], [0.001, 0, -0.002], [-0.001, 0, -0.002], [0, 0, 0]])
    found = mean_residuals(seen(basis, faces(), moves), basis, MIRROR)
    np.testing.assert_allclose(found, moves, atol=2e-6)


def test_left_and_right_observations_are_merged(basis: PointBasis) -> None:
    moves = np.array([[0.001, 0, 0], [0.002, 0, 0], [0, 0, 0], [0, 0, 0]])
    found = mean_residuals(seen(basis, faces(), moves), basis, MIRROR)
    np.testing.assert_allclose(
        1000 * found, [[0, 0, 0], [1, 0, 0], [-1, 0, 0], [0, 0, 0]], atol=2e-3
    )


def test_outliers_are_downweighted_and_unseen_points_ignored(basis: PointBasis) -> None:
    moves = np.zeros((4, 3))
    moves[0, 2] = 0.003
    shown = seen(basis, faces(), moves)
    shown.points[::6] += 25
    shown.points[:, 3] = np.nan
    shown.weight[:, 3] = 0
    found = mean_residuals(shown, basis, MIRROR)
    assert 1000 * found[0, 2] == pytest.approx(3, abs=0.7)
    np.testing.assert_array_equal(found[3], 0)
