"""Process items with a pool of workers and yield the results in input order."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from tddfa_ros.errors import TddfaError

Setup: TypeAlias = Callable[[], Callable[[Any], Any]]
"""Called once in each worker; returns the function that processes one item. Must be picklable."""

_AHEAD = 8  # items per worker that may be finished ahead of the next result


@dataclass(frozen=True)
class Outcome:
    """Result of one item.

    Attributes:
        item: the input.
        value: the return value; None on failure.
        error: one sentence with the reason of the failure; None on success.
    """

    item: Any
    value: Any = None
    error: str | None = None


class Pool(Protocol):
    """Workers that each process one item at a time.

    Attributes:
        size: number of workers.
        busy: number of workers that are processing an item.
    """

    size: int

    @property
    def busy(self) -> int: ...

    def submit(self, number: int, item: Any) -> None:
        """Send an item to an idle worker; there must be one."""
        ...

    def wait(self) -> Sequence[tuple[int, Outcome]]:
        """Wait until at least one item is finished. The item of a worker that died is finished with an error.

        Raises:
            TddfaError: the workers cannot be set up.
        """
        ...

    def close(self) -> None:
        """End all workers."""
        ...


def in_order(pool: Pool, items: Iterable[Any]) -> Iterator[Outcome]:
    """Process items with a pool and yield the outcomes in input order. The pool is closed at the end.

    Items are consumed as workers become free, at most a few per worker ahead of the yielded outcomes, so ``items`` may be
    infinite.
    """
    numbered = enumerate(items)
    done: dict[int, Outcome] = {}
    given = returned = 0
    try:
        while True:
            room = min(pool.size - pool.busy, returned + _AHEAD * pool.size - given)
            for number, item in itertools.islice(numbered, max(room, 0)):
                pool.submit(number, item)
                given = number + 1
            if given == returned:
                return
            done.update(pool.wait())
            while returned in done:
                yield done.pop(returned)
                returned += 1
    finally:
        pool.close()


def attempt(work: Callable[[Any], Any], item: Any) -> Outcome:
    """Process one item; an exception becomes the error of the outcome."""
    try:
        return Outcome(item, work(item))
    except TddfaError as error:
        return Outcome(item, error=str(error))
    except Exception as error:
        return Outcome(item, error=f"{type(error).__name__}: {error}")
