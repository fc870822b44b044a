"""Depth images aligned to the color images, for the metric scale."""

from __future__ import annotations

from collections import deque

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from tddfa_ros.errors import ImageError
from tddfa_ros.nodes.convert.messages import NANOSECONDS, stamp_ns
from tddfa_ros.nodes.ros.image_input import SENSOR_QOS
from tddfa_ros.types import FloatArray

DEPTH_TOPIC = "depth/image_raw"

TOLERANCE_NS = NANOSECONDS // 20
"""Largest difference of the stamps of a color image and its depth image."""

_TYPES = {"16UC1": ("u2", 1e-3), "mono16": ("u2", 1e-3), "32FC1": ("f4", 1.0)}
"""Type and unit, m, of each encoding (REP-118)."""


class DepthInput:
    """Receives depth images on :data:`DEPTH_TOPIC` and finds the one of a color image.

    Args:
        node: node to subscribe on.
    """

    def __init__(self, node: Node) -> None:
        self._messages: deque[Image] = deque(maxlen=8)
        self._node = node
        self._subscription = node.create_subscription(
            Image, "depth/image_raw", self.put, SENSOR_QOS
        )

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)

    def put(self, message: Image) -> None:
        """Store a depth image."""
        self._messages.append(message)

    def depth_for(self, header: Header, width: int, height: int) -> FloatArray | None:
        """Return the depth image (height, width), m, of a color image; None when there is none within 50 ms.

        Raises:
            ImageError: the depth image is not aligned to the color image, or cannot be decoded.
        """
        stamp = stamp_ns(header.stamp)
        nearest = min(
            list(self._messages), key=lambda m: abs(stamp_ns(m.header.stamp) - stamp), default=None
        )
        if nearest is None or abs(stamp_ns(nearest.header.stamp) - stamp) > TOLERANCE_NS:
            return None
        if (nearest.width, nearest.height) != (width, height):
            raise ImageError(
                f"the depth image has {nearest.width}x{nearest.height} px, the color image {width}x{height} px: "
                "publish depth aligned to color"
            )
        own, color = nearest.header.frame_id, header.frame_id
        if own and own.lstrip("/") != color.lstrip("/"):
            raise ImageError(
                f"the depth image is in frame {own!r}, the color image in {color!r}: publish depth aligned to color"
            )
        return depth_image(nearest)


def depth_image(message: Image) -> FloatArray:
    """Convert a depth image, 16UC1 in mm or 32FC1 in m (REP-118), to (h, w) float32, m.

    Raises:
        ImageError: another encoding, or too little data.
    """
    if message.encoding not in _TYPES:
        raise ImageError(f"a depth image must be 16UC1 or 32FC1, not {message.encoding!r}")
    code, unit = _TYPES[message.encoding]
    kind = np.dtype(f"{'>' if message.is_bigendian else '<'}{code}")
    row = message.width * kind.itemsize
    data = np.frombuffer(message.data, dtype=np.uint8)
    if message.step < row or data.size < message.step * message.height:
        raise ImageError(
            f"truncated depth image: {data.size} bytes for {message.width}x{message.height} px with step {message.step}"
        )
    rows = data[: message.step * message.height].reshape(message.height, message.step)[:, :row]
    return np.ascontiguousarray(rows).view(kind).astype(np.float32) * np.float32(unit)
