from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.posed import posed, random_faces
from support.synthetic_model import synthetic_model

from tddfa_ros.fitting.fit import (
    EXPRESSION_LIMITS,
    SHAPE_LIMIT,
    Fit,
    PointBasis,
    Targets,
    batches,
    fit,
)
from tddfa_ros.morphable import MorphableModel


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return synthetic_model(shape=6, expressions=8)


@pytest.fixture(scope="module")
def basis(model: MorphableModel) -> PointBasis:
    return PointBasis(model.mean, model.shape_basis, model.expression_basis)


def observe(model: MorphableModel, params: np.ndarray, sigma: float, prior: float = 1.0) -> Targets:
    """Return all vertices of the faces as noise-free observations with standard deviation ``sigma`` px."""
    points = posed(model.head(params), params).astype(np.float32)
    zero = np.zeros((len(params), model.layout.expression), np.float32)
    return Targets(points, np.full(points.shape, 1 / sigma, np.float32), zero, zero + prior)


@pytest.fixture(scope="module")
def truth(model: MorphableModel) -> np.ndarray:
    params = random_faces(model, np.random.default_rng(4), 5, expressions=4)
    params[:, 12:15] = (
        0  # uniform scaling of the head is only separated from the scale of the pose by the prior
    )
    return params


def test_recovers_faces_from_exact_points(
    model: MorphableModel, basis: PointBasis, truth: np.ndarray
) -> None:
    targets = observe(model, truth, sigma=0.01)
    found = fit(basis, targets, iterations=15)
    assert np.abs(found.points - targets.points).max() < 0.02  # px
    layout = model.layout
    np.testing.assert_allclose(found.params[:, :12], truth[:, :12], atol=1.0)  # of 500 px/m
    np.testing.assert_allclose(
        found.params[:, layout.shape_slice], truth[:, layout.shape_slice], atol=0.03
    )
    np.testing.assert_allclose(
        found.params[:, layout.expression_slice], truth[:, layout.expression_slice], atol=0.03
    )


def test_points_match_params(model: MorphableModel, basis: PointBasis, truth: np.ndarray) -> None:
    found = fit(basis, observe(model, truth, sigma=1.0))
    again = posed(model.head(found.params), found.params)
    np.testing.assert_allclose(found.points, again, atol=0.01)
    rotation = found.params[:, :12].reshape(-1, 3, 4)[:, :, :3]
    gram = rotation @ rotation.transpose(0, 2, 1)
    scale = gram[:, 0, 0]
    np.testing.assert_allclose(
        gram / scale[:, None, None], np.tile(np.eye(3), (5, 1, 1)), atol=1e-4
    )
    assert (np.linalg.det(rotation) > 0).all()


def test_noise_averages_out(model: MorphableModel, basis: PointBasis, truth: np.ndarray) -> None:
    exact = observe(model, truth, sigma=1.0)
    noise = np.random.default_rng(5).normal(0, 1, exact.points.shape).astype(np.float32)
    found = fit(basis, replace(exact, points=exact.points + noise))
    error = np.sqrt(((found.points - exact.points) ** 2).mean())
    # 21 unknowns, 3 * 800 measurements of 1 px: sqrt(21 / 2400) = 0.09 px
    assert error < 0.15


def test_unobserved_points_have_no_influence(
    model: MorphableModel, basis: PointBasis, truth: np.ndarray
) -> None:
    targets = observe(model, truth, sigma=0.01)
    seen = np.random.default_rng(6).random(targets.points.shape[:2]) < 0.6
    precision = targets.precision * seen[..., None]
    precision[:, ::3, 2] = 0  # some points have no depth
    results: list[Fit] = []
    for garbage in (0.0, 1000.0):
        points = np.where(precision > 0, targets.points, np.float32(garbage))
        results.append(fit(basis, replace(targets, points=points, precision=precision), 15))
    np.testing.assert_allclose(results[0].params, results[1].params, atol=1e-4)
    assert np.abs(results[0].points - targets.points).max() < 0.05


def test_fits_without_depth(model: MorphableModel, basis: PointBasis, truth: np.ndarray) -> None:
    targets = observe(model, truth, sigma=0.05)
    targets.precision[:, 40:, 2] = 0
    found = fit(basis, targets, 15)
    assert np.abs(found.points - targets.points)[..., :2].max() < 0.3


def test_coefficients_stay_within_their_bounds(
    model: MorphableModel, basis: PointBasis, truth: np.ndarray
) -> None:
    layout, rows = model.layout, np.arange(5)
    beyond = truth.copy()
    shape, expression = beyond[:, layout.shape_slice], beyond[:, layout.expression_slice]
    shape[:], expression[:] = 0, 0
    shape[:, 4], expression[rows, rows], expression[rows, rows + 3] = 8.0, 3.0, -2.0
    found = fit(basis, observe(model, beyond, sigma=0.1), 15).params
    shape, expression = found[:, layout.shape_slice], found[:, layout.expression_slice]
    low, high = np.float32(EXPRESSION_LIMITS)
    assert np.abs(shape).max() <= SHAPE_LIMIT
    assert expression.min() >= low and expression.max() <= high
    np.testing.assert_array_equal(shape[:, 4], SHAPE_LIMIT)
    np.testing.assert_array_equal(expression[rows, rows], high)
    np.testing.assert_array_equal(expression[rows, rows + 3], low)


def test_priors_apply_without_observations(model: MorphableModel, basis: PointBasis) -> None:
    params = random_faces(model, np.random.default_rng(7), 3)
    targets = observe(model, params, sigma=1e4)
    wanted = np.full_like(targets.expression_mean, 0.3)
    found = fit(
        basis, replace(targets, expression_mean=wanted, expression_sigma=wanted / 30)
    ).params
    np.testing.assert_allclose(found[:, model.layout.expression_slice], 0.3, atol=1e-2)
    assert np.abs(found[:, model.layout.shape_slice]).max() < 0.05


def test_batches_cover_every_row_once() -> None:
    rows = [list(range(10))[part] for part in batches(10, 4)]
    assert rows == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
