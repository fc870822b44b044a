"""``tddfa dataset check``: report items that are not usable for training."""

from __future__ import annotations

from pathlib import Path

import click

from tddfa_ros.cli import _files as files
from tddfa_ros.cli._common import load_morphable
from tddfa_ros.cli.dataset._options import (
    item_options,
    list_option,
    report,
)


@files.command("check")
@list_option("List file of a dataset, such as data/train.list; may be repeated.", required=True)
@item_options
def command(lists: tuple[Path, ...], strict: bool, model: str) -> int:
    """Report every item that is not usable for training: missing, truncated, not finite, or of the wrong size; exit status 1 if there is one."""
    from tddfa_ros.cli import EXIT_FAILED_ITEMS
    from tddfa_ros.training.data.items import names_of, read_items

    items = read_items(lists, load_morphable(model), strict, report)
    parts = ["images", "params"]
    if items.has_parsing:
        parts.append("seg maps")
    if items.uv_size:
        parts.append(f"UV position maps of {items.uv_size} px")
    click.echo(f"{names_of(lists)}: {len(items)} items with {', '.join(parts)}")
    return EXIT_FAILED_ITEMS if items.bad else 0
