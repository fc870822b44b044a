"""``tddfa batch``: detect faces in many images with several processes or a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tddfa_ros.cli import _files as files
from tddfa_ros.cli._common import counted, failures, to_stderr
from tddfa_ros.cli._files import INPUT_NAME, OUTPUT_FILE
from tddfa_ros.cli._pipeline import pipeline_config, pipeline_options


@files.command(
    "batch",
    short_help="Detect faces in many images or ROS bags with several processes; write JSON lines.",
)
@click.argument("inputs", type=INPUT_NAME, nargs=-1, required=True, metavar="IMAGE|FOLDER|BAG...")
@click.option(
    "-o",
    "--output",
    type=OUTPUT_FILE,
    required=True,
    help="File to write: one JSON object per image and line, in input order.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Number of processes; default: as many as cores and memory allow.",
)
@click.option("--ray", metavar="ADDRESS", help="Run on this Ray cluster, such as 'auto'.")
@click.option(
    "--topic",
    default="",
    help="Image topic in ROS bags; may be omitted if there is only one.",
)
@pipeline_options
def command(
    inputs: tuple[str, ...],
    output: Path,
    workers: int | None,
    ray: str | None,
    topic: str,
    **chosen: Any,
) -> int:
    """Detect faces in images; the exit status is 1 if an image could not be used, which is named on stderr.

    A BAG is the folder of a ROS 2 bag, or its .db3 or .mcap file; it needs the extra "bags".
    """
    from tqdm import tqdm

    from tddfa_ros.files import atomic_path
    from tddfa_ros.jobs.faces import detect_lines_parallel
    from tddfa_ros.jobs.inputs import all_images, find_inputs

    config = pipeline_config(**chosen)
    parts = find_inputs(inputs, topic)
    total = sum(map(len, parts))
    results = detect_lines_parallel(all_images(parts), config, workers=workers, ray=ray)
    said: set[str] = set()
    faces = failed = done = 0
    with (
        atomic_path(output) as temporary,
        temporary.open("w", encoding="utf-8") as stream,
        tqdm(total=total, unit="image", disable=None) as bar,
    ):
        for found in results:
            bar.update()
            stream.write(found.text + "\n")
            done += 1
            faces += found.faces
            failed += found.error is not None
            remarks = [f"note: {note}" for note in found.device_warnings if note not in said]
            said.update(found.device_warnings)
            for remark in (*remarks, *filter(None, [found.error, found.note])):
                to_stderr(remark)
    click.echo(f"{output}: {counted(faces, 'face')} in {counted(done - failed, 'image')}")
    return failures(failed, done, "image")
