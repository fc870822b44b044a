"""``tddfa dataset``: prepare face collections for training."""

from __future__ import annotations

from pathlib import Path

import click

from tddfa_ros.cli._common import EXISTING_FOLDER, FOLDER, load_morphable, morphable_option


@click.group("dataset", short_help="Prepare face collections for training.")
def command() -> None:
    """Face collections: fit the morphable model to their labels and cut their crops."""


@command.command("cache")
@click.option(
    "--faces", type=EXISTING_FOLDER, required=True, help="The collection: <source>.npz and img/."
)
@click.option("--out", type=FOLDER, required=True, help="Where the cache goes.")
@click.option(
    "--sources", metavar="A,B,...", help="Only these sources, separated by commas; all by default."
)
@click.option(
    "--max-error",
    type=click.FloatRange(0, min_open=True),
    default=4.0,
    show_default=True,
    help="Leave out faces whose fit misses the labels by more, % of the face size.",
)
@morphable_option
def cache(faces: Path, out: Path, sources: str | None, max_error: float, model: str) -> None:
    """Fit the morphable model to all labels and decode all crops into one file.

    Fits of a source are kept in the folder, so that a second run goes on where the first was stopped.
    """
    from tddfa_ros.training.cache import build_cache
    from tddfa_ros.training.faces import SOURCES

    chosen = tuple(filter(None, sources.replace(" ", "").split(","))) if sources else SOURCES
    made = build_cache(faces, chosen, load_morphable(model), out, max_error)
    click.echo(f"{out}: {len(made)} faces, mean fit error {made.error.mean():.2f} %")
