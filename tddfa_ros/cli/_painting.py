"""Shared code of ``tddfa makeup`` and ``tddfa tryon``: inputs, outputs, and processing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tddfa_ros.cli._common import counted, failures, quiet_encoders, to_stderr
from tddfa_ros.cli._files import OutputFile, overwrite_option
from tddfa_ros.cli._pipeline import pipeline_config, pipeline_options
from tddfa_ros.config import SMOOTHING_METHODS

if TYPE_CHECKING:
    from tddfa_ros.morphable.model import MorphableModel
    from tddfa_ros.outputs.layers import Layer

_Command = TypeVar("_Command", bound=Callable[..., Any])


_OPTIONS = (
    click.option(
        "-o",
        "--output",
        type=OutputFile(checked_by_job=True, folder=True),
        help="A file for one input, else a folder; videos become .mp4.",
    ),
    pipeline_options,
    click.option(
        "--min-confidence",
        type=click.FloatRange(0, 1),
        default=0.4,
        show_default=True,
        help="Skip faces of images with a lower confidence.",
    ),
    click.option(
        "--smooth",
        type=click.Choice(SMOOTHING_METHODS),
        default="imm",
        show_default=True,
        help="Smoothing filter for videos.",
    ),
    click.option("--no-audio", is_flag=True, help="Write videos without audio."),
    overwrite_option,
    click.option("--restart", is_flag=True, help="Discard unfinished videos of an earlier run."),
    click.option("--strict", is_flag=True, help="Exit status 1 also when an image has no face."),
)


def painting_options(command: _Command) -> _Command:
    """Decorate a click command; what it gets, but for the output, goes to :func:`run_painting` by name."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def check_inputs(inputs: tuple[str, ...], output: Path | None) -> Path:
    """Return the output; raise UsageError if it or the inputs are missing."""
    if not inputs or output is None:
        raise click.UsageError("IN, an image, a folder or a video, and -o are needed")
    return output


def run_painting(
    inputs: tuple[str, ...],
    output: Path,
    effect: Callable[[MorphableModel], Layer],
    *,
    min_confidence: float,
    smooth: str,
    no_audio: bool,
    overwrite: bool,
    restart: bool,
    strict: bool,
    **chosen: Any,
) -> int:
    """Paint the faces of all inputs; return the exit status.

    Args:
        effect: makes the layer for the model that the pipeline uses.
        chosen: what ``pipeline_options`` added.
    """
    quiet_encoders()
    from dataclasses import replace

    from tddfa_ros.cli import EXIT_FAILED_ITEMS, EXIT_INTERRUPTED
    from tddfa_ros.jobs.effects import FileOptions, paint_files
    from tddfa_ros.pipeline import FacePipeline
    from tddfa_ros.video import VideoOptions

    config = pipeline_config(**chosen)
    pipeline = FacePipeline(config)
    video = VideoOptions(
        smoothing=replace(config.smoothing, method=smooth), audio=not no_audio, restart=restart
    )
    options = FileOptions(min_confidence, overwrite, video)
    summary = paint_files(inputs, output, pipeline, effect(pipeline.model), options, to_stderr)
    files = ", ".join(map(str, summary.files)) or "no file"
    click.echo(f"{counted(summary.faces, 'face')}; written: {files}")
    if not summary.finished:
        click.echo("stopped before the end; rerun the same command to resume", err=True)
        return EXIT_INTERRUPTED
    status = failures(len(summary.failed), summary.inputs, "input")
    return EXIT_FAILED_ITEMS if strict and summary.without_face else status
