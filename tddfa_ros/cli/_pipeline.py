"""Pipeline options of subcommands: a configuration file and options that override it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from tddfa_ros.cli._common import config_option
from tddfa_ros.cli._detection import detection_options, with_detection
from tddfa_ros.cli._files import INPUT_NAME
from tddfa_ros.config import PRECISIONS, PipelineConfig, load_config

_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS = (
    config_option,
    click.option(
        "--regressor",
        type=INPUT_NAME,
        metavar="NAME|PATH",
        help="Regression network: a name in the model list, or an .onnx file.",
    ),
    click.option(
        "--regressor-precision",
        type=click.Choice(PRECISIONS),
        help="Number format of the regression network: int8 is made at first use; auto: int8 if 'tddfa doctor' measured a gain; default: --config, else float32.",
    ),
    click.option(
        "--morphable-model",
        type=INPUT_NAME,
        metavar="NAME|PATH",
        help="Morphable model: a name in the model list, or an .npz file; by default the one an imported network was made for.",
    ),
    detection_options,
    click.option(
        "--max-image-pixels",
        type=click.IntRange(min=1),
        help="Refuse images with a larger width x height before they are decoded; default: --config, else 200 million.",
    ),
)


def pipeline_options(command: _Command) -> _Command:
    """Add pipeline options to a click command; pass them to :func:`pipeline_config` by name."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def pipeline_config(
    config: Path | None,
    regressor: str | None = None,
    morphable_model: str | None = None,
    max_image_pixels: int | None = None,
    regressor_precision: str | None = None,
    **detection: Any,
) -> PipelineConfig:
    """Load the configuration file, or the defaults, and apply the given options.

    Raises:
        ConfigError: the file is invalid, or a value is out of range.
    """
    chosen = with_detection(load_config(config), **detection)
    options = {
        "model": regressor,
        "morphable_model": morphable_model,
        "precision": regressor_precision,
    }
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if max_image_pixels is not None:
        chosen = replace(chosen, input=replace(chosen.input, max_image_pixels=max_image_pixels))
    return replace(chosen, regression=replace(chosen.regression, **given))
