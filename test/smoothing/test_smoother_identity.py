from __future__ import annotations

import numpy as np
from support.synthetic_model import frontal_params, synthetic_model

from tddfa_ros.face import TrackedFace
from tddfa_ros.smoothing.smoother import IDENTITY_STEP, FaceSmoother, IdentityMean


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


def test_identity_follows_its_mean_in_steps_nobody_sees():
    """Equal coefficients in most frames of a settled track, and no vertex further from the mean's than a step."""
    model, rng = synthetic_model(), np.random.default_rng(2)
    smoother, mean = FaceSmoother(), IdentityMean(smoother_memory := 300.0)
    assert smoother.config.identity_memory == smoother_memory
    roi = np.array([0.0, 0.0, 240.0, 240.0])
    changes, before = 0, None
    for frame in range(400):
        params = frontal_params(model)
        params[0] = params[5] = params[10] = 500.0
        params[12:52] = 0.5 + rng.normal(scale=0.02, size=40)
        exact = mean.update(params[12:52].astype(np.float64), 1.0)
        face = TrackedFace(roi, 1.0, params, roi, model, id="f1", stamp=frame / 30)
        shape = smoother([face])[0].params[12:52]
        off = model.shape_basis.astype(np.float64) @ (shape - exact)
        assert np.linalg.norm(off, axis=1).max() < IDENTITY_STEP + 1e-7
        if frame >= 200:
            changes += before is not None and not np.array_equal(shape, before)
            before = shape
    assert 0 < changes < 40
