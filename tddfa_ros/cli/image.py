"""``tddfa image``: reconstruct faces in images; write overlays, maps, meshes and parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tddfa_ros.cli import _files as files
from tddfa_ros.cli._common import counted, failures, to_stderr
from tddfa_ros.cli._files import INPUT_NAME, OutputFolder, overwrite_option
from tddfa_ros.cli._pipeline import pipeline_config, pipeline_options


@files.command(
    "image", short_help="Reconstruct the faces of images: overlays, maps, meshes, parameters."
)
@click.argument("inputs", type=INPUT_NAME, metavar="IN...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    type=OutputFolder(),
    required=True,
    help="Folder for the results.",
)
@click.option(
    "--outputs",
    default="mesh,json",
    show_default=True,
    metavar="NAME,...",
    help="landmarks, mesh, pose, depth, pncc, uv_texture, uv_position, parsing, network_parsing, network_uv_position, "
    "attributes, obj, ply, glb, json.",
)
@pipeline_options
@click.option(
    "--min-confidence",
    type=click.FloatRange(0, 1),
    default=0.4,
    show_default=True,
    help="Skip faces with a lower confidence.",
)
@click.option(
    "--texture-size",
    type=click.IntRange(16, 8192),
    default=512,
    show_default=True,
    help="Side of textures, px.",
)
@click.option(
    "--threads",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    help="Threads that decode images ahead of the network.",
)
@overwrite_option
@click.option("--strict", is_flag=True, help="Exit status 1 also when an image has no face.")
def command(
    inputs: tuple[str, ...],
    output: Path,
    outputs: str,
    min_confidence: float,
    texture_size: int,
    threads: int,
    overwrite: bool,
    strict: bool,
    **chosen: Any,
) -> int:
    """Reconstruct the faces of images and write the selected outputs to a folder.

    IN is an image, a folder, or a pattern such as 'photos/**/*.jpg'. An image that cannot be used is named on stderr and left out; the exit
    status is then 1.
    """
    from tddfa_ros.cli import EXIT_FAILED_ITEMS
    from tddfa_ros.jobs.images import ImageOptions, process_images
    from tddfa_ros.outputs import find_images
    from tddfa_ros.pipeline import FacePipeline

    config = pipeline_config(**chosen)
    images = find_images(inputs)
    options = ImageOptions(
        outputs=tuple(name.strip() for name in outputs.split(",") if name.strip()),
        min_confidence=min_confidence,
        overwrite=overwrite,
        threads=threads,
        texture_size=texture_size,
    )
    summary = process_images(
        images,
        output,
        FacePipeline(config),
        options,
        on_message=to_stderr,
    )
    click.echo(
        f"{counted(summary.faces, 'face')} in {counted(summary.images, 'image')}; "
        f"{counted(len(summary.files), 'file')} in {output}"
    )
    status = failures(len(summary.failed), len(images), "image")
    return EXIT_FAILED_ITEMS if strict and summary.without_face else status
