"""The IMM filter against signals with a known answer, noise as small as that of the network (0.00125 face sizes)."""

from __future__ import annotations

import numpy as np
import pytest

from tddfa_ros.config import SmoothingConfig
from tddfa_ros.smoothing.filters import MotionFilter, create_filter
from tddfa_ros.smoothing.state import EXPRESSION, FaceState
from tddfa_ros.types import DoubleArray

NOISE = SmoothingConfig().noise
FILTERS, AXES = 4, 3  # noise sequences side by side: x, y and z of the position in several filters
HZ = 30.0


def imm(margin: float = 2.0) -> MotionFilter:
    return create_filter(SmoothingConfig(imm_margin=margin), 0)


def at(position: DoubleArray) -> FaceState:
    """A face of 1 px, the exponential of its log size 0, at x, y, z in face sizes."""
    linear = np.zeros(EXPRESSION - 3)
    linear[:AXES] = position
    return FaceState((0.0, 0.0, 0.0, 1.0), linear)


def filtered(
    signal: DoubleArray,
    noise: float = NOISE,
    *,
    steps: DoubleArray | None = None,
    weight: float = 1.0,
    margin: float = 2.0,
) -> DoubleArray:
    """Estimates (t, FILTERS * AXES) of a position (t,) in face sizes, measured with white noise every ``steps`` (t,) s."""
    steps = np.full(len(signal), 1 / HZ) if steps is None else steps
    white = np.random.default_rng(0).normal(scale=noise, size=(FILTERS, len(signal), AXES))
    runs = []
    for sequence in white:
        filter_ = imm(margin)
        measured = signal[:, None] + sequence
        runs.append(
            [
                filter_.update(at(position), dt, weight).linear[:AXES]
                for position, dt in zip(measured, steps, strict=True)
            ]
        )
    return np.concatenate(np.asarray(runs), axis=1)


def seconds(length: float) -> DoubleArray:
    return np.arange(round(length * HZ)) / HZ


def jitter(track: DoubleArray) -> float:
    return float(np.sqrt(np.mean(np.diff(track, 2, axis=0) ** 2) / 6))


def test_rest_has_half_the_noise() -> None:
    rest = filtered(np.zeros(150))[60:]
    assert rest.std() < 0.6 * NOISE
    assert jitter(rest) < 0.45 * NOISE


@pytest.mark.parametrize("speed", [0.05, 0.3, 1.5])
def test_constant_velocity_has_no_lag(speed: float) -> None:
    t = seconds(4)
    ramp = speed * t
    error = filtered(ramp)[60:] - ramp[60:, None]
    assert abs(error.mean()) < max(0.6 * NOISE, 0.003 * speed)  # 3 ms


@pytest.mark.parametrize("hz", [0.5, 1.0, 2.0])
def test_swing_is_followed_in_full(hz: float) -> None:
    t = seconds(5)
    swing = 0.2 * np.sin(2 * np.pi * hz * t)
    out = filtered(swing).mean(axis=1)[45:]
    assert np.sqrt(np.mean((out - swing[45:]) ** 2)) < 2 * NOISE
    assert out @ swing[45:] / (swing[45:] @ swing[45:]) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("speed", [0.3, 1.5])
def test_sudden_stop_does_not_overshoot(speed: float) -> None:
    t = seconds(4)
    path = speed * np.minimum(t, 2)
    after = filtered(path).mean(axis=1)[61:]
    assert after.max() - path[-1] < 2 * NOISE


def test_jump_is_followed_at_once() -> None:
    path = np.repeat([0.0, 0.1], 60)
    assert filtered(path).mean(axis=1)[60] > 0.09


def test_dropped_frames_do_not_change_the_answer() -> None:
    """The same motion with every second frame missing in places."""
    kept = np.sort(np.random.default_rng(4).permutation(150)[:110])
    t = kept / HZ
    swing = 0.2 * np.sin(2 * np.pi * 0.7 * t)
    steps = np.diff(t, prepend=t[0] - 1 / HZ)
    error = filtered(swing, steps=steps).mean(axis=1)[40:] - swing[40:]
    assert np.sqrt(np.mean(error**2)) < 2 * NOISE


def test_stronger_noise_is_estimated() -> None:
    rest = filtered(np.zeros(400), 8 * NOISE)[200:]
    assert rest.std() < 0.6 * 8 * NOISE


def test_low_confidence_follows_noise_less() -> None:
    rest = np.zeros(150)
    assert filtered(rest, weight=0.3)[60:].std() < 0.8 * filtered(rest)[60:].std()


def test_larger_margin_is_steadier() -> None:
    rest = np.zeros(150)
    assert filtered(rest, margin=4.0)[60:].std() < 0.9 * filtered(rest, margin=1.0)[60:].std()


def test_degrees_of_freedom_are_independent() -> None:
    """A jump of x does not change how y is filtered."""
    noise = np.random.default_rng(1).normal(scale=NOISE, size=(90, AXES))

    def y(jump: float) -> DoubleArray:
        filter_ = imm()
        path = noise + np.outer(np.arange(90) >= 60, [jump, 0, 0])
        return np.array([filter_.update(at(p), 1 / HZ, 1.0).linear[1] for p in path])

    np.testing.assert_array_equal(y(0.5), y(0.0))
