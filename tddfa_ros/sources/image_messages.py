"""Decode ``sensor_msgs/Image`` and ``CompressedImage``, from a node or a bag, to BGR arrays, without importing ROS.

Each message is validated first, then brought to one form (tight rows, native byte order) that rosbags-image and cv_bridge
convert identically. Encodings that neither supports are converted by OpenCV directly.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ImageError
from tddfa_ros.names import printable
from tddfa_ros.sources.image_data import decode, to_8_bit
from tddfa_ros.types import MAX_IMAGE_PIXELS, ImageBGR

_SHOWN = 60  # characters of a string from the network in an error


@dataclass(frozen=True)
class _Layout:
    """Memory layout of an encoding.

    Attributes:
        name: name of the encoding in cv_bridge and rosbags-image.
        channels: samples per pixel.
        depth: bytes per sample.
        even_width: whether the width must be even.
        even_height: whether the height must be even.
    """

    name: str
    channels: int
    depth: int = 1
    even_width: bool = False
    even_height: bool = False


def _layouts() -> dict[str, _Layout]:
    table = {
        **{
            f"{order}8": _Layout(f"{order}8", len(order))
            for order in ("bgr", "rgb", "bgra", "rgba")
        },
        **{
            f"{order}16": _Layout(f"{order}16", len(order), 2)
            for order in ("bgr", "rgb", "bgra", "rgba")
        },
        "mono8": _Layout("mono8", 1),
        "mono16": _Layout("mono16", 1, 2),
        # OpenCV types without a color order: BGR by convention.
        "8UC1": _Layout("mono8", 1),
        "8UC3": _Layout("bgr8", 3),
        "8UC4": _Layout("bgra8", 4),
        "16UC1": _Layout("mono16", 1, 2),
        "yuv422": _Layout("yuv422", 2, even_width=True),
        "uyvy": _Layout("yuv422", 2, even_width=True),
        "yuv422_yuy2": _Layout("yuv422_yuy2", 2, even_width=True),
        "yuyv": _Layout("yuv422_yuy2", 2, even_width=True),
        "nv12": _Layout("nv12", 1, even_width=True, even_height=True),
        "nv21": _Layout("nv21", 1, even_width=True, even_height=True),
    }
    for pattern in ("rggb", "bggr", "gbrg", "grbg"):
        for depth in (1, 2):
            name = f"bayer_{pattern}{8 * depth}"
            table[name] = _Layout(name, 1, depth)
    return table


LAYOUTS = _layouts()
"""Supported encodings of ``sensor_msgs/Image``."""

_PLANAR = {"nv12": cv2.COLOR_YUV2BGR_NV12, "nv21": cv2.COLOR_YUV2BGR_NV21}


@dataclass(frozen=True, eq=False)
class PlainImage:
    """A validated image with tight rows in native byte order; fields as in ``sensor_msgs/Image``."""

    height: int
    width: int
    encoding: str
    step: int
    data: NDArray[Any]
    is_bigendian: bool = sys.byteorder == "big"


Converter = Callable[[PlainImage, str], NDArray[Any]]
"""Function that converts a plain image to the named encoding, ``bgr8`` or ``bgr16``."""


def to_bgr(
    message: Any, convert: Converter | None = None, max_pixels: int = MAX_IMAGE_PIXELS
) -> ImageBGR:
    """Decode an image message to a contiguous (H, W, 3) uint8 BGR array.

    A ``bgr8`` image without padding is returned as a view of the message's data, all others as a copy. 16-bit images are
    scaled to 8 bits by the depth that they use; see :func:`tddfa_ros.sources.image_data.to_8_bit`.

    Args:
        message: object with the fields of ``sensor_msgs/Image`` or ``CompressedImage``.
        convert: converter for encodings other than bgr8, nv12 and nv21; None = rosbags-image.
        max_pixels: largest accepted width x height of a compressed image.

    Raises:
        ImageError: zero size, truncated data, a step that is too small, an unknown encoding, undecodable data, or too many pixels.
    """
    if hasattr(message, "format"):
        return _decode(message, max_pixels)
    image = plain_image(message)
    try:
        return _to_bgr(image, convert)
    except ImageError:
        raise
    except Exception as error:  # the libraries do not document what they raise
        reason = " ".join(str(error).split())
        raise ImageError(
            f"a {image.width}x{image.height} image in '{message.encoding}' cannot be converted: {reason}"
        ) from error


def plain_image(message: Any) -> PlainImage:
    """Validate an image message, strip row padding, and swap bytes to native order.

    ``height`` of 4:2:0 images (nv12, nv21) counts either the rows of luma only (sensor_msgs) or those of luma and chroma
    (OpenCV); the length of the data decides which.

    Raises:
        ImageError: see :func:`to_bgr`.
    """
    layout = LAYOUTS.get(message.encoding)
    height, width, step = int(message.height), int(message.width), int(message.step)
    if layout is None:
        raise ImageError(
            f"unknown image encoding '{printable(message.encoding, _SHOWN)}'; a color, grayscale, YUV or Bayer encoding is needed"
        )
    if height == 0 or width == 0:
        raise ImageError(f"the image has zero size ({width}x{height})")
    row = width * layout.channels * layout.depth
    if step < row:
        raise ImageError(
            f"wrong step: a row of {width} pixels in '{message.encoding}' takes {row} bytes, but step is {step}"
        )
    data = _as_bytes(message.data)
    rows = height
    if layout.name in _PLANAR:
        height, rows = _planar_rows(height, step, data.size)
    if (layout.even_width and width % 2) or (layout.even_height and height % 2):
        raise ImageError(
            f"a {width}x{height} image in '{message.encoding}' needs an even width and height"
        )
    # The last row may lack its padding.
    needed = (rows - 1) * step + row
    if data.size < needed:
        raise ImageError(
            f"truncated image: {width}x{height} in '{message.encoding}' with step {step} needs {needed} bytes, "
            f"but {data.size} arrived"
        )
    pixels = np.ndarray((rows, row), np.uint8, buffer=data, strides=(step, 1))
    tight = np.ascontiguousarray(pixels)
    if layout.depth == 2 and bool(message.is_bigendian) != (sys.byteorder == "big"):
        tight = tight.view(np.uint16).byteswap().view(np.uint8)
    return PlainImage(rows, width, layout.name, row, tight)


def _planar_rows(height: int, step: int, size: int) -> tuple[int, int]:
    """Return the height of a 4:2:0 image and its number of rows in memory."""
    if size < height * step * 3 // 2 and size == height * step and height % 3 == 0:
        return height * 2 // 3, height
    return height, height * 3 // 2


def _to_bgr(image: PlainImage, convert: Converter | None) -> ImageBGR:
    if image.encoding == "bgr8":
        return image.data.reshape(image.height, image.width, 3)
    if image.encoding in _PLANAR:
        planes = image.data.reshape(image.height, image.width)
        return np.ascontiguousarray(cv2.cvtColor(planes, _PLANAR[image.encoding]), dtype=np.uint8)
    convert = convert or rosbags_converter()
    # Both libraries demosaic and reorder 16-bit images identically but round differently to 8 bit.
    if image.encoding.endswith("16"):
        return np.ascontiguousarray(to_8_bit(convert(image, "bgr16")))
    return np.ascontiguousarray(convert(image, "bgr8"), dtype=np.uint8)


def rosbags_converter() -> Converter:
    """Return the converter of rosbags-image.

    Raises:
        ImageError: rosbags-image is not installed.
    """
    try:
        from rosbags.image import image_to_cvimage
    except ImportError as error:
        raise ImageError(
            "no image converter: install cv_bridge (ROS) or rosbags-image (pip)"
        ) from error
    return image_to_cvimage  # type: ignore[return-value]


def _decode(message: Any, max_pixels: int) -> ImageBGR:
    """Decode a compressed image: JPEG, PNG or another format of OpenCV."""
    kind = printable(message.format, _SHOWN)
    if "compressedDepth" in message.format:
        raise ImageError("a compressedDepth image holds depth, not color")
    data = _as_bytes(message.data).tobytes()
    if not data:
        raise ImageError("a compressed image is empty")
    # Camera drivers publish unrotated images; EXIF orientation must not apply.
    flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = to_8_bit(decode(data, flags, max_pixels))
    except ImageError as error:
        raise ImageError(f"a compressed image of {len(data)} bytes ('{kind}') {error}") from error
    if image.ndim == 2:
        return np.ascontiguousarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    # "jpeg compressed rgb8": RGB data was passed to an encoder that takes BGR.
    if "compressed rgb" in message.format:
        image = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), dtype=np.uint8)
    return np.ascontiguousarray(image, dtype=np.uint8)


def _as_bytes(data: Any) -> NDArray[np.uint8]:
    """View the data of a message as bytes, without a copy where possible."""
    if isinstance(data, (array, bytes, bytearray, memoryview)):
        return np.frombuffer(data, np.uint8) if len(data) else np.zeros(0, np.uint8)
    return np.ascontiguousarray(data, dtype=np.uint8).ravel()
