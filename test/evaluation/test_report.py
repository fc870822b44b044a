from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tddfa_ros.errors import ConfigError
from tddfa_ros.evaluation.chart import Axis, Line, chart
from tddfa_ros.evaluation.plots import band_means, plots, share_up_to
from tddfa_ros.evaluation.report import markdown, to_json, write
from tddfa_ros.evaluation.result import Curve, Row, SuiteResult, binned

RESULT = SuiteResult(
    "mine",
    "My set",
    [Row("a", 3, {"NME68": 4.126, "AUC": 0.98765}), Row("b", 1, {"NME68": None, "recall": np.nan})],
    "What it means.",
    {"AUC": 4},
    {"a": Curve(np.array([1.0, 2.0, 4.0]), np.array([-80.0, 0.0, 80.0]))},
    {"faces": np.array([0.2, 0.9]), "none": np.zeros(0)},
)


def test_the_table_shows_what_there_is() -> None:
    lines = markdown("tiny", [RESULT]).splitlines()
    assert lines == [
        "# tiny",
        "",
        "## My set",
        "",
        "| | n | NME68 | AUC | recall |",
        "|---|---:|---:|---:|---:|",
        "| a | 3 | 4.13 | 0.9877 | - |",
        "| b | 1 | - | - | - |",
        "",
        "What it means.",
    ]


def test_json_holds_the_same_unrounded() -> None:
    read = json.loads(to_json("tiny", [RESULT]))
    assert read["name"] == "tiny"
    (suite,) = read["suites"]
    assert suite["suite"] == "mine"
    assert suite["rows"][0] == {
        "name": "a",
        "count": 3,
        "figures": {"NME68": 4.126, "AUC": 0.98765},
    }
    assert suite["rows"][1]["figures"] == {"NME68": None, "recall": None}


def test_a_report_is_a_folder_of_files(tmp_path: Path) -> None:
    written = write("tiny", [RESULT], tmp_path / "new" / "folder")
    assert [path.name for path in written] == [
        "report.md", "report.json", "mine_errors.png", "mine_yaw.png", "mine_scores.png",
    ]  # fmt: skip
    for path in written[2:]:
        image = cv2.imread(str(path))
        assert image.shape == (600, 960, 3)
        assert (image.min(axis=2) < 200).any()
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        write("tiny", [RESULT], tmp_path / "file")


def test_a_suite_without_single_faces_has_no_plots() -> None:
    assert plots(SuiteResult("mine", "My set", [Row("a", 1, {"recall": 1.0})])) == {}


def test_shares_and_bands() -> None:
    values = np.array([1.0, 2.0, 2.0, 8.0])
    np.testing.assert_array_equal(share_up_to(values, np.array([0.5, 2, 8])), [0, 0.75, 1])
    yaw = np.array([1.0, 2.0, 3.0, -80.0, 50.0])
    middles, means = band_means(np.array([1.0, 2, 6, 9, 9]), yaw)
    assert means[np.argmin(np.abs(middles - 7.5))] == 3
    assert np.isfinite(means).sum() == 1


def test_a_range_with_few_faces_has_no_figure() -> None:
    yaw = np.array([0.0] * 6 + [45.0] * 5 + [80.0] * 4)
    figures = binned("NME", np.arange(15.0), yaw)
    assert (figures["NME"], figures["NME 0-30"], figures["NME 30-60"]) == (7.0, 2.5, 8.0)
    assert np.isnan([figures["NME 60-90"], figures["NME bins"]]).all()


def test_a_line_goes_where_its_values_are() -> None:
    x = Axis("x", 0, 10, 1)
    flat = Line("flat", np.array([0.0, 10.0]), np.array([5.0, 5.0]))
    drawn = chart("", [flat], x, Axis("y", 0, 10, 5)).astype(int)
    empty = chart("", [], x, Axis("y", 0, 10, 5)).astype(int)
    rows, columns = np.nonzero(np.abs(drawn - empty).sum(axis=2)[:, :500])  # left of the legend
    middle = 56 + (600 - 56 - 64) / 2
    assert np.abs(rows - middle).max() <= 2
    assert columns.min() <= 71


def test_nan_interrupts_a_line() -> None:
    x, axis = np.linspace(0, 10, 11), Axis("x", 0, 10, 1)
    y = np.full(11, 5.0)
    y[5] = np.nan
    drawn = chart("", [Line("gap", x, y)], axis, Axis("y", 0, 10, 2.5))
    whole = chart("", [Line("gap", x, np.full(11, 5.0))], axis, Axis("y", 0, 10, 2.5))
    different = np.nonzero((drawn != whole).any(axis=2))[1]
    left = 70 + (960 - 70 - 24) * np.array([0.4, 0.6])
    assert left[0] - 3 <= different.min() and different.max() <= left[1] + 3
