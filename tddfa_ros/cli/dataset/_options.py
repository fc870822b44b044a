"""Options shared by the subcommands of ``tddfa dataset``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from tddfa_ros.cli._common import morphable_option
from tddfa_ros.cli._files import EXISTING_FILE, OutputFolder

_Command = TypeVar("_Command", bound=Callable[..., Any])

POSITIVE = click.FloatRange(0, min_open=True)
COUNT = click.IntRange(min=0)

_CACHE = ("labels.npz", "images.npy", "parsing.npy", "uv_position.npy")


def list_option(help_text: str, required: bool = False) -> Callable[[_Command], _Command]:
    """``--list``, repeatable, as ``lists``."""
    return click.option(
        "--list", "lists", type=EXISTING_FILE, required=required, multiple=True, help=help_text
    )


def out_option(help_text: str, *unfinished: str) -> Callable[[_Command], _Command]:
    """``--output``, the folder of a cache; one that holds a file of a name in ``unfinished`` is resumed."""

    def own(folder: Path) -> bool:
        return any(True for name in unfinished for _ in folder.glob(name))

    kind = OutputFolder(*_CACHE, own=own)
    return click.option("-o", "--output", "out", type=kind, required=True, help=help_text)


def output_option(help_text: str, *patterns: str) -> Callable[[_Command], _Command]:
    """``--output``, the folder of a dataset, and the names of what is written to it."""
    return click.option(
        "-o", "--output", type=OutputFolder(*patterns), required=True, help=help_text
    )


def max_error_option(which: str, default: float | None = None) -> Callable[[_Command], _Command]:
    """``--max-error``: ``which`` are excluded, such as "items whose fit misses the landmarks"."""
    return click.option(
        "--max-error",
        type=POSITIVE,
        default=default,
        show_default=default is not None,
        help=f"Exclude {which} by more, % of the face size.",
    )


def item_options(command: _Command) -> _Command:
    """Add ``--strict`` and ``--morphable-model`` to a command that reads items of a dataset."""
    strict = click.option("--strict", is_flag=True, help="Fail if any item is not usable.")
    return strict(morphable_option(command))


def report(line: str) -> None:
    """Print a line on stderr."""
    click.echo(line, err=True)
