"""Filters, against closed-form responses."""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.linalg import solve_discrete_are
from scipy.spatial.transform import Rotation

from tddfa_ros.config import SmoothingConfig
from tddfa_ros.errors import ConfigError
from tddfa_ros.smoothing import quaternion
from tddfa_ros.smoothing.filters import (
    SIGNIFICANT,
    KalmanFilter,
    MotionFilter,
    OneEuroFilter,
    Tuning,
    create_filter,
    excess,
    one_euro_alpha,
)
from tddfa_ros.smoothing.state import EXPRESSION, FaceState

DT = 1 / 30
IDENTITY = (0.0, 0.0, 0.0, 1.0)


def tuning(
    min_cutoff: float = 1.0, beta: float = 0.0, noise: float = 0.005, extra: int = 1
) -> Tuning:
    ones = np.ones(EXPRESSION + extra)
    return Tuning(min_cutoff * ones, beta * ones, noise * ones)


def plain(min_cutoff: float = 1.0, beta: float = 0.0, d_cutoff: float = 1.0) -> OneEuroFilter:
    """Casiez's filter, without the lag term."""
    return OneEuroFilter(tuning(min_cutoff, beta), d_cutoff, lag_cutoff=0.0)


def scalar(value: float) -> FaceState:
    """A face at rest but for its one expression coefficient."""
    linear = np.zeros(EXPRESSION - 3 + 1)
    linear[-1] = value
    return FaceState(IDENTITY, linear)


def turned(vector: Sequence[float]) -> FaceState:
    return FaceState(quaternion.exp(vector), np.zeros(EXPRESSION - 3 + 1))


def run(
    filter_: MotionFilter,
    values: Sequence[float],
    dt: float | Sequence[float] = DT,
    weight: float = 1.0,
) -> np.ndarray:
    steps = np.broadcast_to(dt, len(values))
    return np.array(
        [
            filter_.update(scalar(float(v)), float(h), weight).linear[-1]
            for v, h in zip(values, steps, strict=True)
        ]
    )


@pytest.mark.parametrize("cutoff", [0.05, 1.0, 20.0])
@pytest.mark.parametrize("dt", [1 / 120, 1 / 30, 0.2])
def test_alpha_matches_paper(cutoff: float, dt: float):
    tau = 1 / (2 * math.pi * cutoff)
    assert one_euro_alpha(cutoff, dt) == pytest.approx(1 / (1 + tau / dt), rel=1e-12)


def test_one_euro_matches_paper_for_irregular_steps():
    rng = np.random.default_rng(0)
    values = np.cumsum(rng.normal(size=200))
    steps = rng.uniform(0.01, 0.1, size=200)
    min_cutoff, beta, d_cutoff = 0.7, 0.4, 1.3
    x, dx, expected = values[0], 0.0, [values[0]]
    for i in range(1, 200):
        raw = (values[i] - values[i - 1]) / steps[i]
        dx += one_euro_alpha(d_cutoff, steps[i]) * (raw - dx)
        x += one_euro_alpha(min_cutoff + beta * abs(dx), steps[i]) * (values[i] - x)
        expected.append(x)
    got = run(plain(min_cutoff, beta, d_cutoff), values, steps)
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


def test_step_response_is_geometric():
    got = run(plain(min_cutoff=2.0), [0.0] + [1.0] * 30)
    alpha = one_euro_alpha(2.0, DT)
    np.testing.assert_allclose(got, 1 - (1 - alpha) ** np.arange(31), atol=1e-12)


@pytest.mark.parametrize("dt", [1 / 60, 1 / 30, 1 / 10])
def test_ramp_lag_is_independent_of_frame_rate(dt: float):
    t = np.arange(0, 30, dt)
    lag = t[-1] - run(plain(min_cutoff=0.5), t, dt)[-1]
    assert lag == pytest.approx(1 / (2 * math.pi * 0.5), rel=1e-6)


def test_cutoff_rises_with_speed_and_beta():
    speed, min_cutoff, beta = 3.0, 0.2, 2.0
    t = np.arange(0, 20, DT)
    lag = t[-1] - run(plain(min_cutoff, beta), speed * t)[-1] / speed
    assert lag == pytest.approx(1 / (2 * math.pi * (min_cutoff + beta * speed)), rel=1e-6)


