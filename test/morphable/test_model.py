from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from support.synthetic_model import (
    frontal_params,
    landmark_template,
    random_params,
    synthetic_model,
)

from tddfa_ros.errors import ModelError
from tddfa_ros.morphable import MorphableModel


def dense(model: MorphableModel, params: np.ndarray) -> np.ndarray:
    """The textbook formula in float64."""
    _, a, e = model.layout.split(params.astype(np.float64))
    return (
        model.mean
        + model.shape_basis.astype(np.float64) @ a
        + model.expression_basis.astype(np.float64) @ e
    )


def altered(path: Path, **changes: object) -> Path:
    """Rewrite a model file with some keys changed, or dropped where the change is None."""
    with np.load(path) as file:
        stored = {key: file[key] for key in file.files}
    stored |= changes
    np.savez(path, **{key: value for key, value in stored.items() if value is not None})
    return path


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "head.npz"
    synthetic_model().save(path)
    return path


def test_head_is_the_linear_model() -> None:
    model = synthetic_model()
    params = random_params(model, np.random.default_rng(0))
    np.testing.assert_allclose(model.head(params), dense(model, params), atol=1e-6)
    assert model.head(params).dtype == np.float32


def test_head_of_many_faces_equals_single_faces() -> None:
    model = synthetic_model()
    rng = np.random.default_rng(1)
    params = np.stack([random_params(model, rng) for _ in range(6)])
    together = model.head(params.reshape(2, 3, -1))
    assert together.shape == (2, 3, model.vertex_count, 3)
    for k, single in enumerate(params):
        np.testing.assert_allclose(together.reshape(6, -1, 3)[k], model.head(single), atol=1e-6)
    assert model.head(np.zeros((0, model.layout.size), np.float32)).shape == (
        0,
        model.vertex_count,
        3,
    )


def test_landmarks_and_coarse_vertices_are_those_of_the_head() -> None:
    model = synthetic_model()
    params = np.stack([random_params(model, np.random.default_rng(k)) for k in range(3)])
    heads = model.head(params)
    np.testing.assert_allclose(model.head_landmarks(params), model.landmarks_of(heads), atol=2e-5)
    np.testing.assert_allclose(
        model.head_landmarks(params[0]), model.landmarks_of(heads[0]), atol=2e-5
    )
    np.testing.assert_allclose(model.head_coarse(params), heads[:, model.coarse_indices], atol=2e-5)


def test_pose_is_ignored_and_zero_is_the_mean() -> None:
    model = synthetic_model()
    np.testing.assert_array_equal(model.head(frontal_params(model)), model.mean)


@pytest.mark.parametrize("shape", [(), (3,), (2, 103)])
def test_rejects_wrong_number_of_parameters(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="104 parameters"):
        synthetic_model().head(np.zeros(shape, np.float32))


def test_file_round_trip(saved: Path) -> None:
    model, loaded = synthetic_model(), MorphableModel.load(saved)
    for field in dataclasses.fields(MorphableModel):
        ours, theirs = getattr(model, field.name), getattr(loaded, field.name)
        np.testing.assert_array_equal(ours, theirs, err_msg=field.name)
        assert type(ours) is type(theirs)
    assert loaded.layout.size == 104
    again = saved.with_name("again.npz")
    loaded.save(again)
    assert MorphableModel.load(again).topology_id == model.topology_id


def test_reads_the_former_spelling_of_license(saved: Path) -> None:
    expected = MorphableModel.load(saved).license
    path = altered(saved, licence=np.array(expected), license=None)
    assert MorphableModel.load(path).license == expected != ""


def test_half_precision_error() -> None:
    model = synthetic_model()
    exact = np.random.default_rng(0).normal(scale=0.002, size=model.shape_basis.shape)
    values = {
        f.name: getattr(model, f.name) for f in dataclasses.fields(model) if f.name != "topology_id"
    }
    stored = MorphableModel.create(**values | {"shape_basis": exact}).shape_basis
    assert np.abs(stored - exact).max() < 1e-5
    assert np.abs(stored - exact).max() > 0


