"""BGR arrays to picture messages and back, the latter with ROS's cv_bridge where that works."""

from __future__ import annotations

import contextlib
import sys
from array import array
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from tddfa_ros.sources import image_messages
from tddfa_ros.sources.image_messages import Converter, PlainImage
from tddfa_ros.types import ImageBGR, check_image

JPEG_QUALITY = 90


def to_bgr(message: Any) -> ImageBGR:
    """The picture in ``sensor_msgs/Image`` or ``CompressedImage``; see :func:`tddfa_ros.sources.image_messages.to_bgr`."""
    return image_messages.to_bgr(message, _converter())


def cv_bridge_converter() -> Converter:
    """Conversion by ROS's cv_bridge.

    Raises:
        Exception: it is absent, or was built against another NumPy, in which case even importing it is no proof.
    """
    from cv_bridge import CvBridge

    convert: Converter = CvBridge().imgmsg_to_cv2
    convert(PlainImage(1, 2, "rgb8", 6, np.zeros((1, 6), np.uint8)), "bgr8")
    return convert


@lru_cache(maxsize=1)
def _converter() -> Converter | None:
    """cv_bridge where it works; None leaves it to the library that needs no ROS."""
    # A cv_bridge built for NumPy 1 fails in ways of its own (AttributeError, ImportError, SystemError).
    with contextlib.suppress(Exception):
        return cv_bridge_converter()
    return None


def image_message(bgr: ImageBGR, header: Header) -> Image:
    """A BGR picture as ``sensor_msgs/Image`` (bgr8)."""
    check_image(bgr)
    height, width = bgr.shape[:2]
    message = Image(header=header, height=height, width=width, encoding="bgr8", step=3 * width)
    message.is_bigendian = int(sys.byteorder == "big")
    message.data = _bytes(bgr)
    return message


def compressed_message(
    bgr: ImageBGR, header: Header, quality: int = JPEG_QUALITY
) -> CompressedImage:
    """A BGR picture as JPEG, described as image_transport's own plugin would."""
    check_image(bgr)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    message = CompressedImage(header=header, format="bgr8; jpeg compressed bgr8")
    message.data = _bytes(encoded)
    return message


def _bytes(values: NDArray[np.uint8]) -> array[int]:
    # rclpy takes an array.array as it is and looks at each element of anything else.
    sequence = array("B")
    sequence.frombytes(np.ascontiguousarray(values).reshape(-1).data)
    return sequence
