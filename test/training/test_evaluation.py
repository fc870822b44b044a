"""The protocol's arithmetic, and the committed models' accuracy where the evaluation sets are present."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from tddfa_ros.errors import ConfigError
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.training.evaluation import (
    INNER,
    SUITES,
    Figures,
    evaluate_aflw2000,
    evaluate_photos,
    nme,
    table,
    yaw_bins,
)


def random_faces(count: int = 7) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    truth = rng.uniform(20, 180, (count, 68, 2))
    return truth + rng.normal(0, 3, truth.shape), truth


def test_nme_is_the_mean_distance_over_the_root_of_the_box_area() -> None:
    found, truth = random_faces()
    for first in (0, INNER):
        for face, error in enumerate(nme(found, truth, first)):
            width, height = np.ptp(truth[face], axis=0)
            distances = [
                np.hypot(*(found[face, point] - truth[face, point])) for point in range(first, 68)
            ]
            expected = 100 * np.mean(distances) / np.sqrt(width * height)
            assert error == pytest.approx(expected)


def test_yaw_bins_belong_to_the_side_the_papers_put_them() -> None:
    errors = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    yaw = np.array([30.0, -30.5, 60.0, -60.5, 0.0])
    assert yaw_bins(errors, yaw) == (8.5, 3.0, 8.0)


def test_the_table_has_a_line_for_each_set() -> None:
    lines = [Figures("A", 3, 4.123, 3.5, {"recall": 0.5}), Figures("B", 1, 1.0, 2.0, {})]
    rows = table(lines).splitlines()
    assert rows[2] == "| A | 3 | 4.12 | 3.50 | recall 0.5 |"
    assert len(rows) == 4


def test_a_set_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"aflw2000.*does not exist"):
        SUITES["aflw2000"](FacePipeline(), tmp_path)


def test_nme_agrees_with_the_protocol_beside_the_data(data_dir: Path) -> None:
    spec = importlib.util.spec_from_file_location("protocol", data_dir / "eval" / "nme.py")
    assert spec is not None and spec.loader is not None
    protocol = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(protocol)
    found, truth = random_faces()
    yaw = np.array([0, 40, 70, -20, -50, -80, 10.0])
    errors = nme(found, truth)
    np.testing.assert_allclose(errors, protocol.nme(found, truth))
    np.testing.assert_allclose(yaw_bins(errors, yaw), protocol.yaw_bins(errors, yaw)[:3])


def test_the_committed_model_is_as_accurate_as_its_card_says_on_aflw2000(data_dir: Path) -> None:
    (line,) = evaluate_aflw2000(FacePipeline(), data_dir / "eval")
    assert line.faces == 500
    assert line.extra["mean of bins"] < 5.2


def test_the_committed_model_is_as_accurate_as_its_card_says_on_ytf(data_dir: Path) -> None:
    given, detected = evaluate_photos(FacePipeline(), data_dir / "eval", "ytf")
    assert given.nme51 < 4.2
    assert detected.extra["recall"] > 0.98
    assert (
        abs(detected.nme68 - given.nme68) < 0.3
    )  # the detector's ROI does no harm after one refinement