@pytest.mark.parametrize("hz", [0.3, 1.0, 4.0])
def test_sinusoid_gain_and_phase_match_low_pass(hz: float):
    t = np.arange(0, 40, DT)
    got = run(plain(min_cutoff=1.0), np.sin(2 * math.pi * hz * t))
    alpha = one_euro_alpha(1.0, DT)
    response = alpha / (1 - (1 - alpha) * cmath.exp(-2j * math.pi * hz * DT))
    expected = abs(response) * np.sin(2 * math.pi * hz * t + cmath.phase(response))
    np.testing.assert_allclose(got[600:], expected[600:], atol=1e-9)


def test_white_noise_reduction_matches_theory():
    noise = np.random.default_rng(1).normal(size=15_000)
    alpha = one_euro_alpha(1.0, DT)
    got = run(plain(min_cutoff=1.0), noise)[1000:].std()
    assert got == pytest.approx(math.sqrt(alpha / (2 - alpha)), rel=0.05)


def test_weight_counts_as_inverse_noise():
    """Half the confidence is twice the noise, a quarter of the odds alpha / (1 - alpha) of the new sample."""
    alpha = one_euro_alpha(1.0, DT)
    odds = alpha / (1 - alpha) / 4
    got = run(plain(min_cutoff=1.0), [0.0, 1.0], weight=0.5)[-1]
    assert got == pytest.approx(odds / (1 + odds), rel=1e-12)


@pytest.mark.parametrize("speed", [0.02, 0.3, 1.5])
def test_lag_compensation_bounds_lag(speed: float):
    ramp = speed * np.arange(0, 8, DT)
    config = SmoothingConfig(beta=3.0, noise=0.005)
    original = OneEuroFilter(tuning(config.min_cutoff, config.beta), 1.0, 0.0)
    ours = OneEuroFilter(tuning(config.min_cutoff, config.beta), 1.0, config.lag_cutoff)
    trails, kept = ramp[-1] - run(original, ramp)[-1], ramp[-1] - run(ours, ramp)[-1]
    assert 0 <= kept < trails
    assert kept < 2 * config.noise  # deviations up to two standard deviations are not compensated


def test_lag_compensation_ignores_noise():
    noise = np.random.default_rng(2).normal(scale=0.005, size=3000)
    config = SmoothingConfig()
    original = run(OneEuroFilter(tuning(config.min_cutoff, config.beta), 1.0, 0.0), noise)
    ours = run(OneEuroFilter(tuning(config.min_cutoff, config.beta), 1.0, config.lag_cutoff), noise)
    assert ours[300:].std() < 1.25 * original[300:].std()


@pytest.mark.parametrize("stronger", [2.0, 3.0])
def test_lag_compensation_adapts_to_noise(stronger: float):
    noise = np.random.default_rng(3).normal(scale=0.00125 * stronger, size=3000)
    config = SmoothingConfig()
    filter_ = OneEuroFilter(tuning(config.min_cutoff, config.beta), 1.0, config.lag_cutoff)
    assert run(filter_, noise)[600:].std() < 0.4 * noise.std()


@pytest.mark.parametrize(("weight", "hurries"), [(1.0, True), (0.5, False)])
def test_lag_compensation_is_weaker_for_low_confidence(weight: float, hurries: bool):
    """A lasting offset of 2.4 standard deviations is significant for a sure face, but is 1.2 at half the confidence."""
    values = [0.0] * 30 + [0.012] * 20
    original = run(OneEuroFilter(tuning(0.15), 1.0, 0.0), values, weight=weight)
    ours = run(OneEuroFilter(tuning(0.15), 1.0, 10.0), values, weight=weight)
    assert (ours[-1] > original[-1] + 1e-3) == hurries


def test_lag_compensation_follows_jump_immediately():
    values = [0.0] * 60 + [0.1] * 10
    config = SmoothingConfig()
    ours = run(
        OneEuroFilter(tuning(config.min_cutoff, config.beta), 1.0, config.lag_cutoff), values
    )
    original = run(OneEuroFilter(tuning(config.min_cutoff, config.beta), 1.0, 0.0), values)
    assert ours[61] > 0.09 > original[61]
    assert ours.max() <= 0.1 + 1e-12


