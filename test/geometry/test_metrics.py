from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from support.fake_predictor import box_area_root, random_points

from tddfa_ros.geometry.metrics import (
    INNER,
    angle_difference,
    auc,
    constant_tilt,
    face_size,
    geodesic_deg,
    jitter,
    nme,
    spread,
    yaw_bins,
)
from tddfa_ros.geometry.rotation import exp


def noisy_faces(count: int = 7) -> tuple[np.ndarray, np.ndarray]:
    truth = random_points(count)
    return truth + np.random.default_rng(5).normal(0, 3, truth.shape), truth


@pytest.mark.parametrize("first", [0, INNER])
def test_nme_of_a_constant_shift(first: int) -> None:
    truth = random_points(4)
    expected = [100 * 5 / box_area_root(face) for face in truth]
    np.testing.assert_allclose(nme(truth + [3, -4], truth, first), expected, rtol=1e-5)


def test_nme51_ignores_jaw() -> None:
    truth = random_points(3)
    found = truth.copy()
    found[:, :INNER] += 50
    assert not nme(found, truth, INNER).any()
    assert nme(found, truth).all()


def test_nme_matches_the_reference_protocol(data_dir: Path) -> None:
    spec = importlib.util.spec_from_file_location("protocol", data_dir / "eval" / "nme.py")
    assert spec is not None and spec.loader is not None
    protocol = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(protocol)
    found, truth = noisy_faces()
    yaw = np.array([0, 40, 70, -20, -50, -80, 10.0])
    errors = nme(found, truth)
    np.testing.assert_allclose(errors, protocol.nme(found, truth), rtol=1e-5)
    np.testing.assert_allclose(yaw_bins(errors, yaw), protocol.yaw_bins(errors, yaw)[:3])


def test_face_size_ignores_depth() -> None:
    flat = random_points(2)
    deep = np.concatenate([flat, 1000 * flat[..., :1]], axis=-1)
    np.testing.assert_array_equal(face_size(deep), face_size(flat))
    assert face_size(flat[0]) == pytest.approx(box_area_root(flat[0]))


def test_yaw_bin_edges() -> None:
    errors = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    yaw = np.array([30.0, -30.5, 60.0, -60.5, 0.0])
    assert yaw_bins(errors, yaw) == (8.5, 3.0, 8.0)


def test_empty_yaw_bin_is_nan() -> None:
    low, middle, high = yaw_bins(np.array([1.0, 3.0]), np.array([5.0, 70.0]))
    assert (low, high) == (1.0, 3.0)
    assert np.isnan(middle)


def test_auc_of_separated_mixed_and_tied_scores() -> None:
    low, high = np.array([0.1, 0.2, 0.3]), np.array([0.4, 0.5])
    assert auc(high, low) == 1.0
    assert auc(low, high) == 0.0
    assert auc(np.ones(3), np.ones(5)) == 0.5
    # Of the six pairs 0.3 wins three, 0.1 wins one, and one is a tie.
    assert auc(np.array([0.3, 0.1]), np.array([0.0, 0.1, 0.2])) == pytest.approx(4.5 / 6)
    assert np.isnan(auc(low, np.zeros(0)))


def test_auc_counts_pairs() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, 40) / 8, rng.integers(0, 7, 30) / 8
    pairs = [(x > y) + 0.5 * (x == y) for x in a for y in b]
    assert auc(a, b) == pytest.approx(np.mean(pairs))


def test_geodesic_distance_of_known_rotations() -> None:
    base = exp(np.random.default_rng(1).normal(size=(3, 3)))
    turned = exp(np.radians([[10.0, 0, 0], [0, 90, 0], [0, 0, -179]])) @ base
    np.testing.assert_allclose(geodesic_deg(base, turned), [10, 90, 179], atol=1e-5)


def test_constant_tilt_with_noise() -> None:
    rng = np.random.default_rng(2)
    truth = exp(rng.normal(size=(200, 3)))
    tilt = exp(np.radians([6.0, -2.0, 1.0]))
    found = truth @ tilt @ exp(rng.normal(0, 0.02, (200, 3)))
    assert geodesic_deg(constant_tilt(found, truth)[None], tilt[None]).item() < 0.3


def test_angle_difference_wraps() -> None:
    np.testing.assert_allclose(angle_difference([179.0, -5, 10], [-179.0, 5, 10]), [2, 10, 0])


def test_spread_and_jitter_of_white_noise() -> None:
    noise = np.random.default_rng(4).normal(0, 0.7, (400, 68, 2)) + random_points(1)
    expected = 0.7 * np.sqrt(2)  # two axes
    assert spread(noise) == pytest.approx(expected, rel=0.01)
    assert jitter(noise) == pytest.approx(expected, rel=0.01)


def test_jitter_ignores_constant_velocity_and_missing_frames() -> None:
    moving = random_points(1).astype(float) + np.arange(20)[:, None, None] * [2.0, -1.0]
    assert jitter(moving) == pytest.approx(0, abs=1e-9)
    moving[7] = np.nan
    assert jitter(moving) == pytest.approx(0, abs=1e-9)
    assert np.isnan(jitter(moving[:2]))
