from __future__ import annotations

import csv
import sys
import types
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tddfa_ros.training.logs import RunLog


@pytest.fixture(autouse=True)
def events(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Records calls of TensorBoard's writer, so that the package is not needed."""
    given: list[tuple[Any, ...]] = []

    class SummaryWriter:
        def __init__(self, folder: str) -> None:
            given.append(("open", folder))

        def add_scalar(self, *args: Any) -> None:
            given.append(("scalar", *args))

        def add_image(self, *args: Any, **options: Any) -> None:
            given.append(("image", *args, options))

        def close(self) -> None:
            given.append(("close",))

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    return given


def lines(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_log_gets_one_row_per_epoch_across_runs(tmp_path: Path) -> None:
    for epoch in (1, 2):
        with RunLog(tmp_path) as log:
            log.write({"epoch": epoch, "total": 0.5 * epoch})
    assert lines(tmp_path) == [{"epoch": "1", "total": "0.5"}, {"epoch": "2", "total": "1.0"}]


def test_new_figure_adds_a_column(tmp_path: Path) -> None:
    with RunLog(tmp_path) as log:
        log.write({"epoch": 1, "fwpdc": 3.0, "total": 3.0})
        log.write({"epoch": 2, "vdc": 2.0, "total": 2.0})
        log.write({"epoch": 3, "total": 1.0})
    found = lines(tmp_path)
    assert list(found[0]) == ["epoch", "fwpdc", "total", "vdc"]
    assert [row["total"] for row in found] == ["3.0", "2.0", "1.0"]
    assert [row["fwpdc"] for row in found] == ["3.0", "", ""]
    assert [row["vdc"] for row in found] == ["", "2.0", ""]


def test_overlay_is_written_losslessly(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    with RunLog(tmp_path) as log:
        log.overlay(7, image)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "overlays/epoch_007.png")), image)


def test_tensorboard_gets_figures_and_rgb_overlays(
    tmp_path: Path, events: list[tuple[Any, ...]]
) -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    image[..., 0] = 255  # blue
    with RunLog(tmp_path) as log:
        log.write({"epoch": 3, "total": 1.5})
        log.overlay(3, image)
    assert events[0] == ("open", str(tmp_path / "tensorboard"))
    assert ("scalar", "total", 1.5, 3) in events
    (_, name, drawn, epoch, options) = next(e for e in events if e[0] == "image")
    assert (name, epoch, options) == ("overlay", 3, {"dataformats": "HWC"})
    assert drawn[0, 0].tolist() == [0, 0, 255]
    assert events[-1] == ("close",)


def test_runs_without_tensorboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # import fails
    with RunLog(tmp_path) as log:
        log.write({"epoch": 1, "total": 2.0})
    assert "tensorboard is not installed" in capsys.readouterr().out
    assert lines(tmp_path) == [{"epoch": "1", "total": "2.0"}]


def test_only_first_process_writes(tmp_path: Path, events: list[tuple[Any, ...]]) -> None:
    folder = tmp_path / "run"
    with RunLog(folder, write=False) as log:
        log.write({"epoch": 1, "total": 2.0})
        log.overlay(1, np.zeros((4, 4, 3), np.uint8))
    assert not folder.exists()
    assert events == []
