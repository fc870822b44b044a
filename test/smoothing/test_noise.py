from __future__ import annotations

import numpy as np
import pytest

from tddfa_ros.smoothing.noise import NoiseEstimate


def estimate(samples: np.ndarray, steps: np.ndarray, expected: float = 0.005) -> np.ndarray:
    """Final estimates (D,) for samples (frames, D)."""
    noise = NoiseEstimate(np.full(samples.shape[1], expected))
    for before, after, dt in zip(samples, samples[1:], steps[1:], strict=False):
        noise.update(after - before, float(dt))
    return noise.std


@pytest.mark.parametrize("factor", [1.5, 3.0])
def test_estimates_white_noise_on_moving_head(factor: float):
    rng = np.random.default_rng(0)
    steps = rng.uniform(0.02, 0.05, size=900)
    t = np.cumsum(steps)
    path = 0.8 * t + 0.3 * t**2
    samples = path[:, None] + rng.normal(scale=0.005 * factor, size=(900, 200))
    # Outliers count less, which costs a Gaussian about 3 % of its deviation while the level is rising.
    assert estimate(samples, steps).mean() == pytest.approx(0.005 * factor, rel=0.06)


def test_motion_at_irregular_stamps_is_not_noise():
    steps = np.random.default_rng(1).uniform(0.01, 0.1, size=300)
    t = np.cumsum(steps)
    samples = np.stack([2 * t, 1.5 * t**2], axis=1)
    np.testing.assert_allclose(estimate(samples, steps), 0.005)


def test_noise_estimate_is_bounded():
    steps = np.full(600, 1 / 30)
    rng = np.random.default_rng(2)
    assert estimate(0.0001 * rng.normal(size=(600, 1)), steps) == pytest.approx(0.005)
    assert estimate(1.0 * rng.normal(size=(600, 1)), steps) == pytest.approx(0.080)


def test_single_jump_barely_raises_noise():
    samples = np.zeros((60, 1))
    samples[50:] = 1.0
    assert estimate(samples, np.full(60, 1 / 30))[0] < 0.007
