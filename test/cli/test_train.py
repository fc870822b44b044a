from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.synthetic_model import synthetic_model
from support.tiny_training import write_cache

from tddfa_ros.cli import main

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None,
    reason="the extra [training] (torch) is not installed",
)


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """A small model, a small cache and a folder for checkpoints."""
    model = synthetic_model(shape=4, expressions=6)
    model.save(tmp_path / "model.npz")
    write_cache(tmp_path / "cache", model, 40)
    return [
        *("train", "--cache", str(tmp_path / "cache"), "--model", str(tmp_path / "model.npz")),
        *("--checkpoint-dir", str(tmp_path / "run"), "--batch", "8", "--threads", "1"),
        *("--width", "0.125"),
    ]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--epochs", "0"], "epochs must lie between"),
        (["--epochs", "many"], "many"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: list[str], extra: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, *extra]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert message in error


def test_an_unknown_option_of_the_file_is_named(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.yaml").write_text("augment: {blurr: 1}\n")
    assert main([*arguments, "--config", str(tmp_path / "run.yaml")]) == 2
    assert "did you mean augment.blur" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (["train", "--cache", ".", "--checkpoint-dir", "run"], "training"),
        (["models", "build", "x.npz"], "model"),
        (["models", "locate", "x.json", "--faces", "."], "model"),
    ],
)
def test_a_missing_extra_is_named(
    command: list[str],
    extra: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("tddfa_ros.cli._common.find_spec", lambda name: None)
    assert main(command) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f"tddfa_ros[{extra}]" in error and "torch" in error


@needs_torch
def test_trains_and_goes_on(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--epochs", "1"]) == 0
    assert "trained for 1 epochs" in capsys.readouterr().out
    assert (tmp_path / "run" / "checkpoint.pt").is_file()
    assert main([*arguments, "--epochs", "1", "--seed", "5"]) == 2
    assert "seed 0, not 5" in capsys.readouterr().err


@needs_torch
def test_interrupt_ends_with_one_sentence_and_keeps_the_checkpoint(
    arguments: list[str], tmp_path: Path
) -> None:
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    process = subprocess.Popen(
        [sys.executable, "-m", "tddfa_ros", *arguments, "--epochs", "5000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        end = time.monotonic() + 120
        while not checkpoint.is_file() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C in a terminal: to the workers too
        _, error = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
    assert process.returncode == 130, error
    assert "Traceback" not in error
    assert error.splitlines()[-1].startswith(f"stopped: {checkpoint} holds the last full epoch")
