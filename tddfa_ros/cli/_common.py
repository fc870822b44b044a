"""Options and helpers shared by subcommands."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tddfa_ros.cli._files import INPUT_FILE, INPUT_NAME

if TYPE_CHECKING:
    from tddfa_ros.morphable.model import MorphableModel

config_option = click.option(
    "--config", type=INPUT_FILE, help="YAML file with pipeline options, such as config/face.yaml."
)

morphable_option = click.option(
    "--morphable-model",
    "model",
    type=INPUT_NAME,
    default="tddfa-head",
    show_default=True,
    metavar="NAME|PATH",
    help="Morphable model: a name in the model list, or an .npz file.",
)


def quiet_encoders() -> None:
    """Silence FFmpeg inside OpenCV, which reports every missing encoder; call before OpenCV is imported."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


def to_stderr(sentence: str) -> None:
    """Print a sentence to stderr without breaking a progress bar."""
    import sys

    from tqdm import tqdm

    from tddfa_ros.names import printable

    tqdm.write(printable(sentence), file=sys.stderr)


def failures(failed: int, total: int, noun: str) -> int:
    """Return the exit status of a run over many items, which says on stderr how many of them failed."""
    from tddfa_ros.cli import EXIT_FAILED_ITEMS

    if not failed:
        return 0
    to_stderr(f"{failed} of {counted(total, noun)} could not be used")
    return EXIT_FAILED_ITEMS


def counted(number: int, noun: str) -> str:
    """Format a number with its noun: ``1 face``, ``2 faces``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def load_morphable(model: str) -> MorphableModel:
    """Load a morphable model by its name in the model list, or from an .npz file."""
    from tddfa_ros.model_store.store import default_store
    from tddfa_ros.morphable.model import MorphableModel

    path = Path(model) if model.endswith(".npz") else default_store().path(model)
    return MorphableModel.load(path)


def find_network(name: str, option: str) -> Path:
    """Return the file of an option that takes a path or a network of the model list.

    Raises:
        ConfigError: it is neither.
    """
    from tddfa_ros.errors import ConfigError, ModelError
    from tddfa_ros.model_store.store import default_store

    path = Path(name)
    if path.is_file():
        return path
    try:
        return default_store().path(name)
    except ModelError as error:
        raise ConfigError(f"{option} {name} is neither a file nor a network: {error}") from error


def need_extra(extra: str, what: str, *modules: str) -> None:
    """Raise ClickException naming the extra to install if a module is missing; imports none of them."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise click.ClickException(
            f"{what} needs {', '.join(missing)}: install the extra '{extra}' (pip install {' '.join(missing)})"
        )
