"""Image input: subscriptions to the latest image, and matching of images with their results by stamp."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from tddfa_ros.nodes.ros.stamps import REPEATS

SENSOR_QOS = QoSProfile(
    depth=1, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.BEST_EFFORT
)
"""Best effort matches all publishers; depth 1 because a longer queue only holds outdated images."""


def image_topic(node: Node, transport: str, topic: str = "image_raw") -> str:
    """Resolve the topic of an image transport, ``raw`` or ``compressed``.

    As in image_transport, ``/compressed`` is appended after remapping: ``-r image_raw:=/camera/image`` gives
    ``/camera/image/compressed``.
    """
    resolved = node.resolve_topic_name(topic)
    return resolved if transport == "raw" else f"{resolved}/{transport}"


def subscribe_images(
    node: Node,
    transport: str,
    callback: Callable[[Any], None],
    topic: str = "image_raw",
) -> Subscription:
    """Subscribe to images; ``callback`` receives an ``Image`` or a ``CompressedImage``."""
    kind = Image if transport == "raw" else CompressedImage
    return node.create_subscription(kind, image_topic(node, transport, topic), callback, SENSOR_QOS)


class StampMatcher:
    """Pairs the messages of two streams by equal stamps, in any order of arrival.

    Args:
        size: maximum number of unpaired messages per stream; the earliest arrival is dropped first. Messages that arrived before
            the partner of a pair are dropped with it, because results arrive in the order of the images.

    Stream 0 are the images. Where their stamps do not advance, ``face_node`` gives the results stamps of the receive clock
    (:class:`~tddfa_ros.nodes.ros.stamps.StampCheck`); each result is then paired with the newest image.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._newest: tuple[int, Any] | None = None
        self._repeats = 0
        self._streams: tuple[OrderedDict[int, Any], OrderedDict[int, Any]] = (
            OrderedDict(),
            OrderedDict(),
        )

    def add(self, stream: int, stamp: int, message: Any) -> tuple[Any, Any] | None:
        """Add a message of stream 0 or 1 with its stamp, ns; return the pair once it is complete."""
        if stream == 0:
            repeated = stamp <= 0 or (self._newest is not None and self._newest[0] == stamp)
            self._repeats = self._repeats + 1 if repeated else 0
            self._newest = stamp, message
        if self._newest is not None and (self._newest[0] <= 0 or self._repeats >= REPEATS):
            return None if stream == 0 else (self._newest[1], message)
        own, other = self._streams[stream], self._streams[1 - stream]
        if stamp not in other:
            own[stamp] = message
            own.move_to_end(stamp)
            while len(own) > self.size:
                own.popitem(last=False)
            return None
        partner = other[stamp]
        while next(iter(other)) != stamp:
            other.popitem(last=False)
        del other[stamp]
        return (message, partner) if stream == 0 else (partner, message)

    def clear(self) -> None:
        """Drop all messages."""
        self._newest, self._repeats = None, 0
        for stream in self._streams:
            stream.clear()
