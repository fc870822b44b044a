"""Meta-joint optimization of 3DDFA_V2 (Guo et al., 2020, section 3.2): select the loss that reduces the held-out error more.

fWPDC converges fast at first; VDC is the quantity to minimize, but has poor gradients far from the minimum. Neither loss, nor a fixed sum of
both, is best during the whole run.
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
    """State that a step changes: network, optimizer, schedule, EMA or gradient scaler."""

    def state_dict(self) -> Any: ...

    def load_state_dict(self, state: Any) -> Any: ...


@dataclass(frozen=True)
class Choice:
    """Result of one look-ahead: name of the selected loss, and held-out score after each candidate."""

    name: str
    scores: dict[str, float]


class MetaJoint(Generic[Batch]):
    """Take the same steps once with each candidate loss, and keep the state with the best held-out score.

    Cost: each batch is trained on once per candidate, and each candidate is scored every ``every`` steps: with two candidates a little more
    than twice the time of a plain run. Memory: one copy of the state per candidate plus one, and ``every`` batches (100 batches of 64 crops of
    120 px: 280 MB).

    Deterministic: all candidates start from the same state, including the random state of torch, and get the same batches in the same order;
    the first candidate wins a tie. With several processes, average the score over all processes: different scores would make them diverge.

    Args:
        parts: everything that a step changes.
        step: one whole step, schedule included, with the named loss on a batch.
        evaluate: held-out score of the current state, lower is better: VDC in 3DDFA_V2. It must not change the state.
        every: steps to look ahead.
        candidates: names of losses.

    Raises:
        ConfigError: ``every`` is below 1, or there are fewer than two candidates.
    """

    def __init__(
        self,
        parts: Sequence[Stateful],
        step: Callable[[str, Batch], object],
        evaluate: Callable[[], float],
        every: int = 100,
        candidates: Sequence[str] = CANDIDATES,
    ) -> None:
        if every < 1 or len(set(candidates)) < 2:
            raise ConfigError(
                f"meta-joint optimization needs two losses and at least one step, not {list(candidates)} and {every}"
            )
        self._parts = tuple(parts)
        self._step, self._evaluate = step, evaluate
        self._every, self._candidates = every, tuple(candidates)

    def run(self, batches: Iterable[Batch]) -> Iterator[Choice]:
        """Train on all batches, ``every`` at a time; yields after each selection."""
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
        """Restore copies: optimizers keep references to the tensors they load."""
        (host, devices), *states = state
        torch.set_rng_state(host)
        torch.cuda.set_rng_state_all(devices)
        for part, saved in zip(self._parts, states, strict=True):
            part.load_state_dict(copy.deepcopy(saved))


def candidate_weights(
    weights: LossWeights, candidates: Sequence[str] = CANDIDATES
) -> dict[str, LossWeights]:
    """Return, per candidate, the weights with the other candidates disabled; a candidate of weight 0 gets 1."""
    off: dict[str, Any] = dict.fromkeys(candidates, 0.0)
    return {
        name: replace(weights, **{**off, name: getattr(weights, name) or 1.0})
        for name in candidates
    }
