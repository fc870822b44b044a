"""Topics within a process: Python objects instead of messages. rclpy has no intra-process transport."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class IntraProcessTopic(Generic[T]):
    """Hands objects from one publisher to one subscription in the same process, in the publisher's thread.

    Attributes:
        name: resolved name of the topic that this one replaces, set by the publisher. A subscriber whose name is another one,
            because of a remapping, subscribes to that topic instead.
    """

    def __init__(self) -> None:
        self.name = ""
        self._lock = threading.Lock()
        self._callback: Callable[[T], None] | None = None

    @property
    def subscribed(self) -> bool:
        """Whether there is a subscription."""
        return self._callback is not None

    def subscribe(self, callback: Callable[[T], None]) -> IntraProcessTopic[T]:
        """Replace the subscription; ``callback`` must not raise, and must not call this object."""
        with self._lock:
            self._callback = callback
        return self

    def unsubscribe(self) -> None:
        """End the subscription; a running call is waited for, so that its resources can be freed afterwards."""
        with self._lock:
            self._callback = None

    def publish(self, item: T) -> None:
        """Call the subscription, if there is one, and return when it is done."""
        with self._lock:
            if self._callback is not None:
                self._callback(item)
