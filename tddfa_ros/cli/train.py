"""``tddfa train``: train a regression network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from tddfa_ros.cli._common import (
    EXISTING_FOLDER,
    FOLDER,
    load_morphable,
    morphable_option,
    need_extra,
)
from tddfa_ros.training.config import TrainConfig, load_train_config

_EXIT_INTERRUPTED = 130


def _overrides(function: Callable[..., None]) -> Callable[..., None]:
    """One flag for every number at the top level of the configuration."""
    for f in reversed(fields(TrainConfig)):
        if type(f.default) in (int, float):
            flag = click.option(
                f"--{f.name.replace('_', '-')}", type=type(f.default), help=f.metadata["help"] + "."
            )
            function = flag(function)
    return function


@click.command("train", short_help="Train a regression network.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="YAML file, such as config/training/mb05.yaml; flags replace what it says.",
)
@click.option("--cache", type=EXISTING_FOLDER, required=True, help="From 'tddfa dataset cache'.")
@click.option(
    "--checkpoint-dir",
    type=FOLDER,
    required=True,
    help="Where checkpoint and log go; an unfinished run there goes on.",
)
@morphable_option
@_overrides
def command(
    config: Path | None, cache: Path, checkpoint_dir: Path, model: str, **overrides: Any
) -> None:
    """Train a network on a cache of faces; stop with Ctrl-C, go on with the same command."""
    given = {name: value for name, value in overrides.items() if value is not None}
    settings = load_train_config(config, given)
    need_extra("training", "training", "torch")
    from tddfa_ros.training.cache import open_cache
    from tddfa_ros.training.trainer import Trainer

    morphable = load_morphable(model)
    checkpoint = checkpoint_dir / "checkpoint.pt"
    try:
        trainer = Trainer(settings, open_cache(cache, morphable), morphable, checkpoint_dir)
        trainer.run()
    except KeyboardInterrupt:
        state = "nothing to go on from was saved yet"
        if checkpoint.is_file():
            state = f"{checkpoint} holds the last full epoch, from which the same command goes on"
        click.echo(f"\nstopped: {state}", err=True)
        click.get_current_context().exit(_EXIT_INTERRUPTED)
    click.echo(f"{checkpoint}: trained for {settings.epochs} epochs")
