"""``tddfa trt``: build a TensorRT engine for the GPU of this machine."""

from __future__ import annotations

from pathlib import Path

import click

from tddfa_ros.cli import _files as files
from tddfa_ros.cli._files import INPUT_NAME, OutputFolder


@files.command("trt", short_help="Compile a network with TensorRT for this machine's GPU.")
@click.argument("regressor", type=INPUT_NAME, metavar="NAME|PATH")
@click.option(
    "-o",
    "--output",
    type=OutputFolder(),
    required=True,
    help="Folder to write; its model.onnx is then used like any network.",
)
@click.option("--fp16/--fp32", "half", default=False, help="Allow float16 where it is faster.")
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="Maximum batch size of the engine; larger batches are split.",
)
@click.option(
    "--opt-batch",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Batch size the engine is optimized for, such as 8 with --batch 256 for many faces.",
)
def command(regressor: str, output: Path, half: bool, batch: int, opt_batch: int) -> None:
    """Compile a regression network with ONNX Runtime's TensorRT provider and store the engine; takes up to minutes.

    NAME|PATH is a name in the model list, or an .onnx file.
    """
    from tddfa_ros.model_store.store import default_store
    from tddfa_ros.runtime.tensorrt import MODEL
    from tddfa_ros.tuning.build_engine import build_engine

    seconds = build_engine(
        default_store().path(regressor), output, half=half, max_batch=batch, opt_batch=opt_batch
    )
    click.echo(f"{output / MODEL}: compiled in {seconds:.0f} s")
