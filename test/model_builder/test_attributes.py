"""Projection of shape changes on an identity basis, and decoupling of their measures, without anny."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import identity
from support.synthetic_model import synthetic_model

from tddfa_ros.model_builder.attribute_recipes import RECIPES
from tddfa_ros.model_builder.attributes import IdentityProjection, measure_jacobian
from tddfa_ros.morphable.measures import MEASURES, measure_face

MODEL = synthetic_model()


@pytest.fixture(scope="module")
def projection() -> IdentityProjection:
    mean = MODEL.mean.astype(float)
    count = len(mean)
    axes = np.eye(3)
    rigid = [np.tile(axis, count) for axis in axes]
    rigid += [np.cross(axis, mean).ravel() for axis in axes]
    rng = np.random.default_rng(1)
    return IdentityProjection(
        flat=MODEL.shape_basis.reshape(3 * count, -1).astype(float),
        weight=np.sqrt(np.repeat(rng.uniform(0.1, 1, count), 3)),
        rigid=np.stack(rigid, axis=1),
        jacobian=measure_jacobian(MODEL),
        matrix=identity(count, format="csr"),
        vertex=np.arange(count),
    )


def unmoving(projection: IdentityProjection, change: np.ndarray) -> np.ndarray:
    """A change (3N,) without the rigid motion that fits it best under the weights."""
    weight = projection.weight[:, None]
    motion = np.linalg.lstsq(weight * projection.rigid, weight[:, 0] * change, rcond=None)[0]
    return change - projection.rigid @ motion


def test_projection_is_invariant_to_rigid_motion(
    projection: IdentityProjection,
) -> None:
    rng = np.random.default_rng(0)
    motion = projection.rigid @ np.array([0.01, -0.02, 0.005, 0.1, -0.05, 0.02])
    change = projection.flat @ rng.normal(size=40)
    _, explained = projection.project((change + motion).reshape(-1, 3))
    alone, explained_alone = projection.project(change.reshape(-1, 3))
    again, _ = projection.project((change + motion).reshape(-1, 3))
    assert np.allclose(alone, again, atol=1e-6)
    assert explained == pytest.approx(explained_alone)
    # Widths, heights and depths of the toy basis are nearly free of rigid motion, its waves are not.
    assert explained > 0.9


def test_explained_share(projection: IdentityProjection) -> None:
    rng = np.random.default_rng(2)
    change = 0.001 * rng.normal(size=projection.flat.shape[0])
    found, explained = projection.project(change.reshape(-1, 3))
    wanted = unmoving(projection, change) * projection.weight
    left = wanted - projection.weight * (projection.flat @ found)
    assert explained == pytest.approx(1 - (left @ left) / (wanted @ wanted), abs=1e-9)
    assert explained < 0.2
    # Least squares: the residual is orthogonal to the basis.
    across = (projection.weight[:, None] * projection.flat).T @ left
    assert np.abs(across).max() < 1e-8


def test_decoupled_direction_changes_one_measure(
    projection: IdentityProjection,
) -> None:
    rng = np.random.default_rng(3)
    names = list(MEASURES)
    own, along = "nose_width", ("mouth_width",)
    change = rng.normal(size=40)
    row = projection.jacobian[names.index(own)]
    direction = projection.decouple(change, own, along)
    assert row @ direction == pytest.approx(1, abs=1e-9)
    others = [name not in (own, *along) for name in names]
    before = projection.jacobian[others] @ (change / (row @ change))
    after = projection.jacobian[others] @ direction
    assert np.abs(after).max() < 0.3 * np.abs(before).max()


def test_jacobian_matches_finite_differences(projection: IdentityProjection) -> None:
    params = np.zeros(MODEL.layout.size, np.float32)
    start = measure_face(MODEL.head_landmarks(params))
    params[MODEL.layout.shape_slice.start] = 0.2
    moved = measure_face(MODEL.head_landmarks(params))
    for index, name in enumerate(MEASURES):
        expected = projection.jacobian[index, 0] * 0.2
        assert moved[name] - start[name] == pytest.approx(expected, abs=0.02)


def test_recipes_name_existing_measures() -> None:
    names = [recipe.name for recipe in RECIPES]
    assert len(set(names)) == len(names)
    for recipe in RECIPES:
        assert {recipe.measure, *recipe.along} - {""} <= set(MEASURES), recipe.name
        assert bool(recipe.phenotype) != bool(recipe.changes), recipe.name
