"""Subscriptions to pictures that never show the past: best effort, the newest one only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

SENSOR_QOS = QoSProfile(
    depth=1, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.BEST_EFFORT
)
"""Matches every publisher, reliable or not; a queue longer than one would only hold old frames."""


def image_topic(node: Node, transport: str, topic: str = "image_raw") -> str:
    """Resolved name of the topic that carries ``topic`` with a transport, ``raw`` or ``compressed``.

    As in image_transport, ``/compressed`` is appended after remapping: ``-r image_raw:=/camera/image`` leads to
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
    """Subscribe to pictures; ``callback`` gets an ``Image`` or a ``CompressedImage``."""
    kind = Image if transport == "raw" else CompressedImage
    return node.create_subscription(kind, image_topic(node, transport, topic), callback, SENSOR_QOS)
