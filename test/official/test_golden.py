"""Imported files of 3DDFA_V2, against reference results of the original program on two images."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="checkpoints need torch: install the extra 'training'")
pytest.importorskip("onnxruntime")

from scipy.spatial import Delaunay
from support.golden import golden

from tddfa_ros.config import DetectionConfig
from tddfa_ros.detection import create_detector
from tddfa_ros.geometry.pose import angles_3ddfa_v2, axes_3ddfa_v2, crop_to_image
from tddfa_ros.geometry.roi import roi_from_box
from tddfa_ros.model_store.store import ModelStore, default_store
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.official.basel import Basel, parse_triangles, to_morphable
from tddfa_ros.official.importer import import_models
from tddfa_ros.official.pickles import read_pickle
from tddfa_ros.official.whitening import Whitening
from tddfa_ros.regression.regressor import Regressor

PHOTOS = ("JianzhuGuo", "emma")


@pytest.fixture(scope="module")
def folder(data_dir: Path) -> Path:
    path = data_dir / "3ddfa_v2"
    if not (path / "FaceBoxesProd.pth").is_file():
        pytest.skip(f"there are no files of 3DDFA_V2 in {path}")
    return path


@pytest.fixture(scope="module")
def store(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    """Return the store after ``tddfa models import --from`` that folder."""
    cache = tmp_path_factory.mktemp("cache")
    result = import_models(folder, ModelStore(default_store().manifest, cache))
    assert {e.name for e in result.entries} == {"faceboxes", "official-mb05"}
    (note,) = result.notes
    assert "the Basel Face Model is missing" in note and "detector faceboxes" in note
    return ModelStore(default_store().manifest, cache)


@pytest.fixture(scope="module")
def whitening(folder: Path) -> Whitening:
    found = Whitening.parse(read_pickle(folder / "param_mean_std_62d_120x120.pkl"))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def landmarks_only(folder: Path, whitening: Whitening) -> MorphableModel:
    """Return the official model reduced to its 68 landmarks, the only part that is available."""
    with np.load(folder / "bfm68.npz") as file:
        content = {key: file[key] for key in ("u", "w_shp", "w_exp")}
    basel = Basel.parse({**content, "keypoints": np.arange(204)}, "bfm68")
    assert basel is not None
    triangles = Delaunay(basel.mean[:, :2]).simplices.astype(np.int32)
    return to_morphable(basel, triangles, whitening, None, name="bfm68", provenance="a test")


@pytest.mark.parametrize("photo", PHOTOS)
def test_faceboxes_matches_3ddfa_v2(
    store: ModelStore, data_dir: Path, folder: Path, photo: str
) -> None:
    """Under 0.01 px; measured 2.5e-4 px at most on an image 3,913 px wide."""
    values = golden(data_dir, photo)
    config = DetectionConfig(detector="faceboxes", input_size=0)
    found = create_detector(config, store, "cpu")(
        cv2.imread(str(folder / "golden" / f"{photo}.jpg"))
    )
    expected = values["boxes"]
    order = [np.argsort(boxes[:, 0]) for boxes in (found, expected)]
    assert found.shape == expected.shape
    np.testing.assert_allclose(found[order[0], :4], expected[order[1], :4], atol=0.01)
    np.testing.assert_allclose(found[order[0], 4], expected[order[1], 4], atol=1e-4)
    np.testing.assert_allclose(roi_from_box(expected), values["roi_boxes"], atol=0.01)


@pytest.mark.parametrize("photo", PHOTOS)
def test_mb05_matches_3ddfa_v2(
    store: ModelStore,
    landmarks_only: MorphableModel,
    whitening: Whitening,
    data_dir: Path,
    photo: str,
) -> None:
    """Parameters within 1e-4 deviations, landmarks under 0.01 px of the image; measured 1.3e-6 and 2.4e-4 px."""
    values = golden(data_dir, photo)
    regressor = Regressor(store.path("official-mb05"), landmarks_only, "cpu")
    crops = values["crops120_bgr"].astype(np.uint8)
    result = regressor(crops)
    tensor = (crops.transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 128
    raw = regressor.session.run({"image": tensor}, ["params"])[0]
    assert (np.abs(raw - values["params62"]) / whitening.std).max() < 1e-4
    points = crop_to_image(result.landmarks, values["roi_boxes"]).transpose(0, 2, 1)
    np.testing.assert_allclose(points[:, :2], values["sparse68"][:, :2], atol=0.01)
    # The original's depth starts at its farthest landmark.
    depth = points[:, 2] - points[:, 2].min(axis=1, keepdims=True)
    np.testing.assert_allclose(depth, values["sparse68"][:, 2], atol=0.01)
    pose = regressor.morphable.layout.split(result.params)[0]
    degrees = angles_3ddfa_v2(axes_3ddfa_v2(pose))
    np.testing.assert_allclose(degrees, values["pose_yaw_pitch_roll_deg"], atol=0.01)
    assert (result.confidence > 0.8).all()
    assert np.linalg.norm(result.landmarks_direct - result.landmarks[..., :2], axis=-1).mean() < 1.5


def test_confidence_of_faces_and_noise(store: ModelStore, landmarks_only: MorphableModel) -> None:
    """Noise, a gradient and stripes have a low confidence, which is computed from the pose."""
    regressor = Regressor(store.path("official-mb05"), landmarks_only, "cpu")
    rng = np.random.default_rng(0)
    ramp = np.repeat(np.linspace(0, 255, 120)[None, :, None], 3, axis=2).repeat(120, axis=0)
    stripes = np.where(np.arange(120) // 10 % 2, 30, 220)[:, None, None].repeat(120, 1).repeat(3, 2)
    images = np.stack([rng.integers(0, 255, (120, 120, 3)), ramp, stripes]).astype(np.uint8)
    assert (regressor(images).confidence < 0.4).all()


def test_repaired_triangles_face_outward(folder: Path, landmarks_only: MorphableModel) -> None:
    """On the normalized mean shape, which keeps the orientation of the real one."""
    from tddfa_ros.official.basel import _outward
    from tddfa_ros.official.coarse import cluster

    triangles = parse_triangles(read_pickle(folder / "tri.pkl"))
    assert triangles is not None and triangles.shape == (76073, 3)
    mean = np.load(folder / "ncc_code.npy").T.astype(np.float32)
    turned = _outward(mean, triangles)
    corners = mean[turned].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (normals[:, 2] > 0).mean() > 0.8
    indices, coarse = cluster(mean, turned)
    assert 1000 < len(coarse) <= 2000
    corners = mean[indices][coarse].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (normals[:, 2] > 0).mean() > 0.8
