"""``tddfa export``: a training checkpoint as the ONNX file that the pipeline loads."""

from __future__ import annotations

from pathlib import Path

import click

from tddfa_ros.cli._common import EXISTING_FOLDER, load_morphable, morphable_option


@click.command("export", short_help="Write a trained network as ONNX.")
@click.option("--checkpoint", type=click.Path(path_type=Path), required=True)
@click.option(
    "--cache", "folder", type=EXISTING_FOLDER, required=True, help="Faces for the calibration."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
@morphable_option
def command(checkpoint: Path, folder: Path, output: Path, model: str) -> None:
    """Calibrate the confidence on held-out faces and write the network, checked against ONNX Runtime."""
    from tddfa_ros.training.cache import open_cache
    from tddfa_ros.training.calibration import calibrate
    from tddfa_ros.training.export import export_onnx, load_network
    from tddfa_ros.training.trainer import held_out_rows

    morphable = load_morphable(model)
    cache = open_cache(folder, morphable)
    network = load_network(checkpoint, morphable)
    found = calibrate(network, morphable, cache, held_out_rows(len(cache)))
    export_onnx(network, morphable, found.confidence, output)
    click.echo(
        f"{output}: {output.stat().st_size} bytes; confidence 0.5 at {found.confidence.midpoint:.2f} px, "
        f"AUC {found.auc:.3f} of faces against wrong crops"
    )
