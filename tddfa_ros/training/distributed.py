"""Training with several processes (``torchrun``), one per GPU or machine: who am I, and what do all agree on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed, nn

from tddfa_ros.errors import ConfigError

_PATIENCE = timedelta(hours=6)  # how long the others may wait while the first prepares the data


@dataclass(frozen=True)
class Workers:
    """Attributes: rank of this process among ``count``; device it computes on."""

    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes files and logs."""
        return self.rank == 0

    def mean(self, value: float) -> float:
        """Mean of a figure over all processes."""
        if self.count == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.all_reduce(total)
        return float(total) / self.count

    def any(self, flag: bool) -> bool:
        """Whether it is so in any process, so that all stop at the same step."""
        return self.mean(float(flag)) > 0

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """The first process runs the block before all others: what it writes to disk is there when these look."""
        if not self.first:
            distributed.barrier()
        yield
        if self.first and self.count > 1:
            distributed.barrier()

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network whose gradients are averaged over all processes."""
        if self.count == 1:
            return network
        devices = [self.device] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(network, device_ids=devices)


@contextmanager
def workers(device: str) -> Iterator[Workers]:
    """Join the processes that ``torchrun`` has started, or be alone.

    Args:
        device: auto (a GPU when there is one), cpu, cuda.

    Raises:
        ConfigError: an unknown device, or one that this machine does not have.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device must be auto, cpu or cuda, not {device!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device is cuda, but torch finds no usable GPU on this machine")
    gpu = device != "cpu" and torch.cuda.is_available()
    count = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    chosen = torch.device("cuda", local % torch.cuda.device_count()) if gpu else torch.device("cpu")
    if count == 1:
        yield Workers(0, 1, chosen)
        return
    if gpu:
        torch.cuda.set_device(chosen)
    distributed.init_process_group("nccl" if gpu else "gloo", timeout=_PATIENCE)
    try:
        yield Workers(distributed.get_rank(), count, chosen)
    finally:
        distributed.destroy_process_group()
