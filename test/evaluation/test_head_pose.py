from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.fake_predictor import FakePredictor, numbered_image, random_points

from tddfa_ros.evaluation.head_pose import compare, evaluate
from tddfa_ros.evaluation.prediction import Prediction
from tddfa_ros.evaluation.sets import Sets
from tddfa_ros.geometry.pose import rotation_from_300w_lp
from tddfa_ros.geometry.rotation import exp

RAW, LEVEL = "as it is", "without constant tilt"


def random_angles(count: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-40, 40, (count, 3))


def test_exact_rotations_have_zero_error() -> None:
    degrees = random_angles(20)
    result = compare(rotation_from_300w_lp(degrees), degrees)
    for row in (RAW, LEVEL):
        for column in ("geodesic", "MAE", "yaw"):
            assert result.figure(row, column) == pytest.approx(0, abs=1e-5)


def test_constant_tilt_counts_only_in_raw_error() -> None:
    degrees = random_angles(30)
    found = rotation_from_300w_lp(degrees) @ exp(np.radians([8.0, 0, 0]))
    result = compare(found, degrees)
    assert result.figure(RAW, "geodesic") == pytest.approx(8, abs=1e-4)
    assert result.figure(LEVEL, "geodesic") == pytest.approx(0, abs=1e-4)
    assert "8.00 degrees" in result.note


def test_error_of_a_single_angle() -> None:
    degrees = random_angles(30)
    degrees[:, 0] = 0  # of yaw and roll without pitch in between, each is itself the geodesic angle
    result = compare(rotation_from_300w_lp(degrees + [0, 0, 5.0]), degrees)
    figures = [result.figure(RAW, angle) for angle in ("yaw", "pitch", "roll", "MAE", "geodesic")]
    np.testing.assert_allclose(figures, [0, 0, 5, 5 / 3, 5], atol=1e-6)


def test_label_order_and_excluded_extremes(tmp_path: Path) -> None:
    folder = tmp_path / "aflw2000"
    yaw_pitch_roll = np.array([[10.0, 20, 30], [-50, 5, 101], [70, -99, 0]])
    for i in range(3):
        numbered_image(folder / "crop120" / f"{i}.png", i)
    names = np.array(["0.png", "1.png", "2.png"])
    radians = np.radians(yaw_pitch_roll[:, [1, 0, 2]])
    np.savez(folder / "gt.npz", name=names, pitch_yaw_roll_rad=radians)
    rotations = rotation_from_300w_lp(yaw_pitch_roll)
    fake = FakePredictor([Prediction(random_points(1)[0], rotation) for rotation in rotations])
    result = evaluate(fake, Sets(tmp_path))
    assert [number for number, _ in fake.asked] == [0, 2]
    assert result.figure(RAW, "geodesic") == pytest.approx(0, abs=1e-5)


def test_no_figures_without_rotation(tmp_path: Path) -> None:
    folder = tmp_path / "aflw2000"
    numbered_image(folder / "crop120" / "0.png", 0)
    np.savez(folder / "gt.npz", name=np.array(["0.png"]), pitch_yaw_roll_rad=np.zeros((1, 3)))
    result = evaluate(FakePredictor([Prediction(random_points(1)[0])]), Sets(tmp_path))
    assert result.rows[0].count == 0
    assert result.figure(RAW, "geodesic") is None
