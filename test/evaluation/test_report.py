from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tddfa_ros.errors import TddfaError
from tddfa_ros.evaluation.plots import band_means, error_against_yaw, figures, share_up_to
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


def test_table_lists_available_figures() -> None:
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


def test_json_holds_unrounded_figures() -> None:
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


def test_report_writes_a_folder(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    written = write("tiny", [RESULT], tmp_path / "new" / "folder")
    assert [path.name for path in written] == [
        "report.md", "report.json", "mine_errors.png", "mine_yaw.png", "mine_scores.png",
    ]  # fmt: skip
    for path in written[2:]:
        image = cv2.imread(str(path))
        assert image.shape == (600, 960, 3)
        assert (image.min(axis=2) < 200).any()
    (tmp_path / "file").write_text("")
    with pytest.raises(TddfaError, match="cannot write"):
        write("tiny", [RESULT], tmp_path / "file")


def test_no_plots_without_per_face_errors() -> None:
    assert figures(SuiteResult("mine", "My set", [Row("a", 1, {"recall": 1.0})])) == {}


def test_cumulative_shares_and_yaw_bands() -> None:
    values = np.array([1.0, 2.0, 2.0, 8.0])
    np.testing.assert_array_equal(share_up_to(values, np.array([0.5, 2, 8])), [0, 0.75, 1])
    yaw = np.array([1.0, 2.0, 3.0, -80.0, 50.0])
    middles, means = band_means(np.array([1.0, 2, 6, 9, 9]), yaw)
    assert means[np.argmin(np.abs(middles - 7.5))] == 3
    assert np.isfinite(means).sum() == 1


def test_ranges_with_few_faces_have_no_figure() -> None:
    yaw = np.array([0.0] * 6 + [45.0] * 5 + [80.0] * 4)
    figures = binned("NME", np.arange(15.0), yaw)
    assert (figures["NME"], figures["NME 0-30"], figures["NME 30-60"]) == (7.0, 2.5, 8.0)
    assert np.isnan([figures["NME 60-90"], figures["NME bins"]]).all()


def test_cumulative_error_plots_the_share_of_faces() -> None:
    pytest.importorskip("matplotlib")
    (axes,) = figures(RESULT)["errors"].axes
    (line,) = axes.lines
    assert line.get_label() == "a (mean 2.33)"
    shares = dict(zip(np.round(line.get_xdata(), 3), line.get_ydata(), strict=True))
    assert [shares[at] for at in (0.5, 1, 2, 10)] == pytest.approx([0, 100 / 3, 200 / 3, 100])
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 10), (0, 100))


def test_yaw_plot_shows_faces_beyond_the_axis_at_its_border() -> None:
    pytest.importorskip("matplotlib")
    far = Curve(np.array([1.0, 2.0, 3.0, 40.0]), np.array([1.0, 2.0, 3.0, -60.0]))
    (axes,) = error_against_yaw("", {"a": far}).axes
    dots = axes.collections[0].get_offsets()
    np.testing.assert_allclose(dots, [[1, 1], [2, 2], [3, 3], [-60, 10]])
    (line,) = axes.lines
    assert np.isfinite(line.get_ydata()).sum() == 1  # bands of fewer than three faces leave a gap


def test_tables_are_written_without_matplotlib(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tddfa_ros.evaluation.report.find_spec", lambda name: None)
    messages: list[str] = []
    written = write("tiny", [RESULT], tmp_path, messages.append)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json", "report.md"]
    assert len(written) == 2
    (message,) = messages
    assert "pip install matplotlib" in message
