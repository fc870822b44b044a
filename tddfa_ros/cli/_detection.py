"""Detection options of subcommands: detector, score threshold, input size and fallback."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import click

from tddfa_ros.cli._files import INPUT_NAME
from tddfa_ros.config import PRECISIONS, PipelineConfig

_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--detector",
        type=INPUT_NAME,
        help="Face detector: a name in the model list, or an .onnx file.",
    ),
    click.option("--score-threshold", type=float, help="Minimum score of a detection, 0..1."),
    click.option(
        "--input-size",
        type=int,
        help="Long side of the detector input, px; 0 = native size of the detector.",
    ),
    click.option(
        "--fallback",
        type=INPUT_NAME,
        help="Fallback for images without a detection: a lower threshold such as 0.2, or another detector.",
    ),
    click.option(
        "--detector-precision",
        type=click.Choice(PRECISIONS),
        help="Number format of the detector; default: --config, else float32.",
    ),
)


def detection_options(command: _Command) -> _Command:
    """Add ``detector``, ``score_threshold``, ``input_size``, ``fallback`` and ``detector_precision`` to a click command; None if not given."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def with_detection(config: PipelineConfig, **given: Any) -> PipelineConfig:
    """Return the configuration with the given options applied; raise ConfigError for an invalid value."""
    from tddfa_ros.detection import check_detection

    fields = {"precision" if k == "detector_precision" else k: v for k, v in given.items()}
    chosen = {name: value for name, value in fields.items() if value is not None}
    detection = replace(config.detection, **chosen)
    check_detection(detection)
    return replace(config, detection=detection)
