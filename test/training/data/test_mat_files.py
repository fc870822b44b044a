from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from support.synthetic_model import landmark_template

from tddfa_ros.geometry.pose import angles_300w_lp
from tddfa_ros.training.data.layout import ItemError
from tddfa_ros.training.data.mat_files import mat_landmarks, read_300w_lp, read_aflw2000

POINTS = landmark_template() * [1500, -1500] + 225
POSE = np.array([[-0.3, 0.5, 0.1, 200.0, 210.0, 0.0, 1e-3]])


def labels(**other: np.ndarray) -> dict[str, np.ndarray]:
    """Arrays of every file of both datasets."""
    rng = np.random.default_rng(0)
    return {
        "Pose_Para": POSE,
        "Shape_Para": rng.normal(size=(199, 1)),
        "Exp_Para": rng.normal(size=(29, 1)),
        "Color_Para": np.ones((1, 7)),
        "Illum_Para": np.ones((1, 10)),
        "Tex_Para": np.ones((199, 1)),
        "roi": np.array([[90, 80, 360, 350]], np.uint16),
        **other,
    }


def w300(root: Path, name: str = "AFW/AFW_1_0", **other: np.ndarray) -> str:
    path = root / f"{name}.mat"
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, labels(**{"pt2d": POINTS.T, **other}))
    return name


def test_300w_lp(tmp_path: Path) -> None:
    face = read_300w_lp(tmp_path, w300(tmp_path))
    np.testing.assert_allclose(face.landmarks, POINTS - 1, rtol=1e-6, err_msg="counted from 0")
    assert face.silhouette
    assert face.roi is not None and face.roi.tolist() == [90, 80, 360, 350]
    np.testing.assert_allclose(face.pitch_yaw_roll, POSE[0, :3], rtol=1e-6)
    np.testing.assert_allclose(face.pose, POSE[0], rtol=1e-6)
    assert (face.shape.shape, face.expression.shape) == ((199,), (29,))
    np.testing.assert_allclose(face.shape, labels()["Shape_Para"][:, 0], rtol=1e-6)
    np.testing.assert_allclose(face.expression, labels()["Exp_Para"][:, 0], rtol=1e-6)
    yaw, pitch, roll = np.radians(angles_300w_lp(face.rotation))
    np.testing.assert_allclose([pitch, yaw, roll], POSE[0, :3], atol=1e-6)


def test_profiled_image_needs_pts_file(tmp_path: Path) -> None:
    name = w300(tmp_path, "AFW/AFW_1_7")
    with pytest.raises(ItemError, match=r"landmarks/AFW/AFW_1_7_pts\.mat.*before profiling"):
        read_300w_lp(tmp_path, name)
    beside = tmp_path / "landmarks" / f"{name}_pts.mat"
    beside.parent.mkdir(parents=True)
    savemat(beside, {"pts_2d": POINTS + 5, "pts_3d": POINTS + 3})
    face = read_300w_lp(tmp_path, name)
    np.testing.assert_allclose(face.landmarks, POINTS + 2, rtol=1e-6)
    assert not face.silhouette


def test_aflw2000(tmp_path: Path) -> None:
    deep = np.column_stack([POINTS, np.linspace(-80, 60, 68)])
    savemat(tmp_path / "image00002.mat", labels(pt2d=np.zeros((2, 21)), pt3d_68=deep.T))
    face = read_aflw2000(tmp_path, "image00002")
    np.testing.assert_allclose(face.landmarks, deep, rtol=1e-6)
    assert not face.silhouette
    given = mat_landmarks(tmp_path, "image00002", "aflw2000")
    assert given.points68 is not None and given.points68.shape == (68, 3)
    np.testing.assert_allclose(given.rotation, face.rotation)


def test_roi_is_optional(tmp_path: Path) -> None:
    values = labels(pt3d_68=np.vstack([POINTS.T, POINTS[:, 0]]))
    del values["roi"]
    savemat(tmp_path / "a.mat", values)
    assert read_aflw2000(tmp_path, "a").roi is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"pt2d": POINTS[:21].T}, r"pt2d has the shape \(2, 21\), not \(2, 68\)"),
        ({"pt2d": np.full((2, 68), np.nan)}, "pt2d contains NaN"),
        ({"pt2d": np.ones((2, 68))}, "on a line"),
        ({"Pose_Para": np.ones((1, 3))}, "Pose_Para has the shape"),
        ({"Exp_Para": np.full((29, 1), np.inf)}, "Exp_Para contains NaN"),
    ],
)
def test_rejects_invalid_arrays(tmp_path: Path, change: dict[str, np.ndarray], reason: str) -> None:
    with pytest.raises(ItemError, match=reason):
        read_300w_lp(tmp_path, w300(tmp_path, **change))


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(ItemError, match=r"there is no AFW_1_0\.mat"):
        read_300w_lp(tmp_path, "AFW/AFW_1_0")
    name = w300(tmp_path)
    with pytest.raises(ItemError, match="has no pt3d_68"):
        read_aflw2000(tmp_path, name)
    path = tmp_path / f"{name}.mat"
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(ItemError, match="is damaged"):
        read_300w_lp(tmp_path, name)
