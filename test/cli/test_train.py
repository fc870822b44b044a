from __future__ import annotations

import csv
import importlib.util
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from support.synthetic_model import synthetic_model
from support.tiny_training import write_cache
from support.user_dataset import write_dataset

from tddfa_ros.cli import main, train
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.config import AugmentConfig, TrainConfig
from tddfa_ros.training.loss_weights import TERMS, LossDecay

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None,
    reason="the extra [training] (torch) is not installed",
)


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return synthetic_model(shape=4, expressions=6)


@pytest.fixture
def arguments(model: MorphableModel, tmp_path: Path) -> list[str]:
    """A small model, a small cache and a folder for checkpoints."""
    model.save(tmp_path / "model.npz")
    write_cache(tmp_path / "cache", model, 24, negatives=12)
    return [
        *(
            "train",
            "--cache",
            str(tmp_path / "cache"),
            "--morphable-model",
            str(tmp_path / "model.npz"),
        ),
        *("--checkpoint-dir", str(tmp_path / "run"), "--batch", "8", "--threads", "1"),
        *("--width", "0.125", "--device", "cpu", "--workers", "0"),
    ]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--epochs", "0"], "epochs must be between"),
        (["--epochs", "many"], "many"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--input-size", "99"], "input_size must be a multiple of 4"),
        (["--freeze", "everything"], "everything"),
        (["--augment-blur", "2"], "augment.blur must be between"),
        (["--loss-weights", "lmk"], "written name=number"),
        (["--loss-weights", "lmks=1"], "did you mean loss.lmk?"),
        (["--loss-decay", "wpdc=0"], "loss.decay.wpdc must be between"),
        (["--training-data", __file__], "either --training-data or --cache"),
    ],
)
def test_rejects_invalid_input_in_one_sentence(
    arguments: list[str], extra: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, *extra]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert message in error


