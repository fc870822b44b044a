from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import pytest

from tddfa_ros.errors import ImageError
from tddfa_ros.jobs.ordered import Outcome, attempt, in_order


class ShuffledPool:
    """A pool that finishes items in random order; the work doubles numbers."""

    size = 3

    def __init__(self) -> None:
        self.waiting: list[tuple[int, int]] = []
        self.most_given = 0
        self.closed = False

    @property
    def busy(self) -> int:
        return len(self.waiting)

    def submit(self, number: int, item: int) -> None:
        assert self.busy < self.size
        self.waiting.append((number, item))
        self.most_given = max(self.most_given, number + 1)

    def wait(self) -> Sequence[tuple[int, Outcome]]:
        number, item = self.waiting.pop(self.choose())
        return [(number, Outcome(item, 2 * item))]

    def choose(self) -> int:
        return random.randrange(len(self.waiting))

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_outcomes_keep_item_order(count: int) -> None:
    random.seed(count)
    pool = ShuffledPool()
    outcomes = list(in_order(pool, range(count)))
    assert [(o.item, o.value) for o in outcomes] == [(i, 2 * i) for i in range(count)]
    assert pool.closed


def test_slow_item_bounds_read_ahead() -> None:
    class FirstIsSlow(ShuffledPool):
        def choose(self) -> int:
            others = [i for i, (number, _) in enumerate(self.waiting) if number > 0]
            return others[0] if others else 0

    pool = FirstIsSlow()
    first = next(in_order(pool, itertools.count()))
    assert first.item == 0 and pool.most_given == 8 * pool.size


def test_pool_closes_when_the_caller_stops() -> None:
    pool = ShuffledPool()
    outcomes = in_order(pool, itertools.count())
    next(outcomes)
    outcomes.close()
    assert pool.closed


def test_failure_becomes_one_sentence() -> None:
    def fail(item: object) -> None:
        raise ImageError("it is gray") if item == "gray" else KeyError("color")

    assert attempt(fail, "gray") == Outcome("gray", error="it is gray")
    assert attempt(fail, "none").error == "KeyError: 'color'"
