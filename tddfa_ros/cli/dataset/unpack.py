"""``tddfa dataset unpack``: write the training cache of a packed file."""

from __future__ import annotations

from pathlib import Path

import click

from tddfa_ros.cli import _files as files
from tddfa_ros.cli._common import load_morphable, morphable_option
from tddfa_ros.cli._files import EXISTING_FILE
from tddfa_ros.cli.dataset._options import (
    out_option,
)


@files.command("unpack")
@click.option("--packed", type=EXISTING_FILE, required=True, help="File of 'tddfa dataset pack'.")
@out_option("Folder of the cache.")
@morphable_option
def command(packed: Path, out: Path, model: str) -> None:
    """Write the training cache of a packed file."""
    from tddfa_ros.training.packing import unpack_cache

    made = unpack_cache(packed, load_morphable(model), out)
    click.echo(f"{out}: {len(made)} crops, {int(made.face.sum())} of them faces")
