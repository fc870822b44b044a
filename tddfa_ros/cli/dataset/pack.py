"""``tddfa dataset pack``: pack a training cache into one small file."""

from __future__ import annotations

from pathlib import Path

import click

from tddfa_ros.cli import _files as files
from tddfa_ros.cli._common import load_morphable, morphable_option
from tddfa_ros.cli._files import EXISTING_FOLDER, OUTPUT_FILE
from tddfa_ros.cli.dataset._options import (
    POSITIVE,
)


@files.command("pack")
@click.option("--cache", "source", type=EXISTING_FOLDER, required=True, help="A training cache.")
@click.option("-o", "--output", type=OUTPUT_FILE, required=True, help="The .npz file to write.")
@click.option(
    "--megabytes",
    type=POSITIVE,
    default=60.0,
    show_default=True,
    help="Largest size of the file, 10^6 bytes; faces are chosen by their sampling weight until it is full.",
)
@click.option(
    "--side",
    type=click.IntRange(32, 192),
    default=128,
    show_default=True,
    help="Side of the packed crops, px; a cache has 192.",
)
@click.option(
    "--quality",
    type=click.IntRange(1, 100),
    default=75,
    show_default=True,
    help="Quality of the WebP encoder.",
)
@morphable_option
def command(
    source: Path,
    output: Path,
    megabytes: float,
    side: int,
    quality: int,
    model: str,
) -> None:
    """Pack a training cache into one small file, to train on another machine (scripts/train_on_gpu.sh)."""
    from tddfa_ros.training.cache import open_cache
    from tddfa_ros.training.packing import pack_cache

    morphable = load_morphable(model)
    cached = open_cache(source, morphable)
    count = pack_cache(
        cached, morphable, output, max_bytes=int(megabytes * 1e6), side=side, quality=quality
    )
    click.echo(f"{output}: {count} of {len(cached)} crops, {output.stat().st_size} bytes")
