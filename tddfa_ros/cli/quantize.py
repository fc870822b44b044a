"""``tddfa quantize``: quantize a network and compare accuracy, size and speed."""

from __future__ import annotations

from pathlib import Path

import click

from tddfa_ros.cli import _files as files
from tddfa_ros.cli._common import load_morphable, morphable_option
from tddfa_ros.cli._files import EXISTING_FOLDER, INPUT_NAME, OutputFile


@files.command("quantize", short_help="Quantize a network to int8 or float16.")
@click.argument("regressor", type=INPUT_NAME, metavar="NAME|PATH")
@click.option(
    "-o",
    "--output",
    type=OutputFile(beside=lambda path: [path.with_suffix(".md")]),
    required=True,
    help="The .onnx file to write; the table goes beside it as .md.",
)
@click.option(
    "--mode",
    type=click.Choice(["dynamic", "static", "float16"]),
    default="static",
    show_default=True,
    help="static: int8, faster; float16: half the size, for GPUs; dynamic: int8 without calibration.",
)
@click.option(
    "--calibration",
    type=EXISTING_FOLDER,
    help="Folder of images with faces, representative of the application; required by static, used by all modes for the comparison.",
)
@click.option(
    "--max-images",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="Maximum number of images to use, evenly spread over the folder.",
)
@click.option(
    "--keep-float",
    "layers",
    multiple=True,
    type=click.Choice(["heads", "stem", "depthwise", "convolutions"]),
    help="Layers to keep in float (repeatable); by default those that are best for tddfa-mb05.",
)
@click.option(
    "--data",
    type=EXISTING_FOLDER,
    help="Folder of the evaluation sets, to compare the NME on AFLW2000-3D.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Maximum number of faces of AFLW2000-3D.")
@morphable_option
def command(
    regressor: str,
    output: Path,
    mode: str,
    calibration: Path | None,
    max_images: int,
    layers: tuple[str, ...],
    data: Path | None,
    limit: int | None,
    model: str,
) -> None:
    """Quantize a regression network, compare it with the original, and print a table.

    NAME|PATH is a name in the model list, or an .onnx file.
    """
    from tddfa_ros.config import load_config
    from tddfa_ros.errors import ConfigError
    from tddfa_ros.files import write_atomically
    from tddfa_ros.model_store.store import default_store
    from tddfa_ros.precision.quantize import quantize
    from tddfa_ros.tuning.compare import aflw2000, as_table, as_tensor, calibration_crops, compare

    if mode == "static" and calibration is None:
        raise ConfigError("static quantization needs --calibration, a folder of images with faces")
    if output.suffix != ".onnx":
        raise ConfigError(f"the output {output} must end in .onnx, by which tools know a network")
    before = default_store().path(regressor)
    morphable = load_morphable(model)
    crops = None
    if calibration is not None:
        config = load_config({"regression": {"model": str(before), "morphable_model": model}})
        crops = calibration_crops(calibration, config, max_images)
    tensor = None if crops is None else as_tensor(crops)
    quantize(before, output, mode, crops=tensor, float_layers=layers or None)
    nme = None
    if data is not None:
        nme = (aflw2000(before, model, data, limit), aflw2000(output, model, data, limit))
    table = as_table(compare(before, output, morphable, crops, nme))
    click.echo(table)
    write_atomically(output.with_suffix(".md"), f"{table}\n".encode())
