"""Calibration of the predicted deviation, offsets by region, and faces of whole images, with answers that are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.fake_predictor import FakePredictor, box_area_root, numbered_image, random_points

from tddfa_ros.evaluation import bias, plots, uncertainty, whole_photos
from tddfa_ros.evaluation.prediction import Prediction
from tddfa_ros.evaluation.result import Calibration
from tddfa_ros.evaluation.sets import Sets
from tddfa_ros.geometry.roi import roi_from_box, roi_from_landmarks

FACES = 15
BOX = np.array(
    [30.0, 40.0, 150.0, 160.0]
)  # of the standard crop in the image; side 120, so that a px of one is a px of the other
RNG = np.random.default_rng(0)


def upright_points(count: int) -> np.ndarray:
    """Landmarks (count, 68, 2) px with the chin straight below the eyes."""
    points = random_points(count, 20, 100)
    points[:, 36:48, 0] = 60 + np.tile([-10, 10], 6)
    points[:, 36:48, 1] = 40
    points[:, 8] = [60, 110]
    return points


@pytest.fixture
def sets(tmp_path: Path) -> tuple[Sets, np.ndarray]:
    """AFLW2000-3D with 15 faces, and their true points (15, 68, 2) in the 120-px crop."""
    points = upright_points(FACES)
    folder = tmp_path / "eval" / "aflw2000"
    names = [f"{i}.png" for i in range(FACES)]
    for i, name in enumerate(names):
        numbered_image(folder / "crop120" / name, i)
        numbered_image(folder / "photo" / name, i, (200, 200))
    truth = (points + BOX[:2]).transpose(0, 2, 1)
    np.savez(
        folder / "gt.npz",
        name=np.array(names),
        pts68=np.concatenate([truth, truth[:, :1]], axis=1),
        pts68_reannotated=truth + np.array([0, 2.0])[:, None],
        roi_box=np.tile(BOX, (FACES, 1)),
        yaw_deg=np.repeat([0.0, 45, 75], 5),
    )
    faces = tmp_path / "faces"
    for i, name in enumerate(names):
        numbered_image(faces / "img" / name, i, (192, 192))
    np.savez(
        faces / "lp.npz",
        name=np.array(names),
        split=np.repeat("val", FACES),
        roi=np.tile(np.float32([36, 36, 156, 156]), (FACES, 1)),
        gt68=points,
    )
    return Sets(tmp_path), points


@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_calibration_ratio_is_true_over_predicted(
    sets: tuple[Sets, np.ndarray], factor: float
) -> None:
    where, points = sets
    sigma = RNG.uniform(0.5, 4, (FACES, 68)).astype(np.float32)
    noise = RNG.normal(size=points.shape) * (factor * sigma)[..., None]
    faces = [
        Prediction((p + n).astype(np.float32), landmark_sigma=s)
        for p, n, s in zip(points, noise, sigma, strict=True)
    ]
    result = uncertainty.evaluate(FakePredictor(faces), where)
    within = {1.0: (0.683, 0.954), 2.0: (0.383, 0.683)}[factor]
    for row in result.rows:
        assert row.count == FACES
        assert row.figures["ratio"] == pytest.approx(factor, rel=0.05)
        assert row.figures["median ratio"] == pytest.approx(factor, rel=0.06)
        assert row.figures["within 1"] == pytest.approx(within[0], abs=0.04)
        assert row.figures["within 2"] == pytest.approx(within[1], abs=0.04)


def test_spearman_orders_faces_by_predicted_error(sets: tuple[Sets, np.ndarray]) -> None:
    where, points = sets
    offset = np.linspace(1, 8, FACES)
    units = np.array([box_area_root(p) for p in points])
    faces = [
        Prediction((p + d * u / 100).astype(np.float32), landmark_sigma=np.full(68, d * u / 100))
        for p, d, u in zip(points, offset, units, strict=True)
    ]
    assert uncertainty.evaluate(FakePredictor(faces), where).rows[0].figures[
        "Spearman"
    ] == pytest.approx(1)


def test_no_figures_without_predicted_sigma(sets: tuple[Sets, np.ndarray]) -> None:
    where, points = sets
    result = uncertainty.evaluate(FakePredictor([Prediction(p) for p in points]), where)
    assert [row.figures for row in result.rows] == [{}, {}] and not result.calibrations


def test_calibration_bins_follow_the_prediction() -> None:
    sigma = np.linspace(1, 5, 680).reshape(10, 68)
    error = 2 * sigma[..., None] * np.array([1, -1])
    predicted, true = plots.calibration_bins(Calibration(error, sigma))
    assert len(predicted) == 10 and np.all(np.diff(predicted) > 0)
    np.testing.assert_allclose(true, 2 * predicted)
    figure = plots.predicted_deviation("title", {"set": Calibration(error, sigma)})
    assert figure.axes[0].get_xlim()[1] >= true.max()


def test_bias_separates_directions_and_regions(sets: tuple[Sets, np.ndarray]) -> None:
    where, points = sets
    found = points.astype(np.float64)
    units = np.array([box_area_root(p) for p in points])[:, None]
    found[:, bias.REGIONS["mouth"], 1] += 0.03 * units
    found[:, 0:8, 0] -= 0.02 * units
    found[:, 9:17, 0] += 0.02 * units
    result = bias.evaluate(FakePredictor([Prediction(p.astype(np.float32)) for p in found]), where)
    figures = {row.name: row.figures for row in result.rows}
    assert figures["standard, mouth"] == pytest.approx({"down": 3, "out": 0}, abs=1e-3)
    assert figures["standard, jaw"] == pytest.approx({"down": 0, "out": 2}, abs=1e-3)
    assert figures["standard, nose"] == pytest.approx({"down": 0, "out": 0}, abs=1e-3)
    assert figures["reannotated, nose"]["down"] == pytest.approx(
        -200 * np.mean(1 / units), rel=0.01
    )


def test_offsets_turn_with_the_face() -> None:
    points = upright_points(1).astype(np.float64)
    quarter = np.array([[0.0, 1.0], [-1.0, 0.0]])  # by 90 degrees about the origin
    moved = points + [0.0, 1.0]
    expected = bias.face_offsets(moved, points)
    np.testing.assert_allclose(bias.face_offsets(moved @ quarter, points @ quarter), expected)
    assert expected[0, 0, 1] > 0 and expected[0, 0, 0] == pytest.approx(0)


def test_whole_images_use_the_detection_on_the_face(sets: tuple[Sets, np.ndarray]) -> None:
    where, points = sets
    on_face = np.array([*BOX + [5, 5, -5, -5], 0.9])
    stranger = np.array([170.0, 170, 199, 199, 0.99])
    boxes: list[np.ndarray] = [np.stack([stranger, on_face])] * FACES
    boxes[0] = stranger[None]
    in_image = (points + BOX[:2] + np.array([3, 4])).astype(np.float32)
    fake = FakePredictor([Prediction(p) for p in in_image], boxes=boxes)
    result = whole_photos.evaluate(fake, where)
    standard, again = result.rows
    assert standard.count == FACES - 1 and standard.figures["found"] == pytest.approx(14 / 15)
    units = [box_area_root(p) for p in points[1:]]
    assert standard.figures["NME68"] == pytest.approx(np.mean([500 / u for u in units]), rel=1e-4)
    distance = np.hypot(3, 2)
    assert again.figures["NME68"] == pytest.approx(
        np.mean([100 * distance / u for u in units]), rel=1e-4
    )
    (number, first), (_, second) = fake.asked[:2]
    assert number == 1
    np.testing.assert_allclose(first, roi_from_box(on_face[:4]), rtol=1e-5)
    np.testing.assert_allclose(second, roi_from_landmarks(in_image[1]), rtol=1e-5)


def test_no_figures_without_detections(sets: tuple[Sets, np.ndarray]) -> None:
    where, points = sets
    fake = FakePredictor([Prediction(p) for p in points], boxes=[np.zeros((0, 5))] * FACES)
    result = whole_photos.evaluate(fake, where)
    assert [(row.count, row.figures) for row in result.rows] == [(0, {"found": 0.0})] * 2
