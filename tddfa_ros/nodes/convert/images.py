"""Convert image messages to BGR arrays and back, using cv_bridge where it is usable."""

from __future__ import annotations

import contextlib
import sys
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from tddfa_ros.nodes.convert.messages import uint8_sequence
from tddfa_ros.sources import image_messages
from tddfa_ros.sources.image_messages import Converter, PlainImage
from tddfa_ros.types import MAX_IMAGE_PIXELS, ImageBGR, check_image

JPEG_QUALITY = 90


def to_bgr(message: Any, max_pixels: int = MAX_IMAGE_PIXELS) -> ImageBGR:
    """Decode ``sensor_msgs/Image`` or ``CompressedImage``; see :func:`tddfa_ros.sources.image_messages.to_bgr`."""
    return image_messages.to_bgr(message, _converter(), max_pixels)


def cv_bridge_converter() -> Converter:
    """Return the converter of cv_bridge, after a test conversion.

    Raises:
        Exception: cv_bridge is not installed, or was built against another NumPy, which may fail only on use.
    """
    from cv_bridge import CvBridge

    convert: Converter = CvBridge().imgmsg_to_cv2
    convert(PlainImage(1, 2, "rgb8", 6, np.zeros((1, 6), np.uint8)), "bgr8")
    return convert


@lru_cache(maxsize=1)
def _converter() -> Converter | None:
    """Return the converter of cv_bridge; None selects rosbags-image."""
    # A cv_bridge built for NumPy 1 raises AttributeError, ImportError or SystemError.
    with contextlib.suppress(Exception):
        return cv_bridge_converter()
    return None


def image_message(bgr: ImageBGR, header: Header) -> Image:
    """Convert a BGR image to ``sensor_msgs/Image`` (bgr8)."""
    check_image(bgr)
    height, width = bgr.shape[:2]
    message = Image(header=header, height=height, width=width, encoding="bgr8", step=3 * width)
    message.is_bigendian = int(sys.byteorder == "big")
    message.data = uint8_sequence(bgr)
    return message


def compressed_message(
    bgr: ImageBGR, header: Header, quality: int = JPEG_QUALITY
) -> CompressedImage:
    """Convert a BGR image to a JPEG ``CompressedImage`` with the format string of image_transport."""
    check_image(bgr)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    message = CompressedImage(header=header, format="bgr8; jpeg compressed bgr8")
    message.data = uint8_sequence(encoded)
    return message