def test_excess_is_odd_and_smooth():
    x = np.linspace(-40, 40, 8001)
    got = excess(x, np.ones_like(x))
    np.testing.assert_allclose(got, -got[::-1], atol=1e-12)
    assert (got[np.abs(x) <= SIGNIFICANT] == 0).all()
    slope = np.gradient(got, x)
    assert slope.min() >= 0
    assert slope.max() <= 1
    assert np.abs(np.diff(slope)).max() < 0.01
    assert got[-1] > 0.85 * (
        40 - SIGNIFICANT
    )  # what is left of a large deviation stays below 2 GRADUAL
    np.testing.assert_allclose(excess(3 * x, np.full_like(x, 3.0)), 3 * got, atol=1e-12)


def default_one_euro() -> OneEuroFilter:
    config = SmoothingConfig()
    return OneEuroFilter(tuning(config.min_cutoff, config.beta), 1.0, config.lag_cutoff)


def drift(speed: float, dt: float) -> np.ndarray:
    """A face that rests for a second, then drifts for seven; ``speed`` in face sizes per second."""
    return speed * np.maximum(0.0, np.arange(0, 8, dt) - 1)


@pytest.mark.parametrize("dt", [1 / 60, 1 / 30, 1 / 15])
@pytest.mark.parametrize("px_per_frame", [0.1, 0.25, 0.5, 1.0, 2.0])
def test_constant_velocity_gives_even_steps(px_per_frame: float, dt: float):
    """px of a 200 px face at 30 Hz. A filter that opens abruptly shows stick-slip: steps of 0.08, 0.10, 0.78 px."""
    path = drift(px_per_frame * 30 / 200, dt)
    step = px_per_frame * 30 / 200 * dt
    jerks = np.diff(run(default_one_euro(), path, dt), 2)
    assert np.abs(jerks).max() < step  # the motion itself begins with a jerk of one step
    assert np.abs(jerks[len(jerks) // 2 :]).max() < 0.02 * step


@pytest.mark.parametrize("px_per_frame", [0.25, 0.5, 1.0])
def test_slow_oscillation_reverses_smoothly(px_per_frame: float):
    """4 s per swing; after the first, the largest second difference stays well below the largest step."""
    t = np.arange(0, 12, DT)
    path = px_per_frame / 200 * 4 / (2 * math.pi * DT) * np.sin(2 * math.pi * t / 4)
    jerks = np.diff(run(default_one_euro(), path), 2)[120:]
    assert np.abs(jerks).max() < 0.35 * px_per_frame / 200


@pytest.mark.parametrize("noise_px", [0.2, 1.0])
@pytest.mark.parametrize("px_per_frame", [0.1, 0.25, 0.5, 1.0, 2.0])
def test_drifting_face_has_less_jitter_than_measurements(px_per_frame: float, noise_px: float):
    path = drift(px_per_frame * 30 / 200, DT)
    rng = np.random.default_rng(8)
    given, smoothed = [], []
    for _ in range(5):
        measured = path + rng.normal(scale=noise_px / 200, size=path.size)
        given.append(np.diff(measured, 2)[60:])
        smoothed.append(np.diff(run(default_one_euro(), measured), 2)[60:])
    assert np.std(smoothed) < 0.5 * np.std(given)


def rotation_filters() -> dict[str, MotionFilter]:
    config = SmoothingConfig()
    return {
        m: create_filter(SmoothingConfig(method=m), 1)
        for m in ("imm", "one_euro", "kalman", "window")
    } | {"plain": OneEuroFilter(Tuning.from_config(config, 1), 1.0, 0.0)}


@pytest.mark.parametrize("name", ["imm", "one_euro", "kalman", "window", "plain"])
def test_rotation_through_pi_takes_shorter_way(name: str):
    filter_ = rotation_filters()[name]
    axis = np.array([0.6, 0.8, 0.0])
    rate, trailing = 1.0, []
    # 13 rad: more than two turns, across pi and the sign change of the quaternion
    for i in range(400):
        state = filter_.update(turned((axis * rate * i * DT).tolist()), DT, 1.0)
        truth = Rotation.from_rotvec(axis * rate * i * DT)
        error = (Rotation.from_quat(state.rotation).inv() * truth).as_rotvec()
        trailing.append(error @ axis)
        # Each axis of the head has its own cutoff, so the estimate leaves the axis, but by little.
        np.testing.assert_allclose(np.cross(error, axis), 0, atol=0.02)
    assert max(np.abs(trailing)) < 0.2
    # constant rate, constant lag: nothing happens at pi
    np.testing.assert_allclose(trailing[100:], trailing[-1], atol=2e-3)


def test_single_axis_rotation_matches_scalar_filter():
    angles = np.cumsum(np.random.default_rng(4).normal(scale=0.05, size=100))
    same = OneEuroFilter(tuning(0.5, 0.7), 1.0, 10.0)
    expected = run(same, angles)
    filter_ = OneEuroFilter(tuning(0.5, 0.7), 1.0, 10.0)
    got = [filter_.update(turned([0.0, float(a), 0.0]), DT, 1.0).rotation for a in angles]
    np.testing.assert_allclose([quaternion.log(q)[1] for q in got], expected, atol=1e-9)


def test_translation_is_filtered_in_face_sizes():
    """The same motion in an image twice as large gives the same estimate, twice as large."""

    def follow(factor: float) -> np.ndarray:
        filter_ = create_filter(SmoothingConfig(), 1)
        out = []
        for i in range(60):
            linear = np.zeros(EXPRESSION - 3 + 1)
            linear[0] = factor * (0.3 * i + 2 * math.sin(i))
            linear[3] = math.log(factor * 100)
            out.append(filter_.update(FaceState(IDENTITY, linear), DT, 1.0).linear[0])
        return np.array(out)

    np.testing.assert_allclose(follow(2.0), 2 * follow(1.0), rtol=1e-12)


def kalman(noise: float, acceleration: float) -> KalmanFilter:
    ones = np.ones(EXPRESSION + 1)
    return KalmanFilter(noise * ones, acceleration * ones)


@pytest.mark.parametrize(("dt", "noise", "acceleration"), [(1 / 30, 0.005, 0.3), (0.1, 0.03, 2.0)])
def test_kalman_gain_converges_to_riccati_solution(dt: float, noise: float, acceleration: float):
    transition = np.array([[1, dt], [0, 1]])
    process = acceleration**2 * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
    seen = np.array([[1.0, 0.0]])
    p = solve_discrete_are(transition.T, seen.T, process, [[noise**2]])
    gain = p[0, 0] / (p[0, 0] + noise**2)
    velocity_gain = p[0, 1] / (p[0, 0] + noise**2)
    got = run(kalman(noise, acceleration), [0.0] * 400 + [1.0, 1.0], dt)
    assert got[-2] == pytest.approx(gain, rel=1e-9)
    predicted = gain + dt * velocity_gain
    assert got[-1] == pytest.approx(predicted + gain * (1 - predicted), rel=1e-9)


def test_kalman_has_no_lag_on_a_ramp_with_irregular_stamps():
    steps = np.random.default_rng(5).uniform(0.01, 0.08, size=600)
    t = np.cumsum(steps)
    got = run(kalman(0.005, 0.3), 0.7 * t, steps)
    np.testing.assert_allclose(got[200:], 0.7 * t[200:], atol=1e-6)


def test_kalman_weight_is_inverse_noise():
    values = np.random.default_rng(6).normal(size=400)
    np.testing.assert_allclose(
        run(kalman(0.005, 0.3), values, weight=0.5)[300:],
        run(kalman(0.010, 0.3), values, weight=1.0)[300:],
        atol=1e-9,  # the first covariances differ, and are forgotten
    )


def test_rejects_unknown_method():
    with pytest.raises(ConfigError, match="method"):
        create_filter(SmoothingConfig(method="none"), 1)


def test_scale_goes_with_translation_and_shear_with_rotation():
    config = SmoothingConfig(min_cutoff=1.0, rotation_min_cutoff=2.0, expression_min_cutoff=3.0)
    got = Tuning.from_config(config, 4).min_cutoff
    np.testing.assert_array_equal(got, [2, 2, 2, 1, 1, 1, 1, *[2] * 9, *[3] * 4])
