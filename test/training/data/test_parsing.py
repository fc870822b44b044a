from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.posed import random_faces
from support.synthetic_model import frontal_params, synthetic_model

from tddfa_ros.errors import ConfigError
from tddfa_ros.geometry.pose import rotation_from_yaw_pitch_roll, to_crop
from tddfa_ros.model_builder.regions import REGION_NAMES
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.rendering.parsing import (
    CLASS_NAMES,
    CLASSES,
    class_shares,
    colorize,
    render_parsing,
    vertex_classes,
)
from tddfa_ros.training.data.frames import IGNORE

SCALE = 4  # the crop of 120 px, drawn larger


@pytest.fixture(scope="module")
def model(repo_root: Path) -> MorphableModel:
    return MorphableModel.load(repo_root / "models" / "tddfa_head.npz")


def draw(model: MorphableModel, params: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The parsing of a face and its 68 landmarks, px of that image."""
    pose = params[:12].reshape(3, 4)
    vertices = to_crop(model.head(params), pose) * np.float32(SCALE)
    landmarks = to_crop(model.head_landmarks(params), pose)[:, :2] * SCALE
    return render_parsing(model, vertices, (120 * SCALE, 120 * SCALE)), landmarks


def class_at(parsing: np.ndarray, point: np.ndarray) -> str:
    x, y = np.round(point).astype(int)
    return CLASS_NAMES[parsing[y, x]]


def test_class_ids_are_fixed() -> None:
    names = ["background", "skin", "brows", "eyes", "nose", "lips", "mouth", "ears", "neck"]
    assert list(CLASS_NAMES) == names
    assert IGNORE == 255
    assert len({kind.color for kind in CLASSES}) == len(CLASSES)


def test_default_model_regions_have_one_class(model: MorphableModel) -> None:
    mapped = [region for kind in CLASSES for region in kind.regions]
    assert sorted(mapped) == sorted(REGION_NAMES)
    classes = vertex_classes(model)
    assert set(classes.tolist()) == set(range(len(CLASSES)))
    left = model.regions == model.region_names.index("left_ear")
    assert (classes[left] == CLASS_NAMES.index("ears")).all()


def test_reports_unknown_region() -> None:
    small = synthetic_model(shape=4, expressions=6)
    values = {
        name: getattr(small, name)
        for name in small.__dataclass_fields__
        if name not in ("topology_id", "region_names")
    }
    other = MorphableModel.create(**values, region_names=("skin", "horns", "neck"))
    with pytest.raises(ConfigError, match="'horns' of synthetic"):
        class_shares(other)


@pytest.mark.parametrize("yaw", [0, -30, 40])
def test_classes_match_landmarks(model: MorphableModel, yaw: float) -> None:
    params = frontal_params(model, 560)
    rotation = rotation_from_yaw_pitch_roll(np.array([yaw, 0, 0]))
    params[:12].reshape(3, 4)[:, :3] = 560 * rotation
    params[52 + model.expression_names.index("jawOpen")] = 0.5
    parsing, at = draw(model, params)
    eyes = {19: slice(36, 42), 24: slice(42, 48)}  # brow landmark -> its eye
    near = {0: [19, 24], -30: [24], 40: [19]}[int(yaw)]
    assert class_at(parsing, at[30]) == "nose"
    assert class_at(parsing, (at[62] + at[66]) / 2) == "mouth"
    assert class_at(parsing, (at[57] + at[66]) / 2) == "lips"
    assert class_at(parsing, at[8] - [0, 12]) == "skin"
    for brow in near:
        assert class_at(parsing, at[brow]) == "brows"
        assert class_at(parsing, at[eyes[brow]].mean(axis=0)) == "eyes"
    assert parsing[2, 2] == 0
    counts = np.bincount(parsing.ravel(), minlength=9)
    assert (counts[1:] > 0).all()


def test_hidden_parts_are_not_rendered(model: MorphableModel) -> None:
    """In profile only one ear and one eye are visible."""
    params = frontal_params(model, 500)
    params[:12].reshape(3, 4)[:, :3] = 500 * rotation_from_yaw_pitch_roll(np.array([90.0, 0, 0]))
    parsing, at = draw(model, params)
    ears = np.argwhere(parsing == CLASS_NAMES.index("ears"))
    # turned to the person's own left, the nose points to the right of the image and the right ear is seen
    assert at[30, 0] > ears[:, 1].max()
    right = model.regions == model.region_names.index("right_ear")
    shares = np.eye(len(CLASSES), dtype=np.float32)[np.where(right, 7, 0)]
    vertices = to_crop(model.head(params), params[:12].reshape(3, 4)) * np.float32(SCALE)
    only = render_parsing(model, vertices, parsing.shape, shares)
    assert (parsing == 7).sum() == pytest.approx((only == 7).sum(), rel=0.1)
    eyes = (parsing == CLASS_NAMES.index("eyes")).sum()
    assert 0 < eyes < 0.7 * (draw(model, frontal_params(model, 500))[0] == 3).sum()


def test_pixel_class_follows_vertices(model: MorphableModel) -> None:
    params = random_faces(model, np.random.default_rng(0), 1)[0]
    parsing, _ = draw(model, params)
    assert set(np.unique(parsing)) <= set(range(len(CLASSES)))
    everything = np.eye(len(CLASSES), dtype=np.float32)[np.full(len(model.mean), 8)]
    vertices = to_crop(model.head(params), params[:12].reshape(3, 4)) * np.float32(SCALE)
    drawn = render_parsing(model, vertices, parsing.shape, everything)
    assert set(np.unique(drawn)) == {0, 8}


def test_smoothing_keeps_vertex_classes(model: MorphableModel) -> None:
    shares = class_shares(model)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    classes = vertex_classes(model)
    assert (shares.argmax(axis=1) == classes).mean() > 0.97
    for index in range(1, len(CLASSES)):  # no part of the face shrinks away
        kept = (shares.argmax(axis=1) == index).sum() / (classes == index).sum()
        assert kept == pytest.approx(1, abs=0.1), CLASS_NAMES[index]


def test_class_boundary_crosses_triangles(model: MorphableModel) -> None:
    """Pixels of one triangle whose corners differ belong to both classes, each on the side of its corners."""
    corners = model.triangles[np.ptp(vertex_classes(model)[model.triangles], axis=1) > 0][0]
    a, b, c = corners
    vertices = np.zeros((len(model.mean), 3), np.float32)
    vertices[a], vertices[b], vertices[c] = [(5, 5, 0), (95, 5, 0), (5, 95, 0)]
    shares = np.zeros((len(model.mean), len(CLASSES)), np.float32)
    shares[:, 1] = 1
    shares[b] = np.eye(len(CLASSES))[2]
    drawn = render_parsing(model, vertices, (100, 100), shares)
    assert drawn[8, 40] == 1 and drawn[8, 60] == 2 and drawn[80, 8] == 1


def test_colors() -> None:
    shown = colorize(np.array([[0, 4, IGNORE]], np.uint8))
    assert shown[0].tolist() == [[0, 0, 0], list(CLASSES[4].color), [128, 128, 128]]