def test_names_unknown_option_of_config_file(
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
def test_names_missing_extra(
    command: list[str],
    extra: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("tddfa_ros.cli._common.find_spec", lambda name: None)
    assert main(command) == 2
    error = capsys.readouterr().err
    assert (
        error.count("\n") == 1
        and f"install the extra '{extra}' (pip install " in error
        and "torch" in error
    )


@needs_torch
def test_trains_and_resumes(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main([*arguments, "--epochs", "1", "--resume"]) == 2
    error = capsys.readouterr().err
    assert "no run to resume" in error and str(run / "checkpoint.pt") in error
    assert not run.exists()
    assert main([*arguments, "--epochs", "1"]) == 0
    assert "trained for 1 epochs" in capsys.readouterr().out
    assert (run / "checkpoint.pt").is_file() and (run / "overlays" / "epoch_001.png").is_file()
    assert main([*arguments, "--epochs", "1", "--seed", "5"]) == 2
    assert "seed 0, not 5" in capsys.readouterr().err
    assert main([*arguments, "--epochs", "2", "--resume"]) == 0
    assert len((run / "log.csv").read_text().splitlines()) == 3


@needs_torch
def test_initializes_from_other_weights(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--epochs", "1", "--samples", "8"]) == 0
    first = tmp_path / "run" / "checkpoint.pt"
    again = [*arguments, "--checkpoint-dir", str(tmp_path / "second"), "--epochs", "1"]
    capsys.readouterr()
    assert main([*again, "--samples", "8", "--init", str(first), "--train-only", "expression"]) == 0
    assert f"initialized from {first}; new: nothing" in capsys.readouterr().out
    from tddfa_ros.training.checkpoint import load

    before = load(first)["average"]["weights"]
    after = load(tmp_path / "second" / "checkpoint.pt")["network"]
    moved = {name for name, value in after.items() if not (value == before[name]).all()}
    assert moved == {"param_head.weight", "param_head.bias"}


@needs_torch
def test_trains_on_dataset_lists_and_exports(
    model: MorphableModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a dataset in the user's layout to a network that the pipeline loads, with no other data."""
    model.save(tmp_path / "model.npz")
    training = write_dataset(tmp_path / "data", model, 9, maps=True)
    (tmp_path / "data" / "params" / "0004.npy").unlink()
    validation = write_dataset(tmp_path / "val", model, 2)
    run = tmp_path / "run"
    options = ["--morphable-model", str(tmp_path / "model.npz")]
    arguments = ["train", "--training-data", str(training), "--val-data", str(validation), *options]
    arguments += ["--checkpoint-dir", str(run), "--batch", "4", "--epochs", "1", "--width", "0.125"]
    arguments += ["--input-size", "96", "--workers", "0", "--threads", "1", "--parsing"]
    assert main([*arguments, "--strict"]) == 2
    assert "1 of 9 items" in capsys.readouterr().err
    assert main(arguments) == 0
    error = capsys.readouterr().err
    assert "0004: there is no params/0004.npy" in error and "1 of 9 items" in error
    (line,) = csv.DictReader((run / "log.csv").read_text().splitlines())
    assert float(line["seg"]) > 0 and float(line["nme_validation"]) > 0
    assert len(np.load(run / "cache" / "images.npy")) == 8
    assert len(np.load(run / "val_cache" / "images.npy")) == 2

    path = tmp_path / "net.onnx"
    export = ["export", "--checkpoint", str(run / "checkpoint.pt"), "-o", str(path), *options]
    assert main([*export, "--head", "parsing"]) == 0
    out = capsys.readouterr().out
    assert "agreement of both sets of landmarks (no crops without a face)" in out
    assert f"{path}: {path.stat().st_size} bytes" in out
    from tddfa_ros.regression.regressor import Regressor

    regressor = Regressor(path, model)
    assert regressor.input_size == 96
    assert regressor.session.output_names == (
        "params",
        "landmarks",
        "landmark_sigma",
        "parsing",
    )
    found = regressor(np.zeros((2, 96, 96, 3), np.uint8))
    assert found.params.shape == (2, model.layout.size)


@needs_torch
def test_flags_override_config(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every kind of flag, over a file that says otherwise."""
    (tmp_path / "run.yaml").write_text(
        "epochs: 3\nwidth: 0.25\nprofile_boost: [2, 3]\n"
        "augment: {blur: 0.5, noise: 0.6}\nloss: {lmk: 3, seg: 0.25}\n"
    )
    seen = []

    class Trainer:
        def __init__(self, config: TrainConfig, *_: object, **options: object) -> None:
            seen.append((config, options))

        def run(self) -> None:
            pass

    monkeypatch.setattr("tddfa_ros.training.stages.Trainer", Trainer)
    flags = ["--config", str(tmp_path / "run.yaml"), "--net-stride", "16", "--input-size", "160"]
    flags += ["--profile-boost", "1.5", "4", "--augment-blur", "0.1", "--no-confidence", "--amp"]
    flags += ["--loss-weights", "wpdc=0.5, vdc=.25,lmk=2", "--loss-decay", "0.8"]
    flags += ["--warmup-epochs", "2", "--freeze", "backbone", "--parsing"]
    assert main([*arguments, *flags]) == 0
    ((config, options),) = seen
    assert (config.epochs, config.width, config.batch) == (3, 0.125, 8)
    assert (config.net_stride, config.input_size, config.warmup_epochs) == (16, 160, 2.0)
    assert config.profile_boost == (1.5, 4.0)
    assert (config.augment.blur, config.augment.noise) == (0.1, 0.6)
    assert (
        config.heads == ("landmark_sigma", "parsing") and config.amp and config.freeze == "backbone"
    )
    loss = config.loss
    assert (loss.wpdc, loss.vdc, loss.lmk, loss.seg) == (0.5, 0.25, 2.0, 0.25)
    assert loss.decay == LossDecay(*[0.8] * len(TERMS))
    assert options["validation"] is None and options["start"] is None


def test_every_option_has_a_flag() -> None:
    flags = {name for option in train.command.params for name in option.opts}
    for f in fields(TrainConfig):
        if f.name not in ("augment", "loss"):
            assert f"--{f.name.replace('_', '-')}" in flags
    for f in fields(AugmentConfig):
        assert f"--augment-{f.name.replace('_', '-')}" in flags
    assert {"--loss-weights", "--loss-decay", "--resume", "--init", "--strict"} <= flags


@needs_torch
def test_interrupt_saves_state_and_prints_one_sentence(
    arguments: list[str], tmp_path: Path
) -> None:
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    process = subprocess.Popen(
        [sys.executable, "-m", "tddfa_ros", *arguments, "--epochs", "5000", "--workers", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        end = time.monotonic() + 300
        while not checkpoint.is_file() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C in a terminal: to the workers too
        _, error = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            process.kill()
    assert process.returncode == 130, error
    assert "Traceback" not in error
    assert error.splitlines()[-1] == f"stopped: rerun the same command to resume from {checkpoint}"
    from tddfa_ros.training.checkpoint import load

    state = load(checkpoint)["train_state"]
    assert state["epoch"] >= 1 and state["step"] >= 1
    assert main([*arguments, "--epochs", str(state["epoch"] + 1), "--resume"]) == 0
    lines = (tmp_path / "run" / "log.csv").read_text().splitlines()
    assert len(lines) == 1 + state["epoch"] + 1
