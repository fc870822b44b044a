from __future__ import annotations

import numpy as np

from tddfa_ros.smoothing.smoother import IdentityMean


def test_identity_mean_is_weighted_by_squared_confidence():
    rng = np.random.default_rng(0)
    shapes, weights = rng.normal(size=(50, 4)), rng.uniform(0.1, 1.0, size=50)
    identity = IdentityMean(memory=1000.0)
    for shape, weight in zip(shapes, weights, strict=True):
        got = identity.update(shape, float(weight))
    np.testing.assert_allclose(got, np.average(shapes, axis=0, weights=weights**2), atol=1e-12)


def test_identity_error_decreases_with_sqrt_of_frames():
    shapes = np.random.default_rng(1).normal(size=(100, 2000))
    identity = IdentityMean(memory=1000.0)
    for shape in shapes:
        got = identity.update(shape, 1.0)
    assert abs(got.std() - 0.1) < 0.01


def test_identity_recovers_from_poor_start():
    identity = IdentityMean(memory=20.0)
    for _ in range(100):
        identity.update(np.ones(1), 1.0)
    for _ in range(20):
        got = identity.update(np.zeros(1), 1.0)
    np.testing.assert_allclose(got, (1 - 1 / 20) ** 20)


def test_input_is_not_modified():
    first = np.zeros(3)
    identity = IdentityMean(memory=10.0)
    identity.update(first, 1.0)
    identity.update(np.ones(3), 1.0)
    np.testing.assert_array_equal(first, 0)
