"""The comparison of ``benchmarks/race.py``, small and without MediaPipe; no timing is asserted."""

from __future__ import annotations

import importlib
import math
import sys
from pathlib import Path
from typing import Any

import pytest
from support.faces import model_parameters

pytest.importorskip("skimage", reason="scikit-image provides the portrait")

BENCHMARKS = str(Path(__file__).resolve().parents[1] / "benchmarks")


@pytest.fixture(scope="module")
def race() -> Any:
    sys.path.insert(0, BENCHMARKS)
    yield importlib.import_module("race")
    sys.path.remove(BENCHMARKS)


def test_measures_every_row_of_this_package(race: Any) -> None:
    if model_parameters():
        pytest.skip("it runs with the models of the package")
    small = "--rounds 1 --seconds 0.01 --images 3 --frames 4 --file-rounds 1 --graph-seconds 0"
    result, text = race.run(race.parse(small.split()))
    assert list(result.cells)[: len(race.ROWS)] == list(race.ROWS.values())
    assert len(result.cells) == len(race.ROWS) + 4
    for row, cells in result.cells.items():
        assert cells["ours"].error == "", row
        values = cells["ours"].values
        assert values and all(math.isfinite(v) and v > 0 for v in values.values()), row
        assert f"| {row} | " in text and set(cells) <= {"ours", "original"}
    for name, row in race.ROWS.items():
        assert result.cells[row]["ours"].values["faces"] == int(name.split()[-1])
    assert "MediaPipe was not measured: --mediapipe DIR" in text


def test_ratios_compare_time_throughput_and_latency(race: Any) -> None:
    result = race.Race()
    for ours, theirs in ((1.0, 3.0), (3.0, 5.0), (2.0, 4.0)):
        result.add("frame", "ours", {"ms": 9.0, "cpu_ms": ours, "faces": 1})
        result.add("frame", "mediapipe", {"ms": 9.0, "cpu_ms": theirs, "faces": 1})
    result.add("folder", "ours", {"per_s": 150.0, "cpu_ms": 9.0})
    result.add("folder", "mediapipe", {"per_s": 100.0, "cpu_ms": 9.0})
    result.add("graph", "ours", {"p50": 10.0, "p99": 30.0, "cpu": 50.0})
    result.add("graph", "mediapipe", {"p50": 12.0, "p99": 20.0, "cpu": 60.0})
    result.add("alone", "ours", {"per_s": 150.0, "cpu_ms": 9.0})
    result.add("failed", "ours", {"error": "no model"})
    result.add("failed", "mediapipe", {"p50": 12.0, "p99": 20.0, "cpu": 60.0})
    ratios = [race.ratio_of(cells) for cells in result.cells.values()]
    assert ratios[:3] == pytest.approx([2.0, 1.5, 1.2]) and ratios[3:] == [None, None]
    table = race.markdown(result, ["ours", "mediapipe"], {"original": "3DDFA_V2 is absent"})
    assert "| folder | 150.0 (9.0 ms CPU each) | 100.0 (9.0 ms CPU each) | 1.50 |" in table
    assert "| failed | not measured: no model | 12.0 / 20.0, 60 % CPU |  |" in table
    assert table.endswith("3DDFA_V2 is absent.")


def test_says_what_is_missing(race: Any, tmp_path: Path) -> None:
    (tmp_path / "mediapipe").mkdir()
    reasons = race.absences(race.parse(["--mediapipe", str(tmp_path)]))
    assert "--model names its face_landmarker.task" in reasons["mediapipe"]
    worker = race.Worker("mediapipe", ["--model", "none.task"], {"PATH": ""})
    answer = worker.ask("image 1", 0.01)
    worker.close()
    assert "error" in answer
