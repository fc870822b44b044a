"""Nodes that this node depends on: notice when one is missing."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.node import Node

from tddfa_ros.nodes.ros.throttle import ThrottledLog


class RequiredPublisher:
    """Watches whether a topic has a publisher; without one the graph would be idle in silence.

    Args:
        node: node that looks at the graph.
        topic: resolved name of the topic.
        consequence: added to the sentence, such as which node is not running.
        log: where a missing publisher is reported.
        clock: monotonic clock, s.
    """

    def __init__(
        self,
        node: Node,
        topic: str,
        consequence: str,
        log: ThrottledLog,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._node = node
        self._topic = topic
        self._sentence = f"no node publishes {topic}: {consequence}"
        self._log = log
        self._clock = clock
        self._present = clock()

    def problems(self, patience: float) -> list[str]:
        """Return one sentence if the topic has had no publisher for ``patience`` seconds, else nothing."""
        now = self._clock()
        if self._node.count_publishers(self._topic):
            self._present = now
        if now - self._present < patience:
            return []
        self._log.warning(f"missing:{self._topic}", self._sentence)
        return [self._sentence]
