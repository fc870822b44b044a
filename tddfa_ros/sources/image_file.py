"""Read image files, whatever their name: EXIF orientation, 16 bits, gray, transparency, truncated files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ImageError
from tddfa_ros.sources.image_data import decode, to_8_bit
from tddfa_ros.types import MAX_IMAGE_PIXELS, ImageBGR

_VIDEO_SUFFIXES = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"}


def read_image(path: str | Path, max_pixels: int = MAX_IMAGE_PIXELS) -> ImageBGR:
    """Read an image as upright (H, W, 3) uint8 BGR.

    The EXIF orientation is applied; gray becomes three equal channels; transparent parts are blended with white. 16-bit samples and floats
    are scaled as in :func:`tddfa_ros.sources.image_data.to_8_bit`.

    Args:
        path: the file; its name may be of any encoding.
        max_pixels: largest accepted width x height.

    Raises:
        ImageError: the file is missing, is not an image, is truncated, or has more pixels.
    """
    path = Path(path)
    data = _content(path)
    bgr = _named(
        path, to_8_bit, _pixels(path, data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH, max_pixels)
    )
    alpha = None if data.startswith(b"\xff\xd8") else _alpha(data, bgr.shape[:2], max_pixels)
    if alpha is None:
        return bgr
    over_white = bgr * alpha[..., None] + 255 * (1 - alpha[..., None])
    return np.rint(over_white).astype(np.uint8)


def read_pixels(
    path: str | Path, flags: int = cv2.IMREAD_UNCHANGED, max_pixels: int = MAX_IMAGE_PIXELS
) -> NDArray[Any]:
    """Read an image file with the channels and the depth that ``flags`` (``cv2.IMREAD_...``) select.

    Raises:
        ImageError: as :func:`read_image`.
    """
    path = Path(path)
    return _pixels(path, _content(path), flags, max_pixels)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}") from error


def _pixels(path: Path, data: bytes, flags: int, max_pixels: int) -> NDArray[Any]:
    try:
        return decode(data, flags, max_pixels)
    except ImageError as error:
        unknown = str(error).startswith("cannot be read")
        hint = "; is it a video?" if unknown and path.suffix.lower() in _VIDEO_SUFFIXES else ""
        raise ImageError(f"{path} {error}{hint}") from error


def _named(path: Path, convert: Any, image: NDArray[Any]) -> ImageBGR:
    try:
        return np.asarray(convert(image), dtype=np.uint8)
    except ImageError as error:
        raise ImageError(f"{path} {error}") from error


def _alpha(data: bytes, shape: tuple[int, ...], max_pixels: int) -> NDArray[np.float32] | None:
    """Return the opacity (H, W) 0..1; None for an opaque image."""
    try:
        image = decode(data, cv2.IMREAD_UNCHANGED, max_pixels)
    except ImageError:
        return None
    if image.ndim != 3 or image.shape[2] != 4 or image.shape[:2] != shape:
        return None
    alpha = image[..., 3]
    full = np.iinfo(alpha.dtype).max if alpha.dtype.kind == "u" else 1
    return None if (alpha == full).all() else (alpha / np.float32(full)).astype(np.float32)
