"""``tddfa train-detector``: train the face detector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from tddfa_ros.cli import _files as files
from tddfa_ros.cli._common import load_morphable, morphable_option, need_extra
from tddfa_ros.cli._files import EXISTING_FILE, EXISTING_FOLDER, INPUT_PATH, OutputFolder
from tddfa_ros.errors import ConfigError
from tddfa_ros.training.detector.config import DetectorConfig, load_detector_config

_EXIT_INTERRUPTED = 130


def _config_flags(function: Callable[..., None]) -> Callable[..., None]:
    """Add one option per key of the configuration."""
    for f in reversed(fields(DetectorConfig)):
        kind: Any = type(f.default)
        if kind is tuple:
            kind = (int,) * len(f.default)
        name = f.name.replace("_", "-")
        option = click.option(
            f"--{name}", f"config_{f.name}", type=kind, default=None, help=f.metadata["help"] + "."
        )
        function = option(function)
    return function


def _has_checkpoint(folder: Path) -> bool:
    """Return whether a folder holds a run, which is resumed or refused by the trainer."""
    return (folder / "checkpoint.pt").is_file() or (folder / "backgrounds").is_dir()


@files.command("train-detector", short_help="Train the face detector.")
@click.option(
    "--config",
    type=INPUT_PATH,
    help="YAML file, such as config/training/detector.yaml; options on the command line override it.",
)
@click.option(
    "--cache",
    type=EXISTING_FOLDER,
    required=True,
    help="Faces to paste: from 'tddfa dataset cache', or the folder 'cache' of a run of 'tddfa train'.",
)
@click.option(
    "--backgrounds",
    type=EXISTING_FOLDER,
    help="Folder of images without faces; images with a face are left out.",
)
@click.option(
    "--labeled",
    type=EXISTING_FOLDER,
    help="Folder of images with boxes.json (docs/training.md); missing faces are added by CenterFace.",
)
@click.option(
    "--checkpoint-dir",
    type=OutputFolder("checkpoint.pt", "log.csv", own=_has_checkpoint),
    required=True,
    help="Folder of checkpoint, logs and overlays; an unfinished run there is resumed.",
)
@click.option("--resume", is_flag=True, help="Fail if there is no run to resume.")
@click.option(
    "--init", "start", type=EXISTING_FILE, help="Checkpoint of a detector with initial weights."
)
@morphable_option
@_config_flags
def command(
    config: Path | None,
    cache: Path,
    backgrounds: Path | None,
    labeled: Path | None,
    checkpoint_dir: Path,
    resume: bool,
    start: Path | None,
    model: str,
    **flags: Any,
) -> None:
    """Train the detector on faces pasted over backgrounds and on labeled images; stop with Ctrl-C, rerun the same command to resume."""
    given = {
        name.removeprefix("config_"): value for name, value in flags.items() if value is not None
    }
    options = load_detector_config(config, given)
    checkpoint = checkpoint_dir / "checkpoint.pt"
    if resume and not checkpoint.is_file():
        raise ConfigError(f"no run to resume: {checkpoint} does not exist")
    need_extra("training", "training", "torch")
    from tddfa_ros.training.cache import open_cache
    from tddfa_ros.training.detector.run import train_detector
    from tddfa_ros.training.processes import keep_freed_memory

    keep_freed_memory()
    morphable = load_morphable(model)
    try:
        figures = train_detector(
            options,
            open_cache(cache, morphable),
            morphable,
            checkpoint_dir,
            labeled=labeled,
            background_images=backgrounds,
            start=start,
            on_message=lambda line: click.echo(line, err=True),
        )
    except KeyboardInterrupt:
        state = "no checkpoint was saved yet"
        if checkpoint.is_file():
            state = f"rerun the same command to resume from {checkpoint}"
        click.echo(f"\nstopped: {state}", err=True)
        click.get_current_context().exit(_EXIT_INTERRUPTED)
    recall = figures.get("recall")
    result = "already complete" if recall is None else f"recall {recall:.3f} on held-out images"
    click.echo(f"{checkpoint}: {result}")
