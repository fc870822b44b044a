"""Moving average: the mean at rest, on the face in motion."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from tddfa_ros.smoothing import quaternion
from tddfa_ros.smoothing.state import EXPRESSION, FaceState
from tddfa_ros.smoothing.window import WindowFilter

HZ, NOISE = 30.0, 0.002
IDENTITY = (0.0, 0.0, 0.0, 1.0)
EXTRA = 200


def window(size: int, noise: float = NOISE, extra: int = 1) -> WindowFilter:
    return WindowFilter(size, np.full(EXPRESSION + extra, noise))


def state(values: Sequence[float]) -> FaceState:
    """A face at rest but for its expression coefficients."""
    return FaceState(IDENTITY, np.concatenate([np.zeros(EXPRESSION - 3), values]))


def filtered(
    size: int, values: np.ndarray, dt: Sequence[float] | float = 1 / HZ, noise: float = NOISE
) -> np.ndarray:
    """Run over values (frames, n)."""
    filter_ = window(size, noise, values.shape[1])
    steps = np.broadcast_to(dt, len(values))
    return np.array(
        [
            filter_.update(state(v), step, 1.0).linear[EXPRESSION - 3 :]
            for v, step in zip(values, steps, strict=True)
        ]
    )


def test_is_the_mean_of_the_last_n_at_rest() -> None:
    values = np.random.default_rng(7).normal(size=(40, 1))
    got = filtered(5, values, noise=100.0)
    expected = [values[max(0, i - 4) : i + 1].mean() for i in range(40)]
    np.testing.assert_allclose(got[:, 0], expected, atol=1e-12)


@pytest.mark.parametrize(("size", "most"), [(5, 1.35), (15, 1.35), (100, 2.2)])
def test_jitter_at_rest_is_near_that_of_the_mean(size: int, most: float) -> None:
    values = np.random.default_rng(1).normal(scale=NOISE, size=(size + 60, EXTRA))
    mean = np.stack([values[i - size : i].mean(axis=0) for i in range(size + 1, size + 60)])
    got = filtered(size, values)[size + 1 :]
    assert np.diff(got, axis=0).std() < most * np.diff(mean, axis=0).std()


PATHS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "uniform": lambda t: 0.8 * t,
    "swing": lambda t: 0.5 * np.sin(2 * np.pi * 0.7 * t),
    "stop": lambda t: np.clip(t - 1, 0.0, 0.7),
    "jump": lambda t: (t > 1).astype(float),
}


@pytest.mark.parametrize("size", [5, 15, 60])
@pytest.mark.parametrize("path", PATHS)
def test_stays_on_a_moving_face(size: int, path: str) -> None:
    """Distance in face sizes, or whatever the unit of the noise: a plain mean of 15 frames is .19 off at .8 units per second."""
    t = np.arange(75) / HZ
    truth = np.tile(PATHS[path](t)[:, None], EXTRA)
    noisy = truth + np.random.default_rng(2).normal(scale=NOISE, size=truth.shape)
    off = np.abs(filtered(size, noisy) - truth)
    assert off.mean() < 2.0 * NOISE
    assert off.max() < 9.0 * NOISE


def test_uniform_motion_with_irregular_stamps_has_no_growing_lag() -> None:
    steps = np.random.default_rng(5).uniform(0.01, 0.08, size=200)
    truth = 0.7 * np.cumsum(steps)[:, None]
    off = (filtered(10, truth, steps) - truth)[20:, 0]
    assert np.abs(off).max() < 4.0 * NOISE
    faster = (filtered(10, 10 * truth, steps) - 10 * truth)[20:, 0]
    assert np.abs(faster).max() < 4.0 * NOISE


def test_mean_of_rotations_across_pi() -> None:
    """170 and -170 degrees average to 180, not to 0."""
    filter_ = window(2, noise=10.0)
    for angle in (170, -170):
        rotation = quaternion.exp([0.0, math.radians(angle), 0.0])
        turned = filter_.update(FaceState(rotation, np.zeros(EXPRESSION - 2)), 1 / HZ, 1.0)
    assert abs(quaternion.log(turned.rotation)[1]) == pytest.approx(math.pi)


def test_weights_by_confidence() -> None:
    filter_ = window(2, noise=10.0)
    filter_.update(state([0.0]), 1 / HZ, 1.0)
    assert filter_.update(state([1.0]), 1 / HZ, 0.5).linear[-1] == pytest.approx(0.2)


def test_one_frame_is_the_measurement() -> None:
    values = np.random.default_rng(3).normal(size=(9, 2))
    np.testing.assert_array_equal(filtered(1, values), values)
