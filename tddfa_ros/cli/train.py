"""``tddfa train``: train a regression network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tddfa_ros.cli import _files as files
from tddfa_ros.cli._common import (
    find_network,
    load_morphable,
    morphable_option,
    need_extra,
)
from tddfa_ros.cli._files import (
    EXISTING_FILE,
    EXISTING_FOLDER,
    INPUT_NAME,
    INPUT_PATH,
    OutputFolder,
)
from tddfa_ros.errors import ConfigError
from tddfa_ros.training.config import AugmentConfig, TrainConfig, load_stages
from tddfa_ros.training.loss_weights import parse_loss_decay, parse_loss_weights

if TYPE_CHECKING:
    from tddfa_ros.morphable import MorphableModel
    from tddfa_ros.training.cache import FaceCache

_EXIT_INTERRUPTED = 130


def _config_flags(function: Callable[..., None]) -> Callable[..., None]:
    """Add one option per key of the configuration."""
    keys = [(f"augment-{f.name}", f"augment.{f.name}", f) for f in fields(AugmentConfig)]
    keys = [(f.name, f.name, f) for f in fields(TrainConfig) if f.name not in _SECTIONS] + keys
    for flag, target, f in reversed(keys):
        name = flag.replace("_", "-")
        kind: Any = type(f.default)
        choices = f.metadata["choices"]
        text = f.metadata["help"] + "."
        if kind is bool:
            option = click.option(
                f"--{name}/--no-{name}", _variable(target), default=None, help=text
            )
        else:
            if choices:
                kind = click.Choice(choices)
            elif kind is tuple:
                kind = (float,) * len(f.default)
            option = click.option(
                f"--{name}", _variable(target), type=kind, default=None, help=text
            )
        function = option(function)
    return function


_SECTIONS = ("augment", "loss")


def _variable(target: str) -> str:
    return "config_" + target.replace(".", "__")


def _has_checkpoint(folder: Path) -> bool:
    """Return whether a folder holds a run, which is resumed or refused by the trainer."""
    return any(True for name in ("checkpoint.pt", "*/checkpoint.pt") for _ in folder.glob(name))


@files.command("train", short_help="Train a regression network.")
@click.option(
    "--config",
    type=INPUT_PATH,
    help="YAML file, such as config/training/mb05.yaml; options on the command line override it.",
)
@click.option(
    "--training-data",
    "training_lists",
    type=EXISTING_FILE,
    multiple=True,
    help="List of a dataset (docs/training.md), such as data/train.list; may be repeated.",
)
@click.option(
    "--val-data",
    "validation_lists",
    type=EXISTING_FILE,
    multiple=True,
    help="List to validate on; without it, one face in 47 is held out.",
)
@click.option(
    "--cache", type=EXISTING_FOLDER, help="Instead of --training-data: from 'tddfa dataset cache'."
)
@click.option("--strict", is_flag=True, help="Fail if any item of a dataset is not usable.")
@click.option(
    "--checkpoint-dir",
    type=OutputFolder("checkpoint.pt", "log.csv", own=_has_checkpoint),
    required=True,
    help="Folder of checkpoint, logs and overlays; an unfinished run there is resumed.",
)
@click.option("--resume", is_flag=True, help="Fail if there is no run to resume.")
@click.option(
    "--init",
    "start",
    type=INPUT_NAME,
    metavar="NAME|PATH",
    help="Initial weights: a network of the model list such as tddfa-mb05, a checkpoint, or an ONNX file of "
    "tddfa export.",
)
@click.option(
    "--loss-weights",
    metavar="NAME=W,...",
    help="Weights of the loss, such as wpdc=1,vdc=0.5,lmk=2.",
)
@click.option(
    "--loss-decay",
    metavar="GAMMA",
    help="Share of the weights that remains at the end: one number, or name=gamma,...",
)
@morphable_option
@_config_flags
def command(
    config: Path | None,
    training_lists: tuple[Path, ...],
    validation_lists: tuple[Path, ...],
    cache: Path | None,
    strict: bool,
    checkpoint_dir: Path,
    resume: bool,
    start: str | None,
    loss_weights: str | None,
    loss_decay: str | None,
    model: str,
    **flags: Any,
) -> None:
    """Train a network; stop with Ctrl-C, rerun the same command to resume. For several GPUs: torchrun --nproc-per-node N -m tddfa_ros train ..."""
    stages = load_stages(config, _overrides(flags, loss_weights, loss_decay))
    if (cache is None) == (not training_lists):
        raise click.UsageError("give either --training-data or --cache")
    need_extra("training", "training", "torch")
    from tddfa_ros.training.processes import keep_freed_memory, workers
    from tddfa_ros.training.stages import run_stages

    checkpoint = checkpoint_dir / "checkpoint.pt"
    begun = [checkpoint, *(checkpoint_dir / s.name / checkpoint.name for s in stages)]
    if resume and not any(path.is_file() for path in begun):
        raise ConfigError(f"no run to resume: {checkpoint} does not exist")
    keep_freed_memory()
    morphable = load_morphable(model)
    weights = None if start is None else find_network(start, "--init")
    with workers(stages[0].config.device) as all_workers:
        first = all_workers.first

        def data(lists: tuple[Path, ...], folder: Path) -> FaceCache:
            return _open_lists(lists, morphable, checkpoint_dir / folder, strict, report=first)

        with all_workers.first_alone():
            validation = data(validation_lists, Path("val_cache")) if validation_lists else None
            training = _open(cache, morphable) if cache else data(training_lists, Path("cache"))
        try:
            run_stages(
                stages,
                training,
                morphable,
                checkpoint_dir,
                validation=validation,
                start=weights,
                workers=all_workers,
                refinable=cache,
            )
        except KeyboardInterrupt:
            state = "no checkpoint was saved yet"
            saved = [path for path in begun if path.is_file()]
            if saved:
                state = f"rerun the same command to resume from {saved[-1]}"
            if first:
                click.echo(f"\nstopped: {state}", err=True)
            click.get_current_context().exit(_EXIT_INTERRUPTED)
        if first:
            if any(stage.config.minutes for stage in stages):
                click.echo(f"{checkpoint}: trained for the time budget")
            else:
                epochs = sum(stage.config.epochs for stage in stages)
                click.echo(f"{checkpoint}: trained for {epochs} epochs")


def _overrides(
    flags: dict[str, Any], loss_weights: str | None, loss_decay: str | None
) -> dict[str, Any]:
    """Return the options of the command line as a nested configuration."""
    out: dict[str, Any] = {}
    for name, value in flags.items():
        if value is not None:
            section, _, key = name.removeprefix("config_").rpartition("__")
            (out.setdefault(section, {}) if section else out)[key] = value
    if loss_weights is not None:
        out["loss"] = parse_loss_weights(loss_weights)
    if loss_decay is not None:
        out.setdefault("loss", {})["decay"] = parse_loss_decay(loss_decay)
    return out


def _open(folder: Path, model: MorphableModel) -> FaceCache:
    from tddfa_ros.training.cache import open_cache

    return open_cache(folder, model)


def _open_lists(
    lists: tuple[Path, ...], model: MorphableModel, folder: Path, strict: bool, report: bool
) -> FaceCache:
    from tddfa_ros.training.data.list_cache import cache_lists

    def on_message(line: str) -> None:
        if report:
            click.echo(line, err=True)

    return cache_lists(lists, model, folder, strict, on_message)
