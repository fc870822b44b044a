from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.fake_predictor import FakePredictor, box_area_root, numbered_image, random_points

from tddfa_ros.errors import ConfigError
from tddfa_ros.evaluation.aflw2000 import evaluate
from tddfa_ros.evaluation.prediction import Prediction
from tddfa_ros.evaluation.sets import Sets

COUNT = 15
YAW = np.repeat([10.0, -45.0, 75.0], 5)


@pytest.fixture
def truth(tmp_path: Path) -> np.ndarray:
    """Return points (15, 68, 2) of the 120-px crops; in the image they are scaled by 2 and shifted by (7, 11) px."""
    folder = tmp_path / "eval" / "aflw2000"
    crops = random_points(COUNT, 10, 110)
    photo = 2 * crops + np.array([7, 11], np.float32)
    for i in range(COUNT):
        numbered_image(folder / "crop120" / f"{i}.png", i)
    np.savez(
        folder / "gt.npz",
        name=np.array([f"{i}.png" for i in range(COUNT)]),
        pts68=np.concatenate([photo, photo[..., :1]], axis=-1).transpose(0, 2, 1),
        pts68_reannotated=(photo + 1).transpose(0, 2, 1),
        roi_box=np.tile(np.float32([7, 11, 247, 251]), (COUNT, 1)),
        yaw_deg=YAW,
    )
    return crops


def answers(points: np.ndarray) -> list[Prediction]:
    return [Prediction(np.concatenate([face, face[:, :1]], axis=1)) for face in points]


def test_nme_of_known_errors(truth: np.ndarray, tmp_path: Path) -> None:
    shift = np.repeat([1.0, 2.0, 3.0], 5)[:, None] * [1, 0]  # px of the crop, by range of yaw
    fake = FakePredictor(answers(truth + shift[:, None].astype(np.float32)), list(truth))
    result = evaluate(fake, Sets(tmp_path))
    errors = [
        100 * 2 * d[0] / (2 * box_area_root(face)) for d, face in zip(shift, truth, strict=True)
    ]
    bins = np.mean(np.reshape(errors, (3, 5)), axis=1)
    for kind in ("NME68", "NME51"):
        figures = [
            result.figure("standard, mesh", f"{kind} {b}") for b in ("0-30", "30-60", "60-90")
        ]
        np.testing.assert_allclose(figures, bins, rtol=1e-4)
        mean = result.figure("standard, mesh", f"{kind} bins")
        assert mean == pytest.approx(bins.mean(), rel=1e-4)
    assert result.figure("standard, mesh", "NME68") == pytest.approx(np.mean(errors), rel=1e-4)
    assert result.figure("standard, direct", "NME68") == pytest.approx(0, abs=1e-3)
    off = np.mean([100 * np.sqrt(2) / (2 * box_area_root(face)) for face in truth])
    assert result.figure("reannotated, direct", "NME68") == pytest.approx(off, rel=1e-3)
    np.testing.assert_allclose(result.errors["standard, mesh"].values, errors, rtol=1e-4)


def test_evaluates_the_full_crop_in_one_pass(truth: np.ndarray, tmp_path: Path) -> None:
    fake = FakePredictor(answers(truth))
    evaluate(fake, Sets(tmp_path))
    assert [number for number, _ in fake.asked] == list(range(COUNT))
    assert all(roi.tolist() == [0, 0, 120, 120] for _, roi in fake.asked)


def test_no_figures_without_direct_landmarks(truth: np.ndarray, tmp_path: Path) -> None:
    result = evaluate(FakePredictor(answers(truth)), Sets(tmp_path))
    assert result.figure("standard, direct", "NME68") is None
    assert set(result.errors) == {"standard, mesh", "reannotated, mesh"}


def test_limit_samples_all_yaw_ranges(truth: np.ndarray, tmp_path: Path) -> None:
    fake = FakePredictor(answers(truth))
    result = evaluate(fake, Sets(tmp_path, limit=3))
    assert [number for number, _ in fake.asked] == [0, 7, 14]
    assert result.figure("standard, mesh", "NME68 bins") is None  # too few faces per range


def test_names_missing_dataset(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="aflw2000 is not in"):
        evaluate(FakePredictor(), Sets(tmp_path))