def test_full_precision_is_optional_and_never_lost_silently(tmp_path: Path) -> None:
    model = synthetic_model()
    exact = (
        np.random.default_rng(0)
        .normal(scale=0.002, size=model.shape_basis.shape)
        .astype(np.float32)
    )
    values = {
        f.name: getattr(model, f.name) for f in dataclasses.fields(model) if f.name != "topology_id"
    }
    full = MorphableModel.create(half=False, **values | {"shape_basis": exact})
    with pytest.raises(ModelError, match="precision"):
        full.save(tmp_path / "half.npz")
    full.save(tmp_path / "full.npz", half=False)
    np.testing.assert_array_equal(MorphableModel.load(tmp_path / "full.npz").shape_basis, exact)


def test_topology_id_depends_on_content_only() -> None:
    model = synthetic_model()
    values = {
        f.name: getattr(model, f.name) for f in dataclasses.fields(model) if f.name != "topology_id"
    }
    assert (
        MorphableModel.create(**values | {"name": "other", "license": "?"}).topology_id
        == model.topology_id
    )
    ids = {model.topology_id}
    for key in ("mean", "uv", "shape_basis", "expression_basis"):
        array = np.array(values[key])
        array.flat[7] += 0.01
        ids.add(MorphableModel.create(**values | {key: array}).topology_id)
    ids.add(
        MorphableModel.create(**values | {"triangles": model.triangles[:, [1, 2, 0]]}).topology_id
    )
    names = ("x", *model.expression_names[1:])
    ids.add(MorphableModel.create(**values | {"expression_names": names}).topology_id)
    assert len(ids) == 7
    assert all(len(i) == 16 and int(i, 16) >= 0 for i in ids)


def test_arrays_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        synthetic_model().mean[0] = 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": np.array("something else")}, "not a morphable model of format"),
        ({"uv": None}, "lacks uv"),
        ({"shape_scale": None}, "lacks shape_scale"),
        ({"mean": np.zeros((5, 3), np.float32)}, "shape_basis has shape"),
        ({"shape_scale": np.ones(3, np.float32)}, "do not fit together"),
        ({"expression_scale": np.full(52, np.nan, np.float32)}, "NaN"),
        ({"triangles": np.array([[0, 1, 10**6]], np.int32)}, "outside its 738 vertices"),
        ({"coarse_triangles": np.array([[0, 1, -1]], np.int32)}, "coarse_triangles points outside"),
        ({"landmark_weights": np.ones((68, 3), np.float32)}, "barycentric"),
        ({"expression_names": np.array(["jawOpen"] * 52)}, "same name"),
        ({"region_names": np.array(["skin"])}, "regions points outside"),
        ({"uv": np.zeros((738, 2), np.float32)}, "damaged"),
    ],
)
def test_rejects_damaged_files(saved: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        MorphableModel.load(altered(saved, **changes))


def test_rejects_missing_and_truncated_files(saved: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        MorphableModel.load(saved.with_name("nowhere.npz"))
    saved.write_bytes(saved.read_bytes()[:5000])
    with pytest.raises(ModelError, match="not a readable"):
        MorphableModel.load(saved)
    saved.write_text("this is text")
    with pytest.raises(ModelError, match="not a readable"):
        MorphableModel.load(saved)


def test_synthetic_model_follows_the_conventions() -> None:
    """Many tests depend on the synthetic model."""
    model = synthetic_model()
    landmarks = model.head_landmarks(frontal_params(model)).astype(np.float64)
    np.testing.assert_allclose(landmarks.mean(axis=0), 0, atol=1e-6)
    shift = landmarks[:, :2] - landmark_template()
    np.testing.assert_allclose(shift, shift[:1].repeat(68, axis=0), atol=1e-6)
    assert landmarks[30, 2] == landmarks[:, 2].max()  # the tip of the nose is in front
    a, b, c = np.moveaxis(model.mean[model.triangles].astype(np.float64), 1, 0)
    normals, centers = np.cross(b - a, c - a), (a + b + c) / 3
    outward = ((centers - model.mean.mean(axis=0)) * normals).sum(axis=1)
    assert (outward > 0).all()
