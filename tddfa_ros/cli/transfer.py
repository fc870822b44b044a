"""``tddfa transfer``: give the face in an image the expression of another image, or of a video."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tddfa_ros.cli import _files as files
from tddfa_ros.cli._common import quiet_encoders, to_stderr
from tddfa_ros.cli._files import INPUT_FILE, OUTPUT_FILE

if TYPE_CHECKING:
    from tddfa_ros.sources.capture import VideoSource
    from tddfa_ros.types import FloatArray, ImageBGR

_REGIONS = ("brows", "eyes", "nose", "cheeks", "jaw", "mouth")
_LARGEST = (1920, 1080)  # px; larger videos are shrunk before faces are looked for


@files.command("transfer", short_help="Transfer an expression to another face.")
@click.option("--source", type=INPUT_FILE, required=True, help="An image, or a video.")
@click.option("--target", type=INPUT_FILE, required=True, help="Image to edit.")
@click.option(
    "-o", "--output", type=OUTPUT_FILE, required=True, help="An image; for a video source an .mp4."
)
@click.option(
    "--strength",
    type=float,
    default=1.0,
    show_default=True,
    help="Factor on the expression; above 1 exaggerates.",
)
@click.option(
    "--neutral",
    type=INPUT_FILE,
    help="Image of the source person at rest; only the difference from it is transferred.",
)
@click.option(
    "--relative",
    is_flag=True,
    help="Estimate the person at rest from the least active frames of the video, and transfer the difference from it.",
)
@click.option(
    "--match/--no-match",
    default=True,
    show_default=True,
    help="For an image: measure the result, and strengthen what has not arrived.",
)
@click.option(
    "--region",
    "regions",
    multiple=True,
    type=click.Choice(_REGIONS),
    help="Transfer only this part of the face (repeatable).",
)
def command(
    source: Path,
    target: Path,
    output: Path,
    strength: float,
    neutral: Path | None,
    relative: bool,
    match: bool,
    regions: tuple[str, ...],
) -> int:
    """Redraw the largest face of an image with the expression of the largest face of the source."""
    quiet_encoders()
    from tddfa_ros.cli import EXIT_FAILED_ITEMS
    from tddfa_ros.editing.matching import matched_params
    from tddfa_ros.editing.rerender import Rerenderer
    from tddfa_ros.editing.transfer import transfer_expression
    from tddfa_ros.jobs.edit import face_of, write_video
    from tddfa_ros.outputs import read_image
    from tddfa_ros.outputs.image_io import write_image
    from tddfa_ros.pipeline import FacePipeline
    from tddfa_ros.sources.folder import SUFFIXES

    still = source.suffix.lower() in SUFFIXES
    if still != (output.suffix.lower() in SUFFIXES):
        wanted = "an image such as .png" if still else "a video such as .mp4"
        raise click.UsageError(
            f"the source is {'an image' if still else 'a video'}, so -o must be {wanted}"
        )
    if relative and (still or neutral is not None):
        raise click.UsageError("--relative is for videos, and instead of --neutral")
    pipeline = FacePipeline()
    image = read_image(target)
    face = face_of(pipeline, image, str(target))
    rest = None
    if neutral is not None:
        rest = face_of(pipeline, read_image(neutral), str(neutral))
    chosen = regions or None
    if still:
        other = face_of(pipeline, read_image(source), str(source))
        params = transfer_expression(other, face, strength, rest, chosen)
        draw = Rerenderer(image, face)
        if match:

            def measure(drawn: ImageBGR) -> FloatArray:
                return pipeline.regress(drawn, face.roi[None])[0].params

            params = matched_params(draw, face, params, measure)
        click.echo(f"written: {write_image(output, draw(params))}")
        return 0
    from tqdm import tqdm

    from tddfa_ros.jobs.animate import animate
    from tddfa_ros.sources.capture import VideoSource

    video = VideoSource(source, *_LARGEST, loop=False)
    if video.truncation:
        to_stderr(f"{video.truncation}; the frames before that are used")
    frames = animate(
        image, face, _frames(video), video.rate, pipeline,
        strength=strength, neutral=rest, relative=relative, regions=chosen,
    )  # fmt: skip
    count = write_video(
        output, tqdm(frames, desc="drawing", unit="frame", disable=None), video.rate
    )
    click.echo(f"written: {output}, {count} frames")
    return EXIT_FAILED_ITEMS if video.truncation else 0


def _frames(video: VideoSource) -> Iterator[ImageBGR]:
    try:
        while (frame := video.read(0.0)) is not None:
            yield frame.image
    finally:
        video.close()
