"""Subscriptions that exist only while somebody listens to what a node makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rclpy.clock import Clock, ClockType

from tddfa_ros.nodes.ros.overrides import TopicNode

CHECK_PERIOD = 0.2
"""Interval of the checks, seconds; rclpy of Humble has no matched events."""


class OnDemand:
    """Opens subscriptions while their messages are needed, and closes them otherwise: a closed input costs nothing.

    Args:
        node: node of the subscriptions.
        topic: name of their topic.
        wanted: returns whether the messages are needed, such as whether an output has a subscriber.
        subscribe: creates the subscriptions.
        closed: called after the subscriptions were destroyed.
        unsubscribe: destroys a subscription; None = that of the node.
    """

    def __init__(
        self,
        node: TopicNode,
        topic: str,
        wanted: Callable[[], bool],
        subscribe: Callable[[], Sequence[Any]],
        closed: Callable[[], None] = lambda: None,
        unsubscribe: Callable[[Any], object] | None = None,
    ) -> None:
        self._node = node
        node.expect_subscription(topic)
        self._wanted = wanted
        self._subscribe = subscribe
        self._closed = closed
        self._unsubscribe = unsubscribe or node.destroy_subscription
        self._subscriptions: Sequence[Any] = ()
        # The steady clock also runs while simulated time is paused.
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(CHECK_PERIOD, self.update, clock=clock)
        self.update()

    @property
    def active(self) -> bool:
        """Whether the subscriptions exist."""
        return bool(self._subscriptions)

    def update(self) -> None:
        """Open or close the subscriptions now, in the executor thread."""
        wanted = self._wanted()
        if wanted and not self._subscriptions:
            self._subscriptions = self._subscribe()
        elif not wanted and self._subscriptions:
            self._close()

    def stop(self) -> None:
        """Close the subscriptions and end the checks."""
        self._node.destroy_timer(self._timer)
        if self._subscriptions:
            self._close()

    def _close(self) -> None:
        subscriptions, self._subscriptions = self._subscriptions, ()
        for subscription in subscriptions:
            self._unsubscribe(subscription)
        self._closed()
