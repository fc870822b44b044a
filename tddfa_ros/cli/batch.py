"""``tddfa batch``: faces of many pictures, by several processes or a cluster."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("batch", short_help="Faces of many pictures as JSON lines, by several processes.")
@click.argument(
    "inputs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PICTURE|FOLDER..."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Where it goes: one JSON object per picture and line, in the order of the pictures.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Processes; as many as there is room for by default.",
)
@click.option("--ray", metavar="ADDRESS", help="Work on this Ray cluster, such as 'auto'.")
@click.option("--config", type=click.Path(path_type=Path), help="YAML file of the pipeline.")
def command(
    inputs: tuple[Path, ...],
    output: Path,
    workers: int | None,
    ray: str | None,
    config: Path | None,
) -> None:
    """Find faces in pictures; the exit status is 1 when some could not be used, which are named on stderr."""
    from tqdm import tqdm

    from tddfa_ros.config import load_config
    from tddfa_ros.runtime.batch import as_record, process_pictures
    from tddfa_ros.sources.folder import picture_files

    paths = [path for given in inputs for path in picture_files(given)]
    results = process_pictures(paths, load_config(config), workers=workers, ray=ray)
    said: set[str] = set()
    faces = failed = 0
    with (
        output.open("w", encoding="utf-8") as stream,
        tqdm(total=len(paths), unit="picture") as bar,
    ):
        for picture in results:
            bar.update()
            stream.write(json.dumps(as_record(picture)) + "\n")
            faces += len(picture.faces)
            failed += picture.error is not None
            remarks = [f"note: {note}" for note in picture.notes if note not in said]
            said.update(picture.notes)
            if picture.error is not None:
                remarks.append(f"{picture.path}: {picture.error}")
            for remark in remarks:
                bar.clear()
                click.echo(remark, err=True)
    click.echo(f"{output}: {faces} faces in {len(paths) - failed} pictures")
    if failed:
        click.echo(f"{failed} of {len(paths)} pictures could not be used", err=True)
        click.get_current_context().exit(1)


__all__ = ["command"]
