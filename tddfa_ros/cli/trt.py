"""``tddfa trt``: build a TensorRT engine for the GPU of this machine."""

from __future__ import annotations

from pathlib import Path

import click

from tddfa_ros.cli._common import FOLDER


@click.command("trt", short_help="Compile a network with TensorRT for this machine's GPU.")
@click.option(
    "--onnx",
    "network",
    required=True,
    metavar="NAME|PATH",
    help="The network: a name in the manifest, or an ONNX file.",
)
@click.option(
    "--engine",
    type=FOLDER,
    required=True,
    help="Folder to write; ENGINE/model.onnx is then used like any network.",
)
@click.option("--fp16/--fp32", "half", default=False, help="Allow float16 where it is faster.")
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="Maximum batch size of the engine; larger batches are split.",
)
def command(network: str, engine: Path, half: bool, batch: int) -> None:
    """Compile a regression network with ONNX Runtime's TensorRT provider and store the engine; takes up to minutes."""
    from tddfa_ros.model_store.store import default_store
    from tddfa_ros.runtime.tensorrt import MODEL
    from tddfa_ros.tuning.build_engine import build_engine

    seconds = build_engine(default_store().path(network), engine, half=half, max_batch=batch)
    click.echo(f"{engine / MODEL}: compiled in {seconds:.0f} s")
