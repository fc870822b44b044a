"""``tddfa dataset cache``: cache all crops of a dataset or a face collection for training."""

from __future__ import annotations

from pathlib import Path

import click

from tddfa_ros.cli import _files as files
from tddfa_ros.cli._common import load_morphable
from tddfa_ros.cli._files import EXISTING_FOLDER
from tddfa_ros.cli.dataset._options import (
    COUNT,
    item_options,
    list_option,
    max_error_option,
    out_option,
    report,
)


@files.command("cache")
@click.option(
    "--faces", type=EXISTING_FOLDER, help="Folder of a face collection: <source>.npz and img/."
)
@list_option("List file of a dataset, instead of --faces; may be repeated.")
@out_option("Folder of the cache.", "fit_*.npz", "items.json")
@click.option(
    "--sources",
    metavar="A,B,...",
    help="Sources of the collection, separated by commas; default: all.",
)
@max_error_option("faces whose fit misses the labels", default=4.0)
@click.option(
    "--profiles",
    type=COUNT,
    default=8000,
    show_default=True,
    help="Of a collection: number of faces that are rotated to larger yaws, up to 90 degrees.",
)
@click.option(
    "--negatives",
    type=COUNT,
    default=12000,
    show_default=True,
    help="Of a collection, with --backgrounds: number of crops without a face.",
)
@click.option(
    "--backgrounds", type=EXISTING_FOLDER, help="Folder of images without faces, for the negatives."
)
@item_options
def command(
    faces: Path | None,
    lists: tuple[Path, ...],
    out: Path,
    sources: str | None,
    max_error: float,
    profiles: int,
    negatives: int,
    backgrounds: Path | None,
    strict: bool,
    model: str,
) -> None:
    """Write all crops to one memory-mapped file; of a collection, fit the morphable model to its labels first.

    The fit of each source is stored in the folder, so that rerunning the command resumes it.
    """
    if (faces is None) == (not lists):
        raise click.UsageError("give either --faces or --list")
    if faces is None:
        from tddfa_ros.training.data.list_cache import cache_lists

        made = cache_lists(lists, load_morphable(model), out, strict, report)
        click.echo(f"{out}: {len(made)} faces")
        return
    from tddfa_ros.fitting.collection import SOURCES
    from tddfa_ros.training.collection import build_cache

    chosen = tuple(filter(None, sources.replace(" ", "").split(","))) if sources else SOURCES
    made = build_cache(
        faces,
        chosen,
        load_morphable(model),
        out,
        max_error=max_error,
        profiles=profiles,
        negatives=negatives,
        backgrounds=backgrounds,
    )
    for name in dict.fromkeys(made.source.tolist()):
        rows = made.source == name
        error = f", mean fit error {made.error[rows].mean():.2f} %" if made.face[rows].all() else ""
        click.echo(f"{name}: {rows.sum()} crops{error}")
