"""``tddfa export``: export a training checkpoint to the ONNX file that the pipeline loads."""

from __future__ import annotations

from pathlib import Path

import click

from tddfa_ros.cli import _files as files
from tddfa_ros.cli._common import find_network, load_morphable, morphable_option, need_extra
from tddfa_ros.cli._files import EXISTING_FOLDER, INPUT_NAME, INPUT_PATH, OUTPUT_FILE


@files.command("export", short_help="Export a trained network to ONNX.")
@click.option(
    "--checkpoint",
    type=INPUT_PATH,
    required=True,
    help="Checkpoint of a training run (.pt).",
)
@click.option(
    "--cache",
    "folder",
    type=EXISTING_FOLDER,
    help="Held-out crops to calibrate the confidence on; the folder 'cache' beside the checkpoint by default.",
)
@click.option(
    "-o",
    "--output",
    type=OUTPUT_FILE,
    required=True,
    help="ONNX file to write.",
)
@click.option(
    "--head",
    "heads",
    multiple=True,
    type=click.Choice(["parsing", "uv_position"]),
    help="Also export this head (repeatable).",
)
@click.option(
    "--onto",
    "base",
    type=INPUT_NAME,
    metavar="NAME|PATH",
    help="With --head: add these heads to this network, such as tddfa-mb05, and keep its other outputs.",
)
@click.option("--half", is_flag=True, help="Store weights as float16: half the size, same speed.")
@morphable_option
def command(
    checkpoint: Path,
    folder: Path | None,
    output: Path,
    heads: tuple[str, ...],
    base: str | None,
    half: bool,
    model: str,
) -> None:
    """Calibrate confidence and landmark sigma on held-out crops and write the network, checked against ONNX Runtime.

    A checkpoint of 'tddfa train-detector' needs no calibration and takes no other option.
    """
    need_extra("training", "exporting", "torch")
    if _is_detector(checkpoint):
        if folder is not None or heads or half or base:
            raise click.UsageError(
                f"{checkpoint} is a detector: --cache, --head, --onto and --half do not apply"
            )
        _export_detector(checkpoint, output)
        return
    if base is not None:
        if not heads or folder is not None:
            raise click.UsageError("--onto needs --head and takes no --cache")
        _add_heads(checkpoint, find_network(base, "--onto"), output, heads, half, model)
        return
    from tddfa_ros.training.cache import open_cache
    from tddfa_ros.training.calibration import calibrate
    from tddfa_ros.training.checkpoint import load_network
    from tddfa_ros.training.export import export_onnx

    morphable = load_morphable(model)
    network, config = load_network(checkpoint, morphable)
    cache = open_cache(folder or checkpoint.parent / "cache", morphable)
    found = calibrate(network, cache, morphable, config.input_size)
    if found.of_head:
        heads = ("confidence", *heads)
        click.echo(f"confidence: AUC {found.auc:.4f} of held-out faces against other crops")
    else:
        reason = (
            "no crops without a face" if config.confidence else "the network has no confidence head"
        )
        click.echo(f"confidence: from the agreement of both sets of landmarks ({reason})")
    if found.sigma_scale is not None:
        heads = ("landmark_sigma", *heads)
        click.echo(
            f"landmark sigma: scaled by {found.sigma_scale:.3f} to cover 68 % of held-out errors"
        )
    export_onnx(
        network,
        morphable,
        output,
        size=config.input_size,
        confidence=found.confidence if found.of_head else None,
        agreement=None if found.of_head else found.confidence,
        heads=heads,
        sigma_scale=found.sigma_scale or 1.0,
        half=half,
    )
    click.echo(f"{output}: {output.stat().st_size} bytes")


def _add_heads(
    checkpoint: Path, base: Path, output: Path, heads: tuple[str, ...], half: bool, model: str
) -> None:
    from tddfa_ros.training.add_heads import add_heads
    from tddfa_ros.training.checkpoint import load_network

    network, config = load_network(checkpoint, load_morphable(model))
    add_heads(base, network, output, size=config.input_size, heads=heads, half=half)
    click.echo(f"{output}: {output.stat().st_size} bytes")


def _is_detector(checkpoint: Path) -> bool:
    from tddfa_ros.training.checkpoint import load

    return bool(load(checkpoint)["config"].get("role") == "detector")


def _export_detector(checkpoint: Path, output: Path) -> None:
    from tddfa_ros.training.detector.export import export_detector
    from tddfa_ros.training.detector.trainer import load_detector

    export_detector(load_detector(checkpoint), output)
    click.echo(f"{output}: {output.stat().st_size} bytes")
