"""The running average of a network's weights, which is what is validated and exported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

_EVERY = 4  # steps between two updates


class EMA:
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
