"""``tddfa dataset render``: render seg maps and UV position maps."""

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
    output_option,
    report,
)

_SIZES = ("120", "160", "192", "image")


@files.command("render")
@list_option("List file of a dataset, such as data/train.list; may be repeated.")
@click.option(
    "--cache",
    type=EXISTING_FOLDER,
    help="Instead of --list: training cache; --output becomes the same cache with seg maps. Other options do not apply.",
)
@output_option(
    "Folder that gets seg_maps/ and uv_maps/; with --cache: folder of the new cache.",
    *("seg_maps/**/*.png", "uv_maps/**/*.png", "uv_maps/**/*.npz"),
    *("labels.npz", "images.npy", "parsing.npy", "uv_position.npy"),
)
@click.option(
    "--size",
    type=click.Choice(_SIZES),
    default="192",
    show_default=True,
    help="Seg maps: side of a crop with the 120 px of the ROI in its center; image: size of the image.",
)
@click.option(
    "--uv-size",
    type=COUNT,
    default=32,
    show_default=True,
    help="Side of UV position maps, px; 0: none.",
)
@click.option(
    "--uv-format",
    type=click.Choice(("npz", "png")),
    default="png",
    show_default=True,
    help="npz: float32; png: 16 bits, resolution 1/128 px.",
)
@item_options
def command(
    lists: tuple[Path, ...],
    cache: Path | None,
    output: Path,
    size: str,
    uv_size: int,
    uv_format: str,
    strict: bool,
    model: str,
) -> None:
    """Render seg maps and UV position maps from params.

    Seg maps: 0 background, 1 skin, 2 brows, 3 eyes, 4 nose, 5 lips, 6 mouth (inside), 7 ears, 8 neck; training ignores 255.
    """
    if (cache is None) == (not lists):
        raise click.UsageError("give either --list or --cache")
    from tddfa_ros.training.data.render import RenderOptions, render_cache, render_lists

    if cache is not None:
        count = render_cache(cache, output, load_morphable(model))
        click.echo(f"{output}: seg maps of {count} faces")
        return

    options = RenderOptions(size, uv_size, uv_format)
    count = render_lists(lists, load_morphable(model), output, options, strict, report)
    click.echo(f"{output}: maps of {count} items")
