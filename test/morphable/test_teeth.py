"""Teeth of the default head."""

from __future__ import annotations

import numpy as np
import pytest

from tddfa_ros.model_store.store import default_store
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.morphable.teeth import LOWER, UPPER, Teeth, moved_teeth, place_teeth, teeth_of


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return MorphableModel.load(default_store().path("tddfa-head"))


@pytest.fixture(scope="module")
def teeth(model: MorphableModel) -> Teeth:
    found = teeth_of(model)
    assert found is not None
    return found


def coefficients(model: MorphableModel, **values: float) -> np.ndarray:
    out = np.zeros(len(model.expression_names), np.float32)
    for name, value in values.items():
        out[model.expression_names.index(name)] = value
    return out


def test_teeth_lie_behind_closed_lips(model: MorphableModel, teeth: Teeth) -> None:
    lips = model.landmarks_of(model.mean)[[61, 62, 63, 65, 66, 67]]
    assert teeth.vertices[:, 2].max() < lips[:, 2].min() - 0.001
    width = np.ptp(teeth.vertices[:, 0])
    assert 0.045 < width < 0.065  # m: adult arches
    assert not teeth.lower.all() and teeth.lower.any()
    upper, lower = (teeth.vertices[teeth.part(name)[0], 1].mean() for name in (UPPER, LOWER))
    assert upper > lower


def test_upper_teeth_are_fixed_and_lower_teeth_follow_the_chin(
    model: MorphableModel, teeth: Teeth
) -> None:
    opened = coefficients(model, jawOpen=1.0)
    moved = moved_teeth(model, teeth, model.mean, opened) - teeth.vertices
    assert np.allclose(moved[~teeth.lower], 0, atol=1e-6)
    params = np.zeros(model.layout.size, np.float32)
    params[model.layout.expression_slice] = opened
    chin = (model.landmarks_of(model.head(params)) - model.landmarks_of(model.mean))[8]
    assert chin[1] < -0.01
    assert np.linalg.norm(moved[teeth.lower].mean(axis=0) - chin) < 0.015
    smile = moved_teeth(model, teeth, model.mean, coefficients(model, mouthSmileLeft=1.0))
    assert np.allclose(smile, teeth.vertices, atol=1e-6)


def test_lower_teeth_move_rigidly(model: MorphableModel, teeth: Teeth) -> None:
    moved = moved_teeth(model, teeth, model.mean, coefficients(model, jawOpen=1.0))
    some = np.flatnonzero(teeth.lower)[::97]
    before, after = (
        np.linalg.norm(points[some][:, None] - points[some][None], axis=2)
        for points in (teeth.vertices, moved)
    )
    assert np.abs(before - after).max() < 1e-5


def test_teeth_follow_the_identity(model: MorphableModel, teeth: Teeth) -> None:
    rng = np.random.default_rng(3)
    params = np.zeros(model.layout.size, np.float32)
    params[model.layout.shape_slice] = rng.normal(0, 1, model.layout.shape)
    head = model.head(params)
    placed = place_teeth(model, teeth, head)
    lips = model.landmarks_of(head)
    corner_ratio = np.ptp(lips[[48, 54], 0]) / np.ptp(model.landmarks_of(model.mean)[[48, 54], 0])
    assert np.ptp(placed[:, 0]) == pytest.approx(corner_ratio * np.ptp(teeth.vertices[:, 0]), rel=1e-4)  # fmt: skip
    assert placed[:, 2].max() < lips[[62, 66], 2].max()


def test_crowns_are_closed_and_face_outward(teeth: Teeth) -> None:
    """The signed volume of the first crown, an upper central incisor, is positive and about 0.4 cm^3."""
    crown = teeth.triangles[(teeth.triangles < 14 * 7 + 1).all(axis=1)]
    a, b, c = (teeth.vertices[crown[:, i]].astype(float) - teeth.vertices[0] for i in range(3))
    volume = np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6
    assert 0.5e-7 < volume < 8e-7  # m^3
