from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the synthetic files need it")

from support.official_files import ORIGIN_UM, basel_content, whitening_content
from support.synthetic_model import synthetic_model

from tddfa_ros.errors import ModelError
from tddfa_ros.geometry.pose import to_crop
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.official.basel import Basel, to_morphable
from tddfa_ros.official.coarse import cluster
from tddfa_ros.official.whitening import Whitening


@pytest.fixture(scope="module")
def whitening() -> Whitening:
    found = Whitening.parse(whitening_content())
    assert found is not None and found.version == 2
    return found


@pytest.fixture(scope="module")
def model(whitening: Whitening) -> MorphableModel:
    basel = Basel.parse(basel_content(), "bfm.pkl")
    assert basel is not None and basel.triangles is not None
    return to_morphable(
        basel, basel.triangles, whitening, None, name="official-bfm", provenance="a test"
    )


def test_parameters_match_3ddfa_v2(model: MorphableModel, whitening: Whitening) -> None:
    """3DDFA's formula, vertex by vertex in float64, against the model after `from_space`: 1e-3 px."""
    content = basel_content()
    rng = np.random.default_rng(5)
    params = rng.normal(size=62) * whitening.std
    params[:12] = [5e-4, 1e-5, 2e-5, 60, -1e-5, 4.9e-4, 3e-5, 70, 2e-5, 1e-5, 5.1e-4, -66]
    shape = content["u"][:, 0].astype(np.float64)
    shape = shape + content["w_shp"][:, :40] @ params[12:52] + content["w_exp"] @ params[52:]
    pose = params[:12].reshape(3, 4)
    posed = shape.reshape(-1, 3) @ pose[:, :3].T + pose[:, 3]
    expected = np.stack([posed[:, 0] - 1, 120 - posed[:, 1], posed[:, 2] - 1], axis=1)
    ours = (params.astype(np.float32) @ model.from_space.T).astype(np.float32)
    found = to_crop(model.head(ours), model.layout.split(ours)[0])
    np.testing.assert_allclose(found, expected, atol=1e-3)
    rows = content["keypoints"][::3] // 3
    landmarks = to_crop(model.head_landmarks(ours), model.layout.split(ours)[0])
    np.testing.assert_allclose(landmarks, expected[rows], atol=1e-3)


def test_converts_to_morphable_model(model: MorphableModel) -> None:
    head = synthetic_model(shape=40, expressions=10)
    np.testing.assert_allclose(np.ptp(model.mean, axis=0), np.ptp(head.mean, axis=0), rtol=1e-4)
    landmarks = model.landmarks_of(model.mean)
    np.testing.assert_allclose(landmarks.mean(axis=0), 0, atol=1e-7)
    # Seen from outside, and not from inside as in the file.
    corners = model.mean[model.triangles].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    middle = (corners.mean(axis=1) - model.mean.mean(axis=0)) * [1, 1, 1]
    assert (np.einsum("ti,ti->t", normals, middle) > 0).mean() > 0.95
    assert (model.license, model.parameter_space) == ("academic use only", "3ddfa_v2")
    assert (model.uv >= 0).all() and (model.uv <= 1).all()
    assert set(np.unique(model.regions)) > {0}, "the landmarks' outlines hold vertices"
    assert model.layout.size == 62


def test_one_unit_is_one_standard_deviation(model: MorphableModel, whitening: Whitening) -> None:
    content = basel_content()
    for k in (0, 39):
        expected = content["w_shp"][:, k].reshape(-1, 3) * whitening.std[12 + k] * 1e-6
        np.testing.assert_allclose(model.shape_basis[..., k], expected, rtol=1e-5, atol=1e-9)


def test_file_round_trip(model: MorphableModel, tmp_path: Path) -> None:
    model.save(tmp_path / "m.npz", half=False)
    again = MorphableModel.load(tmp_path / "m.npz")
    assert again.topology_id == model.topology_id
    np.testing.assert_array_equal(again.shape_basis, model.shape_basis)
    np.testing.assert_array_equal(again.from_space, model.from_space)
    assert again.parameter_space == "3ddfa_v2"


def test_origin_offset_moves_into_the_pose(model: MorphableModel) -> None:
    """A pose without rotation: t of ours is where the landmarks' mean is seen."""
    params = np.zeros(62, np.float32)
    params[[0, 5, 10]], params[[3, 7, 11]] = 5e-4, (60, 70, -60)
    ours = params @ model.from_space.T
    center = (
        basel_content()["u"].reshape(-1, 3)[basel_content()["keypoints"][::3] // 3].mean(axis=0)
    )
    np.testing.assert_allclose(ours[[0, 5, 10]], 500, rtol=1e-6)
    np.testing.assert_allclose(ours[[3, 7, 11]], 5e-4 * center + [60, 70, -60], rtol=1e-5)
    assert np.abs(center - ORIGIN_UM).max() < 3000, "3 mm: landmarks are vertices here"


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("w_shp", np.zeros((2214, 12), np.float32), "w_shp of shape"),
        ("w_exp", np.zeros((30, 10), np.float32), "w_exp of shape"),
        ("keypoints", np.arange(100), "not 3 x 68"),
        ("keypoints", np.full(204, 10**6), "not 3 x 68"),
    ],
)
def test_rejects_inconsistent_arrays(key: str, value: np.ndarray, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        Basel.parse({**basel_content(), key: value}, "bfm.pkl")


def test_rejects_millimeters_and_other_triangles(whitening: Whitening) -> None:
    content = basel_content()
    basel = Basel.parse({**content, "u": content["u"] / 1000}, "bfm.pkl")
    assert basel is not None and basel.triangles is not None
    with pytest.raises(ModelError, match="not in micrometers"):
        to_morphable(basel, basel.triangles, whitening, None, name="b", provenance="")
    basel = Basel.parse(content, "bfm.pkl")
    assert basel is not None
    with pytest.raises(ModelError, match="another mesh"):
        to_morphable(basel, basel.triangles + 5, whitening, None, name="b", provenance="")
    assert Basel.parse({"u": 3}, "x") is None and Basel.parse([1], "x") is None


def test_decimation_error_is_bounded() -> None:
    head = synthetic_model(rows=60, columns=80)
    assert len(head.triangles) > 9000
    indices, triangles = cluster(head.mean, head.triangles, 2000)
    assert 1000 < len(triangles) <= 2000
    assert triangles.max() == len(indices) - 1 and len(set(indices)) == len(indices)
    assert len({tuple(sorted(t)) for t in triangles.tolist()}) == len(triangles)
    coarse = head.mean[indices]
    np.testing.assert_allclose(np.ptp(coarse, axis=0), np.ptp(head.mean, axis=0), rtol=0.05)
    corners = coarse[triangles].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    outward = np.einsum("ti,ti->t", normals, corners.mean(axis=1) - head.mean.mean(axis=0))
    assert (outward > 0).mean() > 0.97
    few, same = cluster(head.mean, head.triangles[:10], 2000)
    np.testing.assert_array_equal(few[same], head.triangles[:10])
