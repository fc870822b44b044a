"""Progress of a run, which part of the learning rate that means, and the means of what an epoch has shown so far."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class TrainState:
    """Attributes: epoch: whole epochs that are over; step: steps of the next one that are; seconds: time spent on steps."""

    def __init__(self) -> None:
        self.epoch, self.step = 0, 0
        self.seconds = 0.0
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Count figures (scalars) of one step; not every step needs to have each."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def end_epoch(self) -> dict[str, float]:
        """Go to the next epoch; the mean of each figure over the steps that had it."""
        means = {name: float(value) / self._counts[name] for name, value in self._sums.items()}
        self.epoch, self.step, self._sums, self._counts = self.epoch + 1, 0, {}, {}
        return means

    def state_dict(self) -> dict[str, Any]:
        """Everything, to go on from."""
        sums, counts = dict(self._sums), dict(self._counts)
        return {
            "epoch": self.epoch,
            "step": self.step,
            "sums": sums,
            "counts": counts,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with what :meth:`state_dict` gave."""
        self.epoch, self.step = state["epoch"], state["step"]
        self.seconds = state.get("seconds", 0.0)
        self._sums, self._counts = dict(state["sums"]), dict(state["counts"])


def one_cycle(progress: float, warm_up: float = 0.08, floor: float = 1e-3) -> float:
    """Share of the peak learning rate at ``progress`` in [0, 1]: cosine up from 0.04, cosine down to ``floor``."""
    if progress < warm_up:
        return 0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * progress / warm_up))
    down = min((progress - warm_up) / (1 - warm_up), 1.0) if warm_up < 1 else 1.0
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * down))
