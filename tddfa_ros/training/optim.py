"""The running average of a network's weights, which is what is validated and exported."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class Clock:
    """Attributes: epoch: whole epochs that are over; step: steps of the next one that are."""

    def __init__(self) -> None:
        self.epoch, self.step = 0, 0
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
        return {"epoch": self.epoch, "step": self.step, "sums": sums, "counts": counts}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with what :meth:`state_dict` gave."""
        self.epoch, self.step = state["epoch"], state["step"]
        self._sums, self._counts = dict(state["sums"]), dict(state["counts"])


def one_cycle(progress: float, warm_up: float = 0.08, floor: float = 1e-3) -> float:
    """Share of the peak learning rate at ``progress`` in [0, 1]: cosine up from 0.04, cosine down to ``floor``."""
    if progress < warm_up:
        return 0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * progress / warm_up))
    down = min((progress - warm_up) / (1 - warm_up), 1.0) if warm_up < 1 else 1.0
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * down))


_EVERY = 4  # steps between two updates


class Average:
    """Exponential moving average of the weights; statistics of normalisation layers are those of the network itself.

    Averaged statistics would belong to no network: they trail the weights while these still move fast.
    """

    def __init__(self, network: nn.Module, half_life: float) -> None:
        """Args: half_life: steps after which a weight counts half; 0: the average is the network itself."""
        self._every = _EVERY if half_life > 0 else 1
        self._keep = 0.5 ** (_EVERY / half_life) if half_life > 0 else 0.0
        self._learnt = {name for name, _ in network.named_parameters()}
        self._values = {k: v.detach().clone() for k, v in network.state_dict().items()}
        self._step = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """After a step."""
        self._step += 1
        if self._step % self._every:
            return
        # an average that is younger than its half-life is the plain mean of what it has seen
        seen = self._step // self._every
        keep = min(self._keep, seen / (seen + 1))
        for name, value in network.state_dict().items():
            if name in self._learnt:
                self._values[name].lerp_(value, 1 - keep)
            else:
                self._values[name].copy_(value)

    def state_dict(self) -> dict[str, Any]:
        """The averaged weights and how many steps they have seen, to go on from."""
        return {"weights": self._values, "step": self._step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with what :meth:`state_dict` gave."""
        for name, value in state["weights"].items():
            self._values[name].copy_(value)
        self._step = state["step"]

    @property
    def weights(self) -> dict[str, Tensor]:
        """The average, as the network's own state dict."""
        return self._values
