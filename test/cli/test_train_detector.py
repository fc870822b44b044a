"""``tddfa train-detector``: errors, a short run, resuming, export, import."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.synthetic_model import synthetic_model
from support.tiny_training import write_cache

from tddfa_ros.cli import main
from tddfa_ros.detection.families import family_of
from tddfa_ros.errors import ModelError
from tddfa_ros.model_store.store import default_store

pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """A small model, a small cache and the options of a run of four steps."""
    model = synthetic_model(shape=4, expressions=6)
    model.save(tmp_path / "model.npz")
    write_cache(tmp_path / "cache", model, 24)
    return [
        *("train-detector", "--cache", str(tmp_path / "cache")),
        *("--morphable-model", str(tmp_path / "model.npz")),
        *("--checkpoint-dir", str(tmp_path / "run"), "--workers", "0", "--threads", "1"),
        *("--image-size", "96", "--batch", "2", "--samples", "4", "--epochs", "2"),
        *("--channels", "8", "8", "8", "8", "8", "--blocks", "0", "0", "0", "0", "--pyramid", "8"),
    ]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--image-size", "100"], "image_size must be a multiple of 32"),
        (["--epochs", "0"], "epochs must be between"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--resume"], "no run to resume"),
        (["--labeled", "."], "boxes.json cannot be read"),
    ],
)
def test_rejects_invalid_input_in_one_sentence(
    arguments: list[str], extra: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, *extra]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and message in error


def test_trains_resumes_exports_and_imports(
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TDDFA_CACHE", str(tmp_path / "store"))
    assert main([*arguments, "--epochs", "1"]) == 0
    assert "on held-out images" in capsys.readouterr().out
    assert main([*arguments, "--resume"]) == 0
    with (tmp_path / "run" / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert {"score", "box", "roi", "points", "total", "recall"} <= set(rows[0])
    assert cv2.imread(str(tmp_path / "run" / "overlays" / "epoch_002.png")) is not None
    assert main([*arguments, "--batch", "4"]) == 2
    assert "was started with batch 2, not 4" in capsys.readouterr().err

    checkpoint, file = tmp_path / "run" / "checkpoint.pt", tmp_path / "mine.onnx"
    export = ["export", "--checkpoint", str(checkpoint), "-o", str(file)]
    assert main([*export, "--half"]) == 2
    assert "is a detector" in capsys.readouterr().err
    assert main(export) == 0
    assert family_of(file) == "tddfa-detect"
    assert main(["models", "import", "--from", str(file), "--name", "mine"]) == 0
    assert (tmp_path / "store" / "imported" / "mine.onnx").read_bytes() == file.read_bytes()


def test_backgrounds_are_read_once(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        default_store().path("centerface")
    except ModelError as error:
        pytest.skip(f"CenterFace, which checks the backgrounds, is unavailable: {error}")
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(2):
        cv2.imwrite(str(folder / f"{number}.png"), rng.integers(0, 255, (90, 120, 3), np.uint8))
    (folder / "broken.png").write_bytes(b"no image")
    given = ["--backgrounds", str(folder)]
    assert main([*arguments, *given, "--epochs", "1"]) == 0
    assert "excluded: " in capsys.readouterr().err
    assert main([*arguments, *given]) == 0
    assert "excluded: " not in capsys.readouterr().err
