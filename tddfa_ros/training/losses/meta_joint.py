"""3DDFA_V2's meta-joint optimisation (Guo et al. 2020): go on with whichever of two losses helps more just now.

fWPDC learns the parameters that matter most and brings training near the goal fast; VDC is what shall be small, but has poor gradients far
from it. Neither is best all the time, and no fixed sum of both is best all the time either.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

import torch

from tddfa_ros.errors import ConfigError
from tddfa_ros.training.loss_weights import LossWeights

Batch = TypeVar("Batch")
CANDIDATES = ("fwpdc", "vdc")


class Stateful(Protocol):
    """A network, optimiser, schedule, moving average or gradient scaler: whatever a step changes."""

    def state_dict(self) -> Any: ...

    def load_state_dict(self, state: Any) -> Any: ...


@dataclass(frozen=True)
class Choice:
    """Outcome of one look-ahead: the loss that was kept, and the held-out score after each."""

    name: str
    scores: dict[str, float]


class MetaJoint(Generic[Batch]):
    """From the present state take the same steps once with each loss, and keep the state that scores best on held-out data.

    Costs: every batch is trained on once per candidate, and every candidate is scored every ``every`` steps: with two candidates twice the
    time of a plain run and a little more. Of the state there is one copy for the start and one per candidate; ``every`` batches are held in
    memory at once (100 batches of 64 crops of 120 px: 280 MB).

    Deterministic: all candidates begin with the same state, torch's random numbers included, and see the same batches in the same order;
    of equal scores the first candidate wins. With several processes every one must get the same scores, or they part: average them first.
    """

    def __init__(
        self,
        parts: Sequence[Stateful],
        step: Callable[[str, Batch], object],
        evaluate: Callable[[], float],
        every: int = 100,
        candidates: Sequence[str] = CANDIDATES,
    ) -> None:
        """Bring the pieces of a training run together.

        Args:
            parts: everything that a step changes.
            step: one whole step, schedule included, with the named loss on a batch.
            evaluate: held-out score of the present state, lower is better: VDC in 3DDFA_V2. It must leave the state as it is.
            every: steps to look ahead.
            candidates: names of losses.

        Raises:
            ConfigError: ``every`` is under 1, or there is nothing to choose from.
        """
        if every < 1 or len(set(candidates)) < 2:
            raise ConfigError(
                f"a meta-joint choice needs two losses and at least one step, not {list(candidates)} and {every}"
            )
        self._parts = tuple(parts)
        self._step, self._evaluate = step, evaluate
        self._every, self._candidates = every, tuple(candidates)

    def run(self, batches: Iterable[Batch]) -> Iterator[Choice]:
        """Train on all batches, ``every`` at a time, the last time on what is left; yields after each choice."""
        supply = iter(batches)
        while ahead := list(islice(supply, self._every)):
            yield self._look_ahead(ahead)

    def _look_ahead(self, batches: Sequence[Batch]) -> Choice:
        start = self._snapshot()
        scores: dict[str, float] = {}
        ends: dict[str, tuple[Any, ...]] = {}
        for name in self._candidates:
            self._restore(start)
            for batch in batches:
                self._step(name, batch)
            score = self._evaluate()
            scores[name] = score if math.isfinite(score) else math.inf
            ends[name] = self._snapshot()
        chosen = min(scores, key=lambda name: scores[name])
        self._restore(ends[chosen])
        return Choice(chosen, scores)

    def _snapshot(self) -> tuple[Any, ...]:
        random = torch.get_rng_state(), torch.cuda.get_rng_state_all()
        return (random, *(copy.deepcopy(part.state_dict()) for part in self._parts))

    def _restore(self, state: tuple[Any, ...]) -> None:
        """Optimisers keep the tensors they are given, so each restoration hands out copies."""
        (host, devices), *states = state
        torch.set_rng_state(host)
        torch.cuda.set_rng_state_all(devices)
        for part, saved in zip(self._parts, states, strict=True):
            part.load_state_dict(copy.deepcopy(saved))


def candidate_weights(
    weights: LossWeights, candidates: Sequence[str] = CANDIDATES
) -> dict[str, LossWeights]:
    """For every candidate the weights with the other candidates off; a candidate of weight 0 gets 1."""
    off: dict[str, Any] = dict.fromkeys(candidates, 0.0)
    return {
        name: replace(weights, **{**off, name: getattr(weights, name) or 1.0})
        for name in candidates
    }
