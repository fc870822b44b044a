"""One-slot mailbox and its worker thread: only the latest item is processed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Holds the latest item only: a slow consumer skips items instead of lagging behind a queue."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: T | None = None
        self._closed = False
        self._replaced = 0

    @property
    def replaced(self) -> int:
        """Number of items replaced before they were taken."""
        return self._replaced

    def put(self, item: T) -> bool:
        """Store an item and wake the consumer; return whether it replaced an older one."""
        with self._changed:
            dropped = self._item is not None
            self._replaced += dropped
            self._item = item
            self._changed.notify()
        return dropped

    def take(self, timeout: float | None = None) -> T | None:
        """Wait for an item and remove it; return None when the mailbox is closed or after ``timeout`` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._closed, timeout)
            item, self._item = self._item, None
            return None if self._closed else item

    def clear(self) -> None:
        """Discard the item without counting it as replaced."""
        with self._changed:
            self._item = None

    def close(self) -> None:
        """Close the mailbox: ``take`` returns None from now on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Worker(Generic[T]):
    """Daemon thread that processes the items of a mailbox.

    Args:
        handle: called with each item.
        on_error: called with an exception raised by ``handle``; the thread continues, so that a bad frame does not end a node.
        name: name of the thread.
    """

    def __init__(
        self,
        handle: Callable[[T], None],
        on_error: Callable[[Exception], None],
        name: str = "worker",
    ) -> None:
        self.mailbox: Mailbox[T] = Mailbox()
        self._handle = handle
        self._on_error = on_error
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> bool:
        """See :meth:`Mailbox.put`."""
        return self.mailbox.put(item)

    @property
    def alive(self) -> bool:
        """Whether the thread is running."""
        return self._thread.is_alive()

    def stop(self, timeout: float = 2.0) -> bool:
        """End the thread after its current item; return whether it ended within ``timeout`` seconds."""
        self._closed = True
        self.mailbox.close()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (item := self.mailbox.take()) is not None:
            try:
                self._handle(item)
            except Exception as error:
                # During shutdown publishers are destroyed while the worker runs.
                if not self._closed:
                    self._on_error(error)
