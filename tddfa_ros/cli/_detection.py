"""The options of every subcommand that finds faces: which detector, how sure, how large, and what to try next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import click

from tddfa_ros.config import PipelineConfig

_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--detector", help="Face detector: a name in the model list, or an .onnx file."),
    click.option("--score-threshold", type=float, help="Detections below are ignored, 0..1."),
    click.option(
        "--input-size",
        type=int,
        help="Long side that the detector sees, px; 0 = what it was made for.",
    ),
    click.option(
        "--fallback",
        help="Second try where no face is found: a lower threshold such as 0.2, or another detector.",
    ),
)


def detection_options(command: _Command) -> _Command:
    """Decorate a click command; it gets ``detector``, ``score_threshold``, ``input_size``, ``fallback``, None where not given."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def with_detection(config: PipelineConfig, **given: Any) -> PipelineConfig:
    """The configuration with those options that were given; ConfigError for a value that cannot be."""
    from tddfa_ros.detection import check_detection

    chosen = {name: value for name, value in given.items() if value is not None}
    detection = replace(config.detection, **chosen)
    check_detection(detection)
    return replace(config, detection=detection)
