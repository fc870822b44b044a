"""``tddfa edit``: edit the face in an image by named attributes and expressions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from tddfa_ros.cli import _files as files
from tddfa_ros.cli._common import load_morphable
from tddfa_ros.cli._files import INPUT_FILE, OUTPUT_FILE, OutputFile


@files.command("edit", short_help="Edit a face by named attributes and expressions.")
@click.argument("path", metavar="[IMAGE]", type=INPUT_FILE, required=False)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="NAME=VALUE",
    help="Attribute, added to that of the person (age=+1), or expression (jawOpen=.5); repeatable.",
)
@click.option("-o", "--output", type=OUTPUT_FILE, help="The image to write.")
@click.option(
    "--obj",
    "mesh",
    type=OutputFile(beside=lambda path: [path.with_suffix(".mtl"), path.with_suffix(".png")]),
    help="Also write the edited mesh with texture (.obj).",
)
@click.option(
    "--face", "number", type=click.IntRange(min=1), default=1, help="Face to edit; 1 = the largest."
)
@click.option("--list", "listed", is_flag=True, help="List names, ranges and units, and exit.")
@click.option(
    "--preview",
    is_flag=True,
    help="Write an overview of all attributes on IMAGE, or on the mean head.",
)
def command(
    path: Path | None,
    changes: tuple[str, ...],
    output: Path | None,
    mesh: Path | None,
    number: int,
    listed: bool,
    preview: bool,
) -> None:
    """Redraw the face in IMAGE with other attributes or another expression.

    The same names work for the mesh alone: --obj without -o.
    """
    if listed:
        _list()
        return
    if preview:
        _preview(path, output, number)
        return
    if path is None:
        raise click.UsageError("an IMAGE is needed; 'tddfa edit --list' shows what can be set")
    if not changes:
        raise click.UsageError(
            "--set says what to change; 'tddfa edit --list' shows what can be set"
        )
    if output is None and mesh is None:
        raise click.UsageError("-o or --obj must say where the result goes")
    from tddfa_ros.editing.edited import edit_image
    from tddfa_ros.editing.editor import AttributeEditor, parse_changes
    from tddfa_ros.export.mesh_texture import measured_iris
    from tddfa_ros.export.obj import write_face_obj
    from tddfa_ros.jobs.edit import face_of
    from tddfa_ros.outputs import read_image
    from tddfa_ros.outputs.image_io import write_image
    from tddfa_ros.pipeline import FacePipeline

    wanted = parse_changes(changes)
    image = read_image(path)
    pipeline = FacePipeline()
    editor = AttributeEditor(pipeline.model)
    face = face_of(pipeline, image, str(path), number)
    params = editor.edit(face.params, wanted)
    drawn = edit_image(image, face, wanted, editor)
    if output is not None:
        click.echo(f"written: {write_image(output, drawn)}")
    if mesh is not None:
        iris = measured_iris(face, image)  # the edit may close the eyes
        files = write_face_obj(mesh, replace(face, params=params), drawn, iris=iris)
        click.echo(f"written: {', '.join(map(str, files))}")


def _list() -> None:
    from tddfa_ros.config import RegressionConfig
    from tddfa_ros.editing.editor import AttributeEditor

    model = load_morphable(RegressionConfig().morphable_model)
    for control in AttributeEditor(model).controls.values():
        span = f"{control.low:g} .. {control.high:g}"
        shown = f" ({100 * control.explained:.0f} %)" if control.kind == "attribute" else ""
        click.echo(f"{control.name:<22} {span:<12} {control.unit:<13} {control.description}{shown}")


def _preview(path: Path | None, output: Path | None, number: int) -> None:
    if output is None:
        raise click.UsageError("--preview needs -o")
    from tddfa_ros.config import RegressionConfig
    from tddfa_ros.editing.editor import AttributeEditor
    from tddfa_ros.editing.preview import image_preview, mean_preview
    from tddfa_ros.jobs.edit import face_of
    from tddfa_ros.outputs import read_image
    from tddfa_ros.outputs.image_io import write_image
    from tddfa_ros.pipeline import FacePipeline

    if path is None:
        sheet = mean_preview(AttributeEditor(load_morphable(RegressionConfig().morphable_model)))
    else:
        image = read_image(path)
        pipeline = FacePipeline()
        face = face_of(pipeline, image, str(path), number)
        sheet = image_preview(AttributeEditor(pipeline.model), image, face)
    click.echo(f"written: {write_image(output, sheet)}")
