"""Begin a wide network where a narrow one ends: Net2WiderNet (Chen, Goodfellow, Shlens 2016), for whole multiples of the width."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_UNEVEN = (0.35, 0.65)
"""Range of the first copy's share in what follows: equal copies would learn the same for ever."""
_NOISE = 0.02  # of each weight's size, for the same reason


def widened(
    narrow: Mapping[str, Tensor], wide: Mapping[str, Tensor], seed: int = 0
) -> dict[str, Tensor]:
    """What of the state dict ``narrow`` fits the shapes of ``wide``, with channels copied where these are a whole number of times as many.

    Every channel of the backbone is copied; the copies share what the next layer makes of it in uneven parts, so that the sum, and with it
    what the network computes, nearly stays. A little noise sets the copies apart.
    """
    generator = torch.Generator().manual_seed(seed)
    grown: dict[str, Tensor] = {}
    for name, target in wide.items():
        source = narrow.get(name)
        if source is None:
            continue
        if source.shape == target.shape:
            grown[name] = source
            continue
        factors = _factors(source, target)
        if factors is None or (factors[0] > 1 and not name.startswith("backbone.")):
            continue
        outputs, inputs = factors
        value = source.repeat(outputs, *[1] * (source.dim() - 1))
        if inputs > 1:
            value = _shared(value, inputs, generator)
        if source.dim() > 1:
            value = value * (1 + _NOISE * torch.randn(value.shape, generator=generator))
        grown[name] = value
    return grown


def _factors(source: Tensor, target: Tensor) -> tuple[int, int] | None:
    """How many times as many outputs and inputs the wide layer has; the rest of the shape must agree."""
    if source.dim() != target.dim() or source.shape[2:] != target.shape[2:]:
        return None
    factors = [target.shape[axis] / source.shape[axis] for axis in range(min(source.dim(), 2))]
    if not all(factor.is_integer() for factor in factors):
        return None
    return int(factors[0]), int(factors[1]) if len(factors) > 1 else 1


def _shared(weight: Tensor, times: int, generator: torch.Generator) -> Tensor:
    """Weight (o, i, ...) for inputs that come ``times``, each copy with a part of it."""
    low, high = _UNEVEN
    shape = (times, *weight.shape[:2])
    part = low + (high - low) * torch.rand(shape, generator=generator)
    part = (part / part.sum(dim=0)).reshape(times, *weight.shape[:2], *[1] * (weight.dim() - 2))
    return torch.cat([weight * one for one in part], dim=1)
