"""``tddfa dataset refine``: refine the labels of a training cache with a trained network."""

from __future__ import annotations

from pathlib import Path

import click

from tddfa_ros.cli import _files as files
from tddfa_ros.cli._common import load_morphable, morphable_option, need_extra
from tddfa_ros.cli._files import EXISTING_FILE, EXISTING_FOLDER
from tddfa_ros.cli.dataset._options import (
    POSITIVE,
    out_option,
)


@files.command("refine")
@click.option("--cache", "source", type=EXISTING_FOLDER, required=True, help="A training cache.")
@click.option(
    "--network",
    type=EXISTING_FILE,
    required=True,
    help="Checkpoint of a network trained on this or similar data.",
)
@out_option("Folder of the cache with refined labels.")
@click.option(
    "--share",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Weight of the network in the new labels.",
)
@click.option(
    "--max-error",
    "limit",
    type=POSITIVE,
    default=6.0,
    show_default=True,
    help="Drop faces on which label and network disagree by more, % of the face size.",
)
@click.option("--keep-expressions", is_flag=True, help="Refine pose and identity only.")
@morphable_option
def command(
    source: Path,
    network: Path,
    out: Path,
    share: float,
    limit: float,
    keep_expressions: bool,
    model: str,
) -> None:
    """Blend the labels with the predictions of a trained network, and drop faces on which they disagree.

    Held-out faces keep their labels. Training on the new cache and refining may be repeated.
    """
    need_extra("training", "refining labels", "torch")
    from tddfa_ros.training.cache import open_cache
    from tddfa_ros.training.checkpoint import load_network
    from tddfa_ros.training.refine import refine as refine_labels
    from tddfa_ros.training.refine import write_refined

    morphable = load_morphable(model)
    cached = open_cache(source, morphable)
    trained, config = load_network(network, morphable)
    refined = refine_labels(
        cached,
        morphable,
        trained,
        size=config.input_size,
        share=share,
        limit=limit,
        keep_expressions=keep_expressions,
    )
    write_refined(source, out, cached, refined)
    for name in dict.fromkeys(cached.source[cached.face].tolist()):
        rows = cached.face & (cached.source == name)
        disagreement = refined.disagreement[rows]
        click.echo(
            f"{name}: {rows.sum()} faces, disagreement {disagreement.mean():.2f} %, {refined.dropped[rows].sum()} dropped"
        )
