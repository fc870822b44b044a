"""``tddfa eval``: accuracy on evaluation sets, as a table."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click


@click.command("eval", short_help="Accuracy on evaluation sets.")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder of the sets.")
@click.option(
    "--suite",
    "suites",
    multiple=True,
    help="aflw2000, helen or ytf; may be repeated; all by default.",
)
@click.option("--model", help="Regressor: a name of the manifest or an ONNX file.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Also write FILE.json.")
def command(data: Path, suites: tuple[str, ...], model: str | None, output: Path | None) -> None:
    """Measure landmarks on AFLW2000-3D (standard protocol), HELEN and YTF through FacePipeline.

    NME: mean distance of the mesh's 68 landmarks in % of sqrt(width * height) of the true box.
    """
    from tddfa_ros.errors import ConfigError
    from tddfa_ros.pipeline import FacePipeline
    from tddfa_ros.training.evaluation import SUITES, table

    unknown = [name for name in suites if name not in SUITES]
    if unknown:
        raise ConfigError(f"there is no suite {unknown[0]!r}; there are {', '.join(SUITES)}")
    pipeline = FacePipeline.from_config({"regression": {"model": model}} if model else {})
    lines = [line for name in (suites or tuple(SUITES)) for line in SUITES[name](pipeline, data)]
    click.echo(table(lines))
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps([asdict(line) for line in lines], indent=2) + "\n")


__all__ = ["command"]
