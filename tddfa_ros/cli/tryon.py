"""``tddfa tryon``: glasses, hats and other GLB objects on the heads of images and videos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tddfa_ros.cli import _files as files
from tddfa_ros.cli._files import INPUT_NAME, OUTPUT_FILE
from tddfa_ros.cli._painting import check_inputs, painting_options, run_painting


class _Triple(click.ParamType):  # type: ignore[type-arg]
    """Three numbers with commas between."""

    name = "x,y,z"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            x, y, z = (float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"'{value}' is not three numbers with commas between, such as 0,2,-1.5")
        return x, y, z


@files.command("tryon", short_help="Render glasses, hats and other GLB objects on heads.")
@click.argument("inputs", type=INPUT_NAME, metavar="IN...", nargs=-1)
@click.option(
    "--glb",
    type=INPUT_NAME,
    required=True,
    help="A .glb file, or one of the samples: glasses, hat.",
)
@click.option(
    "--anchor", metavar="NAME", help="Anchor of the object's origin; nose_bridge by default."
)
@click.option("--offset", type=_Triple(), default=(0.0, 0.0, 0.0), help="Offset in mm to the person's left, up, forward.")  # fmt: skip
@click.option(
    "--scale", type=float, default=1.0, show_default=True, help="Factor on the size of the object."
)
@click.option("--rotate", type=_Triple(), default=(0.0, 0.0, 0.0), metavar="R,P,Y", help="Rotation of the object: roll, pitch, yaw in degrees.")  # fmt: skip
@click.option(
    "--shadow",
    type=float,
    default=0.3,
    show_default=True,
    help="Strength of the shadow on the skin, 0..1.",
)
@click.option("--export", type=OUTPUT_FILE, help="Write a sample as a .glb file, and exit.")  # fmt: skip
@painting_options
def command(
    inputs: tuple[str, ...],
    output: Path | None,
    glb: str,
    anchor: str | None,
    offset: tuple[float, float, float],
    scale: float,
    rotate: tuple[float, float, float],
    shadow: float,
    export: Path | None,
    **given: Any,
) -> int:
    """Render an object on the heads in images and videos, occluded by the head.

    IN is an image, a folder of images, a pattern, or a video. The object is in meters, as in all GLB files, y up, z out of the face.
    """
    from tddfa_ros.jobs.effects import tryon_effect
    from tddfa_ros.makeup.objects import read_object
    from tddfa_ros.makeup.places import check_place
    from tddfa_ros.makeup.samples import sample_anchor, sample_names, sample_object, write_sample
    from tddfa_ros.makeup.tryon import Placement

    if export is not None:
        click.echo(f"written: {write_sample(glb, export)}")
        return 0
    target = check_inputs(inputs, output)
    is_sample = glb in sample_names()
    default = sample_anchor(glb) if is_sample else "nose_bridge"
    placement = Placement(anchor or default, offset, scale, rotate, shadow)
    check_place(placement.anchor)
    item = sample_object(glb) if is_sample else read_object(Path(glb))
    return run_painting(inputs, target, lambda model: tryon_effect(model, item, placement), **given)
