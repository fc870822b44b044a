from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.fake_predictor import FakePredictor, box_area_root, numbered_image, random_points

from tddfa_ros.evaluation.aflw21 import POINTS, evaluate, held_out, point_errors
from tddfa_ros.evaluation.prediction import Prediction
from tddfa_ros.evaluation.sets import Sets


def test_every_47th_row_is_held_out() -> None:
    mask = held_out(100)
    assert mask.dtype == bool
    assert np.flatnonzero(mask).tolist() == [0, 47, 94]


def as_aflw(points: np.ndarray) -> np.ndarray:
    """Return AFLW's points (n, 21, 2) without annotation error for faces (n, 68, 2); pupils and ears are missing."""
    truth = np.full((len(points), 21, 2), np.nan)
    for theirs, ours in POINTS.items():
        truth[:, theirs] = points[:, list(ours)].mean(axis=1)
    return truth


def test_mirroring_swaps_left_and_right_points() -> None:
    # AFLW orders each row from left to right, so mirroring is this permutation.
    theirs = [5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 16, 15, 14, 13, 12, 19, 18, 17, 20]
    ours = {17: 26, 19: 24, 21: 22, 36: 45, 39: 42, 31: 35, 48: 54, 30: 30, 8: 8, 62: 62, 66: 66}
    ours |= {b: a for a, b in ours.items()}
    for point, indices in POINTS.items():
        assert sorted(POINTS[theirs[point]]) == sorted(ours[i] for i in indices)


def test_only_visible_points_count() -> None:
    points = random_points(2)
    truth = as_aflw(points)
    truth[0, 14] += [0, 6]
    truth[0, [0, 1, 20]] = np.nan
    truth[1] = np.nan
    errors = point_errors(points, truth, np.array([100.0, 100.0]))
    assert errors[0] == pytest.approx(6 / (len(POINTS) - 3), abs=1e-5)
    assert np.isnan(errors[1])


def test_only_held_out_rows_are_measured(tmp_path: Path) -> None:
    count = 95
    points = random_points(count, 10, 110)
    folder = tmp_path / "faces"
    for i in range(count):
        numbered_image(folder / "img" / f"{i}.png", i)
    np.savez(
        folder / "aflw.npz",
        name=np.array([f"{i}.png" for i in range(count)]),
        gt21=as_aflw(points).astype(np.float32),
        v2_68=np.concatenate([points, points[..., :1]], axis=-1).astype(np.float16),
        v2_ypr=np.zeros((count, 3), np.float32),
    )
    fake = FakePredictor([Prediction(face + [0, 2]) for face in points])
    result = evaluate(fake, Sets(tmp_path / "eval"))
    assert [number for number, _ in fake.asked] == [0, 47, 94]
    expected = np.mean([200 / box_area_root(points[i]) for i in (0, 47, 94)])
    assert result.figure("mesh", "NME") == pytest.approx(expected, rel=1e-2)
    assert result.figure("direct", "NME") is None
