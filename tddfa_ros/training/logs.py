"""Logs of a training run: ``log.csv``, TensorBoard events, and an overlay per epoch."""

from __future__ import annotations

import csv
from pathlib import Path
from types import TracebackType
from typing import Any

from tqdm import tqdm

from tddfa_ros.files import atomic_path
from tddfa_ros.outputs.image_io import write_image
from tddfa_ros.types import ImageBGR


class RunLog:
    """Write the figures of every epoch; a context manager, because TensorBoard's file must be closed.

    Args:
        folder: of the run.
        write: False: write and print nothing, for all processes of a run but the first.
    """

    def __init__(self, folder: Path, write: bool = True) -> None:
        self._folder, self._write = folder, write
        self._events: Any = None
        if write:
            folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> RunLog:
        if self._write:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                tqdm.write("no TensorBoard log: the package tensorboard is not installed")
            else:
                self._events = SummaryWriter(str(self._folder / "tensorboard"))  # type: ignore[no-untyped-call]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._events is not None:
            self._events.close()
            self._events = None

    def write(self, figures: dict[str, Any]) -> None:
        """Write one row to ``log.csv`` and the terminal, and each figure to TensorBoard."""
        if not self._write:
            return
        _append(self._folder / "log.csv", figures)
        tqdm.write(" ".join(f"{name}={value:.4g}" for name, value in figures.items()))
        if self._events is not None:
            for name, value in figures.items():
                self._events.add_scalar(name, value, figures["epoch"])

    def overlay(self, epoch: int, image: ImageBGR) -> None:
        """Write the overlay of an epoch to ``overlays/epoch_001.png`` and to TensorBoard."""
        if not self._write:
            return
        folder = self._folder / "overlays"
        write_image(folder / f"epoch_{epoch:03d}.png", image)
        if self._events is not None:
            self._events.add_image("overlay", image[..., ::-1].copy(), epoch, dataformats="HWC")


def _append(path: Path, figures: dict[str, Any]) -> None:
    """Append a row; a new column gets empty cells in the earlier rows."""
    lines: list[dict[str, Any]] = []
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
    names = list(dict.fromkeys(name for line in (*lines, figures) for name in line))
    with (
        atomic_path(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, fieldnames=names, restval="")
        writer.writeheader()
        writer.writerows([*lines, figures])
