from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.fake_predictor import FakePredictor, box_area_root, numbered_image, random_points

from tddfa_ros.errors import ConfigError
from tddfa_ros.evaluation.photos import evaluate, nearest, points_of, yaw_of
from tddfa_ros.evaluation.prediction import Prediction
from tddfa_ros.evaluation.sets import Sets
from tddfa_ros.geometry.pose import rotation_from_300w_lp
from tddfa_ros.geometry.roi import roi_from_landmarks
from tddfa_ros.model_store.store import default_store
from tddfa_ros.morphable.model import MorphableModel


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of three images with random points."""
    for i in range(3):
        numbered_image(tmp_path / f"{i}.png", i, (200, 200))
    np.savez(
        tmp_path / "gt.npz", name=np.array(["0.png", "1.png", "2.png"]), pts68=random_points(3)
    )
    return tmp_path


def box_of(points: np.ndarray, score: float = 0.9) -> np.ndarray:
    return np.array([*points.min(axis=0), *points.max(axis=0), score])


def test_ground_truth_roi_and_detector_are_reported_separately(folder: Path) -> None:
    truth = random_points(3)
    far = np.array([500, 500, 560, 560, 0.99])
    boxes = [np.stack([far, box_of(truth[0])]), np.zeros((0, 5)), far]
    fake = FakePredictor([Prediction(face + np.float32(3)) for face in truth], list(truth), boxes)
    result = evaluate(fake, folder, Sets(folder), "mine")
    errors = [100 * 3 * np.sqrt(2) / box_area_root(face) for face in truth]
    assert result.figure("true ROI, mesh", "NME68") == pytest.approx(np.mean(errors), rel=1e-4)
    assert result.figure("true ROI, direct", "NME68") == pytest.approx(0, abs=1e-4)
    assert result.figure("detector, mesh", "NME68") == pytest.approx(errors[0], rel=1e-4)
    assert result.figure("detector, mesh", "recall") == pytest.approx(1 / 3)
    assert [row.count for row in result.rows] == [3, 3, 1, 1]


def test_second_pass_uses_landmark_roi(folder: Path) -> None:
    seen = random_points(3, seed=9)
    fake = FakePredictor([Prediction(face) for face in seen], boxes=[np.zeros((0, 5))] * 3)
    evaluate(fake, folder, Sets(folder), "mine")
    first, second = (roi for _, roi in fake.asked[:2])
    np.testing.assert_allclose(first, roi_from_landmarks(random_points(3)[0]))
    np.testing.assert_allclose(second, roi_from_landmarks(seen[0]))


def test_no_detections_give_zero_recall(folder: Path) -> None:
    fake = FakePredictor([Prediction(p) for p in random_points(3)], boxes=[np.zeros((0, 5))] * 3)
    result = evaluate(fake, folder, Sets(folder), "mine")
    assert result.figure("detector, mesh", "recall") == 0
    assert result.figure("detector, mesh", "NME68") is None


def test_nearest_detection_within_limit_is_matched() -> None:
    points = np.array([[0.0, 0], [100, 100]])
    boxes = np.array([[0, 0, 100, 40, 0.9], [10, 0, 110, 100, 0.2]], np.float32)
    np.testing.assert_array_equal(nearest(boxes, points), boxes[1, :4])
    assert nearest(boxes[:, :5] + [200, 0, 200, 0, 0], points) is None
    assert nearest(np.zeros((0, 5), np.float32), points) is None


def test_accepts_both_axis_orders(tmp_path: Path) -> None:
    points = random_points(2)
    deep = np.concatenate([points, points[..., :1]], axis=-1)
    for variant in (points, deep, points.transpose(0, 2, 1), deep.transpose(0, 2, 1)):
        np.testing.assert_array_equal(points_of(variant, tmp_path), points)
    with pytest.raises(ConfigError, match=r"not \(n, 68, 2\)"):
        points_of(points[:, :50], tmp_path)
    points[1, 5, 0] = np.nan
    with pytest.raises(ConfigError, match="NaN"):
        points_of(points, tmp_path)


def test_yaw_is_independent_of_scale_and_position() -> None:
    model = MorphableModel.load(default_store().path("tddfa-head"))
    degrees = np.array([[0.0, 10, 0], [35, -5, 20], [-75, 0, -10]])
    head = model.head_landmarks(np.zeros(model.layout.size, np.float32))
    turned = np.einsum("nij,lj->nli", rotation_from_300w_lp(degrees), head)
    pixels = 900 * turned[..., :2] * [1, -1] + [300, 200]
    np.testing.assert_allclose(yaw_of(pixels), degrees[:, 0], atol=0.1)


def test_names_missing_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gt\.npz does not exist"):
        evaluate(FakePredictor(), tmp_path, Sets(tmp_path), "mine")
    np.savez(tmp_path / "gt.npz", name=np.array(["absent.png"]))
    with pytest.raises(ConfigError, match="holds no array 'pts68'"):
        evaluate(FakePredictor(), tmp_path, Sets(tmp_path), "mine")
    np.savez(tmp_path / "gt.npz", name=np.array(["absent.png"]), pts68=random_points(1))
    with pytest.raises(ConfigError, match=r"absent\.png cannot be read"):
        evaluate(FakePredictor(), tmp_path, Sets(tmp_path), "mine")
    (tmp_path / "gt.npz").write_bytes(b"PK nonsense")
    with pytest.raises(ConfigError, match="cannot be read"):
        evaluate(FakePredictor(), tmp_path, Sets(tmp_path), "mine")


def test_one_based_coordinates_are_shifted(tmp_path: Path) -> None:
    points = random_points(1)
    numbered_image(tmp_path / "0.png", 0, (200, 200))
    np.savez(tmp_path / "gt.npz", name=np.array(["0.png"]), pts68=points + 1)
    fake = FakePredictor([Prediction(points[0])], boxes=[np.zeros((0, 5))])
    counted = evaluate(fake, tmp_path, Sets(tmp_path), "mine", first_pixel=1)
    assert counted.figure("true ROI, mesh", "NME68") == pytest.approx(0, abs=1e-4)
    as_is = evaluate(fake, tmp_path, Sets(tmp_path), "mine")
    assert as_is.figure("true ROI, mesh", "NME68") > 0.5
