"""Work on many items by many workers, with the answers in the order of the items."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from tddfa_ros.errors import TddfaError

Setup: TypeAlias = Callable[[], Callable[[Any], Any]]
"""Called once in each worker; returns what is then called with one item after the other. Must be picklable."""

_AHEAD = 8  # items per worker that may be finished before their turn


@dataclass(frozen=True)
class Outcome:
    """What became of one item.

    Attributes:
        item: as it was given.
        value: what the work returned; None where it failed.
        error: one sentence that says why it failed; else None.
    """

    item: Any
    value: Any = None
    error: str | None = None


class Pool(Protocol):
    """Workers that each do one item at a time.

    Attributes:
        size: how many workers there are.
        busy: how many of them have an item.
    """

    size: int

    @property
    def busy(self) -> int: ...

    def submit(self, number: int, item: Any) -> None:
        """Give an item to an idle worker; there must be one."""
        ...

    def wait(self) -> Sequence[tuple[int, Outcome]]:
        """Wait until at least one item is done. Items of workers that died are done, too: they failed.

        Raises:
            TddfaError: the workers cannot be set up.
        """
        ...

    def close(self) -> None:
        """End all workers."""
        ...


def in_order(pool: Pool, items: Iterable[Any]) -> Iterator[Outcome]:
    """Let a pool work on items; outcomes come as soon as it is their turn. The pool is closed at the end.

    Items are taken as workers become free, and not further ahead of the outcomes than a few per worker, so both may be
    endless.
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
    """Do one item; an exception becomes the outcome's sentence."""
    try:
        return Outcome(item, work(item))
    except TddfaError as error:
        return Outcome(item, error=str(error))
    except Exception as error:
        return Outcome(item, error=f"{type(error).__name__}: {error}")
