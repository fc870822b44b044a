"""``tddfa makeup``: lipstick, blush, eye shadow, brows and stickers on the faces of images and videos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tddfa_ros.cli import _files as files
from tddfa_ros.cli._files import INPUT_NAME
from tddfa_ros.cli._painting import check_inputs, painting_options, run_painting


@files.command("makeup", short_help="Apply virtual makeup and stickers to images and videos.")
@click.argument("inputs", type=INPUT_NAME, metavar="IN...", nargs=-1)
@click.option(
    "--preset",
    type=INPUT_NAME,
    default="natural",
    show_default=True,
    help="Makeup preset: a name, or a .yaml file.",
)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="PART.KEY=VALUE",
    help="Change the preset: lipstick.color=#b0303a, blush.opacity=.3; repeatable.",
)
@click.option("--list", "listed", is_flag=True, help="List the presets of the package, and exit.")
@painting_options
def command(
    inputs: tuple[str, ...],
    output: Path | None,
    preset: str,
    changes: tuple[str, ...],
    listed: bool,
    **given: Any,
) -> int:
    """Apply virtual makeup to the faces of images and videos.

    IN is an image, a folder of images, a pattern, or a video.
    """
    from tddfa_ros.jobs.effects import makeup_effect
    from tddfa_ros.makeup.preset_files import load_preset, preset_names

    if listed:
        click.echo("\n".join(preset_names()))
        return 0
    target = check_inputs(inputs, output)
    chosen = load_preset(preset, changes)
    return run_painting(inputs, target, lambda model: makeup_effect(model, chosen), **given)
