"""Processes of a training run: distributed training with ``torchrun``, and the memory allocator of a process."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed, nn

from tddfa_ros.errors import ConfigError

# options of mallopt(3), glibc malloc.h
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_LARGEST = 2**31 - 1
_GROW_BY = 200_000_000  # bytes
_TIMEOUT = timedelta(hours=6)  # of the other processes while the first one prepares the data


@dataclass(frozen=True)
class Workers:
    """This process among all processes of a run.

    Attributes:
        rank: of this process.
        count: of processes.
        device: of this process.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes files and logs."""
        return self.rank == 0

    def mean(self, value: float) -> float:
        """Return the mean of a value over all processes."""
        if self.count == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.all_reduce(total)
        return float(total) / self.count

    def any(self, flag: bool) -> bool:
        """Return whether ``flag`` is set in any process, so that all stop at the same step."""
        return self.mean(float(flag)) > 0

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """Run the block in the first process before the others, which can then read the files it wrote."""
        if not self.first:
            distributed.barrier()
        yield
        if self.first and self.count > 1:
            distributed.barrier()

    def wrap(self, network: nn.Module) -> nn.Module:
        """Wrap a network so that its gradients are averaged over all processes."""
        if self.count == 1:
            return network
        devices = [self.device] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(network, device_ids=devices)


@contextmanager
def workers(device: str) -> Iterator[Workers]:
    """Join the process group of ``torchrun``; without it, this process is the only one.

    Args:
        device: auto (a GPU if there is one), cpu or cuda.

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
    distributed.init_process_group("nccl" if gpu else "gloo", timeout=_TIMEOUT)
    try:
        yield Workers(distributed.get_rank(), count, chosen)
    finally:
        distributed.destroy_process_group()


def keep_freed_memory() -> bool:
    """Stop glibc from returning large freed blocks to the system, with mallopt(3).

    By default every large block is mapped anew by the kernel and unmapped when freed; zeroing its pages takes a third of the time of a
    training step on a CPU.

    Returns:
        True if the settings took effect (Linux with glibc).
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _LARGEST), (_TOP_PAD, _GROW_BY))
    return all([bool(mallopt(name, value)) for name, value in settings])
