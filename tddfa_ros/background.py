"""Work in a background thread beside the main one: read ahead, process behind.

Decoders, ONNX Runtime, OpenCV and encoders release Python's global lock, so stages overlap on a machine with several cores. Queues are
short: memory stays bounded, and the faster side waits.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_POLL_S = 0.1


class ReadAhead(Generic[T]):
    """Iterate over items that a background thread takes from an iterable.

    Args:
        items: iterated in the background thread; its exception is raised by the iteration, after the items before it.
        length: number of items that wait at most.
    """

    def __init__(self, items: Iterable[T], length: int) -> None:
        self._queue: queue.Queue[tuple[T] | BaseException | None] = queue.Queue(length)
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=self._fill, args=(items,), name="read-ahead", daemon=True
        )
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        while not self._stopped.is_set():
            entry = self._queue.get()
            if isinstance(entry, BaseException):
                raise entry
            if entry is None:
                return
            yield entry[0]

    def close(self) -> None:
        """End the thread; it finishes the item that it is reading."""
        self._stopped.set()
        self._thread.join()

    def _fill(self, items: Iterable[T]) -> None:
        last: BaseException | None = None
        try:
            for item in items:
                if not self._put((item,)):
                    return
        except BaseException as error:
            last = error
        self._put(last)

    def _put(self, entry: tuple[T] | BaseException | None) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(entry, timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        return False


class WriteBehind:
    """Run calls in a background thread, in the order in which they are submitted.

    After the first call that fails, the others are dropped, and :meth:`submit` and :meth:`close` raise its exception.

    Args:
        length: number of calls that wait at most; :meth:`submit` blocks while there are as many.
    """

    def __init__(self, length: int) -> None:
        self._queue: queue.Queue[Callable[[], object] | None] = queue.Queue(length)
        self._error: BaseException | None = None
        self._dropped = False
        self._thread = threading.Thread(target=self._work, name="write-behind", daemon=True)
        self._thread.start()

    def submit(self, call: Callable[[], object]) -> None:
        """Add a call; raise the exception of an earlier one that failed."""
        if self._error is not None:
            raise self._error
        self._queue.put(call)

    def close(self) -> None:
        """Wait for all calls, end the thread, and raise the exception of a call that failed."""
        self._end()
        if self._error is not None:
            raise self._error

    def cancel(self) -> None:
        """Drop the calls that wait, and end the thread after the running one."""
        self._dropped = True
        self._end()

    def _end(self) -> None:
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _work(self) -> None:
        while (call := self._queue.get()) is not None:
            if self._dropped:
                continue
            try:
                call()
            except BaseException as error:
                self._error, self._dropped = error, True


def map_behind(function: Callable[[T], R], items: Iterable[T], length: int) -> Iterator[R]:
    """Yield ``function(item)`` in order; it runs in a background thread while this one produces the next items.

    Args:
        function: called with one item at a time.
        items: iterated in the calling thread.
        length: number of items that wait at most, or are being processed.
    """
    waiting: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(1, thread_name_prefix="write")
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            while waiting and (len(waiting) >= length or waiting[0].done()):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
