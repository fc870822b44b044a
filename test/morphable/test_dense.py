from __future__ import annotations

import numpy as np
import pytest
from support.synthetic_model import random_params, synthetic_model

from tddfa_ros.morphable import dense
from tddfa_ros.morphable.dense import KEPT_IDENTITIES, DenseHead, find_zones

COUNT, SHAPE, EXPRESSIONS = 6000, 5, 12


@pytest.fixture(autouse=True)
def _splits_pay_for_small_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense, "_LEAST_SAVING", 500)


def sparse_model() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and bases of a head on which each expression moves one stretch of the vertices, in shuffled order, and none a third."""
    rng = np.random.default_rng(0)
    mean = rng.normal(scale=0.1, size=(COUNT, 3)).astype(np.float32)
    shape = rng.normal(scale=0.005, size=(COUNT, 3, SHAPE)).astype(np.float32)
    expression = rng.normal(scale=0.01, size=(COUNT, 3, EXPRESSIONS)).astype(np.float32)
    along = rng.permutation(COUNT) / COUNT
    first = rng.uniform(0, 0.5, EXPRESSIONS)
    moved = (along[:, None] >= first) & (along[:, None] < first + 0.15)
    expression *= moved[:, None]
    return mean, shape, expression


def coefficients(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, SHAPE + EXPRESSIONS)).astype(np.float32)


def heads_of(head: DenseHead, values: np.ndarray) -> list[np.ndarray]:
    out = [np.full((COUNT, 3), np.nan, np.float32) for _ in values]
    head(values, out)
    return out


def linear(model: tuple[np.ndarray, np.ndarray, np.ndarray], values: np.ndarray) -> np.ndarray:
    """The definition, in float64."""
    mean, shape, expression = (part.astype(np.float64) for part in model)
    return mean + shape @ values[:SHAPE] + expression @ values[SHAPE:]


@pytest.mark.parametrize("faces", [1, 3, KEPT_IDENTITIES + 3])
def test_equals_the_linear_model(faces: int) -> None:
    """To 0.5 um: rounding errors of float32."""
    model = sparse_model()
    head = DenseHead(*model)
    assert head._order is not None  # the zones are used
    values = coefficients(faces)
    for _ in range(2):  # computed and kept identities
        heads = heads_of(head, values)
        assert len(heads) == faces
        for found, row in zip(heads, values, strict=True):
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, linear(model, row), atol=5e-7)


def test_dense_expression_basis_is_one_product() -> None:
    mean, shape, expression = sparse_model()
    model = mean, shape, np.where(expression == 0, np.float32(0.001), expression)
    head = DenseHead(*model)
    assert len(head._zones) == 1
    assert head._order is None
    values = coefficients(3)
    for found, row in zip(heads_of(head, values), values, strict=True):
        np.testing.assert_allclose(found, linear(model, row), atol=5e-7)


def test_model_evaluates_all_vertices_by_its_bases() -> None:
    model = synthetic_model()
    params = np.stack([random_params(model, np.random.default_rng(k)) for k in range(3)])
    bases = np.concatenate([model.shape_basis, model.expression_basis], axis=2).astype(np.float64)
    for found, row in zip(model.heads(params), params, strict=True):
        np.testing.assert_allclose(found, model.mean + bases @ row[12:].astype(float), atol=5e-7)


def test_model_without_expressions_or_without_movement() -> None:
    mean, shape, expression = sparse_model()
    for basis in (expression[:, :, :0], np.zeros_like(expression)):
        values = coefficients(2)[:, : SHAPE + basis.shape[2]]
        for found, row in zip(heads_of(DenseHead(mean, shape, basis), values), values, strict=True):
            np.testing.assert_allclose(found, mean + shape @ row[:SHAPE], atol=5e-7)


def test_zones_cover_every_movement_once() -> None:
    moved = (sparse_model()[2] != 0).any(axis=1)
    zones = find_zones(moved)
    assert len(zones) > 1
    covered = np.zeros_like(moved, dtype=int)
    for vertices, expressions in zones:
        covered[np.ix_(vertices, expressions)] += 1
    assert covered.max() == 1
    assert (covered[moved] == 1).all()
    assert covered.sum() < 0.5 * moved.size
    assert moved.sum() <= covered.sum()


def test_identity_is_computed_once() -> None:
    head = DenseHead(*sparse_model())
    shape = coefficients(1)[:, :SHAPE]
    first = head.neutral(shape)[0]
    assert head.neutral(shape.copy())[0] is first
    assert head.neutral(shape + np.float32(1e-3))[0] is not first
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0


def test_heads_do_not_share_memory_with_kept_identities() -> None:
    head, values = DenseHead(*sparse_model()), coefficients(2)
    before = [found.copy() for found in heads_of(head, values)]
    for found in heads_of(head, values):
        found += 1.0
    for found, expected in zip(heads_of(head, values), before, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_number_of_kept_identities_is_limited() -> None:
    """The identities used last are kept; those of a data set are not."""
    head = DenseHead(*sparse_model())
    values = coefficients(KEPT_IDENTITIES)
    heads_of(head, values)
    first = head.neutral(values[:1, :SHAPE])[0]
    heads_of(head, coefficients(KEPT_IDENTITIES - 1, seed=2))
    assert len(head._kept) == KEPT_IDENTITIES
    heads_of(head, coefficients(KEPT_IDENTITIES + 1, seed=3))
    assert head.neutral(values[:1, :SHAPE])[0] is first
    assert sum(
        kept.base is None or kept.base.nbytes == kept.nbytes for kept in head._kept.values()
    ) == len(head._kept)


def test_splits_only_where_it_saves(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = (sparse_model()[2] != 0).any(axis=1)
    monkeypatch.setattr(dense, "_LEAST_SAVING", 10 * moved.size)
    zones = find_zones(moved)
    assert len(zones) == 1
