from __future__ import annotations

import numpy as np

from tddfa_ros.smoothing.smoother import IdentityMean


def test_is_the_mean_weighted_with_the_square_of_confidence():
    rng = np.random.default_rng(0)
    shapes, weights = rng.normal(size=(50, 4)), rng.uniform(0.1, 1.0, size=50)
    identity = IdentityMean(memory=1000.0)
    for shape, weight in zip(shapes, weights, strict=True):
        got = identity.update(shape, float(weight))
    np.testing.assert_allclose(got, np.average(shapes, axis=0, weights=weights**2), atol=1e-12)


def test_converges_as_one_over_the_square_root_of_the_frames():
    shapes = np.random.default_rng(1).normal(size=(100, 2000))
    identity = IdentityMean(memory=1000.0)
    for shape in shapes:
        got = identity.update(shape, 1.0)
    assert abs(got.std() - 0.1) < 0.01


def test_recovers_from_a_bad_start_within_its_memory():
    identity = IdentityMean(memory=20.0)
    for _ in range(100):
        identity.update(np.ones(1), 1.0)
    for _ in range(20):
        got = identity.update(np.zeros(1), 1.0)
    np.testing.assert_allclose(got, (1 - 1 / 20) ** 20)


def test_does_not_write_into_what_it_was_given():
    first = np.zeros(3)
    identity = IdentityMean(memory=10.0)
    identity.update(first, 1.0)
    identity.update(np.ones(3), 1.0)
    np.testing.assert_array_equal(first, 0)
