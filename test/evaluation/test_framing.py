"""Shifted and scaled ROIs, and the held-out faces of 300W-LP and CFP."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.fake_predictor import FakePredictor, box_area_root, numbered_image, random_points

from tddfa_ros.evaluation import cfp, framing, lp
from tddfa_ros.evaluation.prediction import Prediction
from tddfa_ros.evaluation.sets import Sets
from tddfa_ros.geometry.roi import roi_from_landmarks


def test_roi_shift_and_scale() -> None:
    rois = np.array([[0, 0, 100, 100], [50, 20, 250, 220]], np.float64)
    moved = framing.changed_rois(rois, 0.15, 1.0)
    middle = (moved[:, :2] + moved[:, 2:]) / 2 - (rois[:, :2] + rois[:, 2:]) / 2
    np.testing.assert_allclose(np.linalg.norm(middle, axis=1), [15, 30])
    np.testing.assert_allclose(moved[:, 2] - moved[:, 0], [100, 200])
    np.testing.assert_allclose(
        framing.changed_rois(rois, 0.0, 1.25)[0], [-12.5, -12.5, 112.5, 112.5]
    )


def test_first_and_second_pass_rois(tmp_path: Path) -> None:
    points = random_points(15)
    folder = tmp_path / "eval" / "aflw2000"
    names = [f"{i}.png" for i in range(15)]
    for i, name in enumerate(names):
        numbered_image(folder / "photo" / name, i, (200, 200))
    rois = np.tile([10.0, 10, 190, 190], (15, 1))
    np.savez(
        folder / "gt.npz",
        name=np.array(names),
        pts68=np.concatenate([points, points[..., :1]], axis=2).transpose(0, 2, 1),
        roi_box=rois,
        yaw_deg=np.repeat([0.0, 45, 75], 5),
    )
    off = points + np.float32([3, 4])
    fake = FakePredictor([Prediction(p) for p in off])
    result = framing.evaluate(fake, Sets(tmp_path))
    sizes = [box_area_root(p) for p in points]
    wanted = np.mean([np.mean([100 * 5 / s for s in sizes[i : i + 5]]) for i in (0, 5, 10)])
    for row in result.rows:
        assert row.figures["one pass"] == pytest.approx(wanted, rel=1e-4)
        assert row.figures["two passes"] == pytest.approx(wanted, rel=1e-4)
    assert [row.name for row in result.rows][2] == "shift 0.15, scale 1"
    first, second = fake.asked[:2]
    np.testing.assert_allclose(first[1], rois[0])
    np.testing.assert_allclose(second[1], roi_from_landmarks(off[0]))


@pytest.fixture
def faces(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """Return twelve faces of both sources, every second one held out."""
    points = random_points(12)
    visible = points.copy()
    visible[:, :30] = np.nan
    split = np.array(["val", "train"] * 6)
    for source, truth in (("lp", points), ("cfp", visible)):
        names = [f"{source}/{i}.png" for i in range(12)]
        for i, name in enumerate(names):
            numbered_image(tmp_path / "faces" / "img" / name, i, (192, 192))
        np.savez(
            tmp_path / "faces" / f"{source}.npz",
            name=np.array(names),
            split=split,
            roi=np.tile(np.float32([36, 36, 156, 156]), (12, 1)),
            gt68=truth,
            v2_68=np.concatenate([points, points[..., :1]], axis=2),
            v2_ypr=np.zeros((12, 3), np.float32),
        )
    return tmp_path, points


def test_only_held_out_faces_are_measured(faces: tuple[Path, np.ndarray]) -> None:
    root, points = faces
    off = points + np.float32([0, 2])
    errors = [100 * 2 / box_area_root(points[i]) for i in range(0, 12, 2)]
    for suite, column in ((lp, "NME68"), (cfp, "NME")):
        fake = FakePredictor([Prediction(p) for p in off], straight=off)
        result = suite.evaluate(fake, Sets(root))
        assert [row.count for row in result.rows] == [6, 6]
        assert result.figure("mesh", column) == pytest.approx(np.mean(errors), rel=1e-4)
        assert {number for number, _ in fake.asked} == {0, 2, 4, 6, 8, 10}


def test_invisible_points_are_ignored() -> None:
    truth = np.full((1, 68, 2), np.nan)
    truth[0, 40] = (10, 10)
    found = np.full((1, 68, 2), 13.0)
    assert cfp.visible_error(found, truth, np.array([50.0])) == pytest.approx(
        [100 * np.hypot(3, 3) / 50]
    )
