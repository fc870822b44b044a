"""A one-slot mailbox and the worker thread that empties it: the newest item wins, nothing ever queues up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Holds at most one item; putting a second one replaces the first.

    A queue in front of a slow consumer shows the past; a mailbox drops frames and stays in the present.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: T | None = None
        self._closed = False
        self._replaced = 0

    @property
    def replaced(self) -> int:
        """How many items were thrown away because a newer one came before anybody took them."""
        return self._replaced

    def put(self, item: T) -> bool:
        """Leave an item, waking the consumer; True when an older item was thrown away for it."""
        with self._changed:
            dropped = self._item is not None
            self._replaced += dropped
            self._item = item
            self._changed.notify()
        return dropped

    def take(self, timeout: float | None = None) -> T | None:
        """Wait for an item and take it out; None when the mailbox was closed or ``timeout`` seconds passed."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._closed, timeout)
            item, self._item = self._item, None
            return None if self._closed else item

    def clear(self) -> None:
        """Throw away what is in the mailbox, without counting it as replaced."""
        with self._changed:
            self._item = None

    def close(self) -> None:
        """Wake the consumer for good; every later ``take`` returns None at once."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Worker(Generic[T]):
    """One daemon thread that hands each item of its mailbox to ``handle``.

    An exception in ``handle`` is given to ``on_error`` and the thread goes on: one bad frame must not end a node.
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
        """Whether the thread runs."""
        return self._thread.is_alive()

    def stop(self, timeout: float = 2.0) -> bool:
        """Let the item in work finish, then end the thread; False when it did not end within ``timeout`` seconds."""
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
                # While the node is being torn down, publishers vanish under the worker's feet.
                if not self._closed:
                    self._on_error(error)
