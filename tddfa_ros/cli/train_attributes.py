"""``tddfa train-attributes``: a network for age, gender presentation and smiling from labeled faces."""

from __future__ import annotations

from pathlib import Path

import click

from tddfa_ros.cli import _files as files
from tddfa_ros.cli._common import need_extra
from tddfa_ros.cli._files import EXISTING_FILE, EXISTING_FOLDER, OUTPUT_FILE, OutputFolder


@files.command("train-attributes", short_help="Train the network for age and gender presentation.")
@click.option("--utkface", type=EXISTING_FOLDER, help="UTKFace: images named age_gender_race_date.")
@click.option("--celeba", type=EXISTING_FOLDER, help="CelebA: the folder of list_attr_celeba.txt.")
@click.option(
    "--faces", "collection", type=EXISTING_FOLDER, help="The research collection with utk.npz."
)
@click.option(
    "--init",
    "start",
    type=EXISTING_FILE,
    help="Checkpoint of a face network whose backbone initializes the training.",
)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Passes over the training faces.",
)
@click.option(
    "--views",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Augmented views of each face; each takes 58 kB of disk.",
)
@click.option(
    "--fixed-layers",
    type=click.IntRange(0, 22),
    default=11,
    show_default=True,
    help="Number of frozen layers of the backbone; 0 without --init.",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of the split and of training."
)
@click.option(
    "--work",
    type=OutputFolder("network.pt", "report.md", "maps.npy", "held_out.npy", "checkpoint.pt"),
    required=True,
    help="Folder for feature maps, weights and the report.",
)
@click.option(
    "-o",
    "--output",
    type=OUTPUT_FILE,
    required=True,
    help="The .onnx file to write.",
)
def command(
    utkface: Path | None,
    celeba: Path | None,
    collection: Path | None,
    start: Path | None,
    epochs: int,
    views: int,
    fixed_layers: int,
    seed: int,
    work: Path,
    output: Path,
) -> None:
    """Train on 80 % of the labeled faces, calibrate on 10 %, evaluate on 10 % by group, and write ONNX.

    Rerun the same command to resume an interrupted run after its last complete epoch.
    """
    if utkface is None and celeba is None and collection is None:
        raise click.UsageError("give at least one of --utkface, --celeba and --faces")
    need_extra("training", "training", "torch", "onnx")
    from tddfa_ros.training.attributes.labeled import (
        joined,
        read_celeba,
        read_collection,
        read_utkface,
    )
    from tddfa_ros.training.attributes.network import AttributeConfig, width_of
    from tddfa_ros.training.attributes.run import run

    parts = []
    if utkface is not None:
        parts.append(read_utkface(utkface))
    if collection is not None:
        parts.append(read_collection(collection))
    if celeba is not None:
        parts.append(read_celeba(celeba))
    config = AttributeConfig(
        width=width_of(start) if start is not None else AttributeConfig.width,
        fixed_layers=fixed_layers if start is not None else 0,
        views=views,
        epochs=epochs,
        seed=seed,
    )
    table = run(joined(parts), config, work, output, start=start, on_message=click.echo)
    click.echo(table)
