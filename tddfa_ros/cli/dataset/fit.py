"""``tddfa dataset fit``: fit the morphable model to landmarks."""

from __future__ import annotations

from pathlib import Path

import click

from tddfa_ros.cli import _files as files
from tddfa_ros.cli._common import load_morphable
from tddfa_ros.cli._files import EXISTING_FILE, EXISTING_FOLDER
from tddfa_ros.cli.dataset._options import (
    item_options,
    max_error_option,
    output_option,
    report,
)

_FORMATS = ("folder", "300w-lp", "aflw2000")
_POINTS = ("auto", "68", "478", "both")


@files.command("fit")
@click.option(
    "--landmarks",
    type=EXISTING_FOLDER,
    multiple=True,
    help="Folder of NAME.npy: (68, 2 or 3) iBUG or (478, 2 or 3) MediaPipe, px of the image; repeat for both.",
)
@click.option("--images", type=EXISTING_FOLDER, required=True, help="Folder of images NAME.jpg.")
@output_option(
    "Folder of the dataset: gets params/, rois/ and a list of the fitted items.",
    *("*fit.csv", "*fitted.list", "params/**/*.npy", "rois/**/*.npy"),
)
@click.option("--list", "list_file", type=EXISTING_FILE, help="Use only the items of this list.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(_FORMATS),
    default="folder",
    show_default=True,
    help="folder: --landmarks; 300w-lp, aflw2000: the dataset as distributed, with .mat files beside the images.",
)
@click.option(
    "--points",
    type=click.Choice(_POINTS),
    default="auto",
    show_default=True,
    help="Landmarks to use; auto: those that an item has.",
)
@max_error_option("items whose fit misses the landmarks")
@item_options
def command(
    landmarks: tuple[Path, ...],
    images: Path,
    output: Path,
    list_file: Path | None,
    kind: str,
    points: str,
    max_error: float | None,
    strict: bool,
    model: str,
) -> None:
    """Fit params and ROIs to landmarks.

    2D landmarks are annotations of the image, with the jaw on the visible outline. 3D landmarks lie on a mesh, z in px, nearer = larger.
    """
    from tddfa_ros.training.data.fit_folder import fit_source, landmark_source, mat_source

    if (kind == "folder") != bool(landmarks):
        raise click.UsageError("--format folder needs --landmarks, the other formats exclude it")
    if kind == "folder":
        source = landmark_source(landmarks, list_file, points)
    else:
        source = mat_source(kind, images, list_file)
    done = fit_source(source, images, output, load_morphable(model), max_error, strict, report)
    click.echo(
        f"{done.list_file}: {len(done.faces)} items, mean error {done.mean_error:.2f} % of the face size ({done.table.name} has each)"
    )
    worst = ", ".join(f"{face.name} {face.error:.2f} %" for face in done.worst())
    click.echo(f"worst: {worst}")
