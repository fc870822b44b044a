"""Command-line options override the configuration file, in every subcommand that runs the pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from tddfa_ros.cli import main
from tddfa_ros.cli._pipeline import pipeline_config, pipeline_options
from tddfa_ros.config import DetectionConfig, PipelineConfig, RegressionConfig


def parsed(*arguments: str) -> PipelineConfig:
    seen: list[PipelineConfig] = []

    @click.command()
    @pipeline_options
    def command(**chosen: Any) -> None:
        seen.append(pipeline_config(**chosen))

    result = CliRunner().invoke(command, arguments)
    if result.exception is not None:
        raise result.exception
    return seen[0]


def test_precedence_flags_file_defaults(tmp_path: Path) -> None:
    file = tmp_path / "face.yaml"
    file.write_text(
        "regression: {model: a.onnx, morphable_model: a.npz, threads: 2}\ndetection: {input_size: 640}"
    )
    assert parsed() == PipelineConfig()
    assert parsed("--config", str(file)).regression == RegressionConfig(
        "a.onnx", "a.npz", threads=2
    )
    arguments = ["--config", str(file), "--regressor", "b.onnx", "--detector", "faceboxes"]
    chosen = parsed(*arguments, "--fallback", "0.2")
    assert chosen.regression == RegressionConfig("b.onnx", "a.npz", threads=2)
    assert chosen.detection == DetectionConfig("faceboxes", input_size=640, fallback="0.2")
    int8 = parsed("--regressor-precision", "int8")
    assert (int8.regression.precision, int8.detection.precision) == ("int8", "float32")
    assert parsed("--morphable-model", "b.npz").regression.morphable_model == "b.npz"


@pytest.mark.parametrize("command", ["image", "video", "batch"])
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--regressor", "none.onnx"], "the model file none.onnx does not exist"),
        (["--morphable-model", "none.npz"], "the model file none.npz does not exist"),
        (["--detector", "nobody"], "'nobody'"),
        (["--score-threshold", "3"], "score_threshold must be between"),
        (["--input-size", "5"], "input_size"),
        (["--fallback", "7"], "fallback"),
    ],
)
def test_every_choice_reaches_the_config(
    command: str,
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wall = np.full((96, 96, 3), 90, np.uint8)
    image, clip = tmp_path / "wall.png", tmp_path / "wall.mp4"
    cv2.imwrite(str(image), wall)
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter_fourcc(*"mp4v"), 10, (96, 96))
    for _ in range(3):
        writer.write(wall)
    writer.release()
    source, output = (
        str(clip if command == "video" else image),
        {"image": "out", "video": "out.mp4", "batch": "out.jsonl"},
    )
    more = ["--no-audio"] if command == "video" else []
    target = ["-o", str(tmp_path / output[command]), *more]
    assert main([command, source, *target, *arguments]) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err and "Traceback" not in captured.err
