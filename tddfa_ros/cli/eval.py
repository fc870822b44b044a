"""``tddfa eval``: accuracy on evaluation sets, as tables and plots."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from tddfa_ros.cli import _files as files
from tddfa_ros.cli._common import morphable_option
from tddfa_ros.cli._files import EXISTING_FOLDER, INPUT_NAME, OutputFolder
from tddfa_ros.config import FLOAT32, PRECISIONS


@files.command("eval", short_help="Measure accuracy on evaluation sets.")
@click.option(
    "--data",
    type=EXISTING_FOLDER,
    required=True,
    help="Folder of the sets: eval/ with aflw2000/, helen/ ..., and faces/.",
)
@click.option(
    "--suite",
    "suites",
    type=INPUT_NAME,
    multiple=True,
    metavar="NAME|PATH",
    help="aflw2000, whole, framing, bias, pose, helen, ytf, lp, cfp, aflw21, uncertainty, maps, expression, confidence, stability, "
    "detection; or a folder with images and gt.npz (name, pts68). Repeatable; by default all suites whose data exist.",
)
@click.option(
    "--regressor",
    type=INPUT_NAME,
    default="tddfa-mb05",
    show_default=True,
    metavar="NAME|PATH",
    help="Regression network: a name in the model list, or an .onnx file.",
)
@click.option(
    "--regressor-precision",
    type=click.Choice(PRECISIONS),
    default=FLOAT32,
    show_default=True,
    help="Number format of the regression network.",
)
@click.option(
    "--detector-precision",
    type=click.Choice(PRECISIONS),
    default=FLOAT32,
    show_default=True,
    help="Number format of the detector.",
)
@morphable_option
@click.option(
    "-o",
    "--output",
    type=OutputFolder("report.md", "report.json", "*_errors.png", "*_yaw.png", "*_scores.png"),
    help='Also write report.md, report.json and plots to this folder; plots need the extra "eval".',
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of Markdown.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help="Maximum number of faces per set, for a quick check.",
)
def command(
    data: Path,
    suites: tuple[str, ...],
    regressor: str,
    regressor_precision: str,
    detector_precision: str,
    model: str,
    output: Path | None,
    as_json: bool,
    limit: int | None,
) -> None:
    """Measure landmarks, head pose, expression, confidence, stability and detection through FacePipeline.

    NME: mean landmark distance in % of sqrt(width * height) of the true box. A note below each table explains its other columns.
    """
    from tddfa_ros.errors import ConfigError
    from tddfa_ros.evaluation.pipeline import PipelinePredictor
    from tddfa_ros.evaluation.report import FORMATS, write
    from tddfa_ros.evaluation.sets import Sets
    from tddfa_ros.evaluation.suites import SUITES, available, find, run
    from tddfa_ros.pipeline import FacePipeline

    for name in suites:
        find(name)
    sets = Sets(data, limit)
    chosen = suites or tuple(available(sets))
    if not chosen:
        raise ConfigError(f"{data} contains no evaluation set: it must hold eval/ and faces/")
    if not suites and len(chosen) < len(SUITES):
        absent = ", ".join(name for name in SUITES if name not in chosen)
        click.echo(f"no data for: {absent}", err=True)
    config = {
        "regression": {
            "model": regressor,
            "morphable_model": model,
            "precision": regressor_precision,
        },
        "detection": {"precision": detector_precision},
    }
    predictor = PipelinePredictor(FacePipeline.from_config(config))
    results = run(predictor, chosen, sets)
    click.echo(FORMATS["json" if as_json else "markdown"](predictor.name, results))
    if output is not None:
        for path in write(predictor.name, results, output, partial(click.echo, err=True)):
            click.echo(f"written: {path}", err=True)
