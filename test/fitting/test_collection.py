"""Reading a face collection: 1-based annotations, ensemble landmarks, held-out faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tddfa_ros.fitting.collection import counted_from_zero, grid_spacing, load_source, to_crop_frame

ROI = np.array([36, 36, 156, 156], np.float32)


def write(root: Path, source: str, n: int, **arrays: np.ndarray) -> np.ndarray:
    """Write a source of faces without mesh labels; return 3DDFA_V2's points (n, 68, 3)."""
    rng = np.random.default_rng(0)
    teacher = rng.uniform(40, 150, (n, 68, 3)).astype(np.float16)
    np.savez(
        root / f"{source}.npz",
        name=np.array([f"{source}/{i}.webp" for i in range(n)]),
        roi=np.repeat(ROI[None], n, axis=0),
        v2_68=teacher,
        v2_spread=np.full(n, 0.005, np.float32),
        v2_ypr=np.zeros((n, 3), np.float32),
        fm478_coef=np.zeros((n, 4), np.float16),
        arkit52=np.zeros((n, 52), np.float16),
        **{"split": np.full(n, "train"), **arrays},
    )
    np.savez(
        root / "fm478_basis.npz",
        mean=np.zeros(478 * 3, np.float32),
        basis=np.zeros((4, 478 * 3), np.float16),
    )
    return teacher.astype(np.float32)


def test_grid_spacing_of_integer_points() -> None:
    pixels = np.random.default_rng(1).integers(20, 110, (68, 2))
    assert grid_spacing(pixels * 1.62 + 3.4) == pytest.approx(1.62, rel=1e-3)
    assert np.isnan(grid_spacing(np.random.default_rng(1).uniform(20, 110, (68, 2))))


def test_ytf_points_shift_by_one_source_pixel() -> None:
    pixels = np.random.default_rng(1).integers(20, 110, (2, 68, 2))
    points = (pixels * np.array([1.5, 2.0])[:, None, None]).astype(np.float32)
    moved = points - counted_from_zero("ytf", points)
    np.testing.assert_allclose(moved[0], 1.5, atol=1e-3)
    np.testing.assert_allclose(moved[1], 2.0, atol=1e-3)


def test_zero_based_sources_are_unchanged() -> None:
    points = np.random.default_rng(1).uniform(20, 110, (2, 68, 2)).astype(np.float32)
    np.testing.assert_array_equal(counted_from_zero("lp", points), points)
    assert (counted_from_zero("helen", points) < points).all()


def test_loads_ensemble_landmarks(tmp_path: Path) -> None:
    teacher = write(tmp_path, "utk", 3)
    residual = np.full((3, 51, 2), 8, np.int8)  # units of 1/8 px
    residual[0, 5] = 127  # out of range
    weight = np.ones((3, 3), np.float16)
    weight[2] = 0  # all networks contradict the teacher
    pose = np.zeros((3, 3), np.float32)
    pose[1, 0] = 40.0
    np.savez(tmp_path / "ens_utk.npz", ens51=residual, ens_w=weight, ot_ypr=pose)
    faces = load_source(tmp_path, "utk")
    expected = to_crop_frame(teacher[:, 17:, :2] + 1, faces.roi)
    np.testing.assert_allclose(faces.ensemble51[1], expected[1], atol=1e-3)
    assert np.isnan(faces.ensemble51[0, 5]).all() and np.isfinite(faces.ensemble51[0, 6]).all()
    assert np.isnan(faces.ensemble51[2]).all()
    assert faces.rejected.tolist() == [False, True, False]


def test_rejects_nothing_without_ensemble(tmp_path: Path) -> None:
    write(tmp_path, "utk", 2)
    faces = load_source(tmp_path, "utk")
    assert np.isnan(faces.ensemble51).all() and not faces.rejected.any()


def test_validation_images_are_held_out_in_every_source(tmp_path: Path) -> None:
    split = np.array(["train", "val", "train"])
    photo = np.array(["AFW_10", "AFW_11", "IBUG_image_3"])
    write(tmp_path, "lp", 3, split=split, photo=photo, gt68=np.ones((3, 68, 2), np.float32))
    path = np.array(["x/afw/10_1.jpg", "x/afw/11_2.jpg"])
    write(tmp_path, "afw", 2, path=path)
    assert load_source(tmp_path, "lp").evaluation.tolist() == [False, True, False]
    assert load_source(tmp_path, "lp").true_points
    assert load_source(tmp_path, "afw").evaluation.tolist() == [False, True]
