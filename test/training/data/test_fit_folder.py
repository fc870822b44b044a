from __future__ import annotations

import csv
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import savemat
from support.posed import random_faces
from support.user_dataset import ROI, gradient

from tddfa_ros.errors import ConfigError
from tddfa_ros.geometry.pose import to_image
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.cache import CACHE_SIDE
from tddfa_ros.training.data.fit_folder import fit_source, landmark_source, mat_source
from tddfa_ros.training.data.items import FolderDataset, read_items
from tddfa_ros.training.data.layout import read_list

COUNT = 3


@pytest.fixture(scope="module")
def model(repo_root: Path) -> MorphableModel:
    return MorphableModel.load(repo_root / "models" / "tddfa_head.npz")


@pytest.fixture(scope="module")
def points(model: MorphableModel) -> np.ndarray:
    params = random_faces(model, np.random.default_rng(1), COUNT)
    return to_image(
        model.head_landmarks(params), params[:, :12].reshape(-1, 3, 4), np.tile(ROI, (COUNT, 1))
    )


@pytest.fixture
def source(tmp_path: Path, points: np.ndarray) -> Path:
    """A folder with raw/s/0.png ... and points/s/0.npy ..."""
    for folder in ("raw/s", "points/s"):
        (tmp_path / folder).mkdir(parents=True)
    for i in range(COUNT):
        cv2.imwrite(str(tmp_path / f"raw/s/{i}.png"), gradient())
        np.save(tmp_path / f"points/s/{i}.npy", points[i])
    return tmp_path


def test_fit_writes_a_dataset(model: MorphableModel, source: Path, points: np.ndarray) -> None:
    output = source / "data"
    done = fit_source(landmark_source([source / "points"]), source / "raw", output, model)
    assert done.bad == () and done.mean_error < 0.5
    assert done.list_file == output / "fitted.list"
    assert read_list(done.list_file) == ["s/0", "s/1", "s/2"]
    items = read_items(done.list_file, model, strict=True)
    for i, sample in enumerate(FolderDataset(items)):
        roi = np.load(output / f"rois/s/{i}.npy")
        pose = sample.params[:12].reshape(3, 4)
        found = to_image(model.head_landmarks(sample.params), pose, roi)
        assert np.linalg.norm((found - points[i])[:, :2], axis=1).mean() < 1.0
        assert sample.params.dtype == np.float32 and roi.dtype == np.float32
        # the middle of the crop shows the middle of the ROI
        assert (
            abs(int(sample.image[CACHE_SIDE // 2, CACHE_SIDE // 2, 0]) - (roi[0] + roi[2]) / 2) < 2
        )
    rows = list(csv.DictReader(done.table.open()))
    assert [row["name"] for row in rows] == ["s/0", "s/1", "s/2"]
    errors = [float(row["error_percent"]) for row in rows]
    assert errors == pytest.approx([face.error for face in done.faces], abs=0.006)
    assert [face.error for face in done.worst(2)] == sorted(f.error for f in done.faces)[:0:-1]
    assert {row["pose_difference_deg"] for row in rows} == {""}


def test_unusable_items_are_reported_and_excluded(model: MorphableModel, source: Path) -> None:
    (source / "raw/s/1.png").unlink()
    np.save(source / "points/s/2.npy", np.full((68, 2), np.nan))
    given = landmark_source([source / "points"])
    lines: list[str] = []
    arguments = (given, source / "raw", source / "data", model)
    with pytest.raises(ConfigError, match="2 of 3 items"):
        fit_source(*arguments, strict=True, report=lines.append)
    assert not (source / "data" / "params").exists()
    lines.clear()
    done = fit_source(*arguments, report=lines.append)
    assert [face.name for face in done.faces] == ["s/0"]
    assert lines[0].startswith("s/1: there is no image") and "NaN" in lines[1]
    assert lines[2].startswith("2 of 3 items of") and len(lines) == 3
    assert not (source / "data" / "params/s/1.npy").exists()


def test_bad_fits_can_be_excluded(model: MorphableModel, source: Path, points: np.ndarray) -> None:
    noise = np.random.default_rng(0).normal(0, 12, (68, 3))
    np.save(source / "points/s/1.npy", points[1] + noise)
    lines: list[str] = []
    done = fit_source(
        landmark_source([source / "points"]),
        source / "raw",
        source / "data",
        model,
        max_error=3.0,
        report=lines.append,
    )
    assert read_list(done.list_file) == ["s/0", "s/2"]
    assert "misses the landmarks by" in lines[0]
    used = [row["used"] for row in csv.DictReader(done.table.open())]
    assert used == ["1", "0", "1"]


def test_list_selects_items_and_names_output(model: MorphableModel, source: Path) -> None:
    path = source / "val.list"
    path.write_text("s/2.png\n")
    given = landmark_source([source / "points"], path)
    done = fit_source(given, source / "raw", source / "data", model)
    assert done.list_file.name == "val_fitted.list" and done.table.name == "val_fit.csv"
    assert [face.name for face in done.faces] == ["s/2"]


def test_existing_images_folder_is_kept(model: MorphableModel, source: Path) -> None:
    shutil.move(source / "raw", source / "data" / "images")
    given = landmark_source([source / "points"])
    for _ in range(2):
        done = fit_source(given, source / "data" / "images", source / "data", model)
        assert len(done.faces) == COUNT and not (source / "data" / "images").is_symlink()
    (source / "other").mkdir()
    with pytest.raises(ConfigError, match="choose another output folder"):
        fit_source(given, source / "other", source / "data", model)


def test_nothing_to_fit(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no landmarks"):
        landmark_source([source / "raw"])
    with pytest.raises(ConfigError, match=r"no image with a \.mat file"):
        mat_source("aflw2000", source / "raw")


@pytest.mark.parametrize("kind", ["aflw2000", "300w-lp"])
def test_fits_mat_files(model: MorphableModel, tmp_path: Path, data_dir: Path, kind: str) -> None:
    """Files as distributed, made of AFLW2000-3D's own points and poses."""
    with np.load(data_dir / "eval" / "aflw2000" / "gt.npz") as file:
        points, pose = file["pts68"][:4], file["pitch_yaw_roll_rad"][:4]
    images = tmp_path / "SET"
    (images / "AFW").mkdir(parents=True)
    for i in range(4):
        name = f"AFW/image{i:05d}_0"
        cv2.imwrite(str(images / f"{name}.jpg"), np.full((450, 450, 3), 90, np.uint8))
        para = np.concatenate([pose[i], [200, 200, 0, 1e-3]])[None]
        values = {
            "Pose_Para": para,
            "Shape_Para": np.zeros((199, 1)),
            "Exp_Para": np.zeros((29, 1)),
        }
        if kind == "aflw2000":
            savemat(images / f"{name}.mat", {**values, "pt3d_68": points[i]})
        else:
            savemat(images / f"{name}.mat", {**values, "pt2d": points[i, :2]})
    cv2.imwrite(str(images / "AFW/unlabeled.jpg"), np.zeros((9, 9, 3), np.uint8))
    done = fit_source(mat_source(kind, images), images, tmp_path / "data", model)
    assert len(done.faces) == 4 and done.mean_error < 1.5
    assert np.mean([face.turned for face in done.faces]) < 5.0  # degrees from the labeled pose
    assert len(read_items(done.list_file, model, strict=True)) == 4
