"""Decode images in memory: size limit, truncated data, 16 bits and floats; one way for files, messages and bags."""

from __future__ import annotations

import re
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ImageError
from tddfa_ros.sources.codec_log import silent_codecs
from tddfa_ros.sources.image_header import image_size, jpeg_segments, segments_from
from tddfa_ros.types import MAX_IMAGE_PIXELS

_DEPTHS = (8, 10, 12, 14, 16)
"""Bits per sample of cameras whose images come in 16-bit samples."""

# After a scan's header comes coded data, in which FF is followed by 00, by a restart marker, or by more FF.
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_END_OF_IMAGE = b"\xff\xd9"
_BASELINE = (0xC0, 0xC1)
_FILLER = bytes((37 * i + 11) % 251 for i in range(256))


def decode(data: bytes, flags: int, max_pixels: int = MAX_IMAGE_PIXELS) -> NDArray[Any]:
    """Decode an image file in memory with OpenCV, after checks that need no decoding.

    A JPEG without its end-of-image marker is accepted when the scan is complete: some cameras omit the marker.

    Args:
        data: content of the file.
        flags: ``cv2.IMREAD_...``.
        max_pixels: largest accepted width x height; small files may declare sizes that fill the memory.

    Raises:
        ImageError: the image is too large, truncated or damaged. The sentence is a predicate without a subject, such as ``is
            truncated: ...``, for the caller to put the name before it.
    """
    size = image_size(data)
    if size is not None and size[0] * size[1] > max_pixels:
        raise ImageError(
            f"has {size[0]}x{size[1]} px, more than the limit of {max_pixels} px (max_image_pixels)"
        )
    if data.startswith(b"\xff\xd8") and not _jpeg_ends(data):
        image = _without_end_marker(data, flags)
    elif _png_is_cut(data) or _riff_is_cut(data):
        image = None
    else:
        image = _decoded(data, flags)
        if image is None:
            raise ImageError("cannot be read as an image")
    if image is None:
        raise ImageError("is truncated: the data end in the middle of the image")
    return image


def to_8_bit(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Convert pixels to 8 bits.

    16-bit samples are scaled by the depth that they use, the smallest of 8, 10, 12, 14 and 16 bits that holds the largest sample: infrared
    and machine vision cameras fill only the low bits. Floats are scaled from 0..1, 0..255 or 0..65535, the smallest range that holds
    99 % of the samples; those outside are clipped.

    Raises:
        ImageError: another type, NaN or infinity; a predicate as in :func:`decode`.
    """
    if image.dtype == np.uint8:
        return image.astype(np.uint8, copy=False)
    if image.dtype == np.uint16:
        used = int(image.max()).bit_length() if image.size else 0
        depth = next(bits for bits in _DEPTHS if used <= bits)
        scaled = cv2.convertScaleAbs(image, alpha=255.0 / (2**depth - 1))
        return np.ascontiguousarray(scaled, dtype=np.uint8).reshape(image.shape)
    if image.dtype.kind != "f":
        raise ImageError(f"has pixels of type {image.dtype}, which are not supported")
    if not np.isfinite(image).all():
        raise ImageError("has pixels that are NaN or infinite")
    bright = float(np.percentile(image, 99))
    white = next((white for white in (1.0, 255.0, 65535.0) if bright <= white), bright)
    return np.rint(np.clip(image, 0, white) * (255 / white)).astype(np.uint8)


def _decoded(data: bytes, flags: int) -> NDArray[Any] | None:
    if not data:
        return None
    try:
        with silent_codecs():
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
    return None if image is None else np.asarray(image)


def _without_end_marker(data: bytes, flags: int) -> NDArray[Any] | None:
    """Decode a JPEG that lacks its end marker; None if more is missing.

    Bytes appended to a complete scan are ignored, those appended to an incomplete one are decoded as pixels.
    """
    if not _has_all_components(data):
        return None
    image = _decoded(data + _END_OF_IMAGE, flags)
    if image is None:
        return None
    stuffed = (
        b"\0" if data.endswith(b"\xff") else b""
    )  # FF 00 is the data byte FF, any other pair a marker
    other = _decoded(data + stuffed + _FILLER + _END_OF_IMAGE, flags)
    return image if other is not None and np.array_equal(image, other) else None


def _jpeg_ends(data: bytes) -> bool:
    """Return whether a JPEG has its end-of-image marker, walking its segments: the two bytes also occur in thumbnails and trailers."""
    if data.endswith(_END_OF_IMAGE):
        return True
    segments = jpeg_segments(data)
    while True:
        scan = None
        for marker, _, end in segments:
            if marker == 0xD9:
                return True
            if marker == 0xDA:
                scan = end
        found = None if scan is None else _MARKER_IN_SCAN.search(data, scan)
        if found is None:
            return False
        segments = segments_from(data, found.start())


def _has_all_components(data: bytes) -> bool:
    """Return whether there is a scan for each component of a baseline JPEG."""
    frame: set[int] = set()
    scanned: set[int] = set()
    segments = jpeg_segments(data)
    while True:
        scan = None
        for marker, begin, end in segments:
            if marker in _BASELINE and end <= len(data):
                frame = set(data[begin + 8 : end : 3])
            if marker == 0xDA and end <= len(data):
                scan = end
                scanned |= set(data[begin + 3 : end - 3 : 2])
        found = None if scan is None else _MARKER_IN_SCAN.search(data, scan)
        if found is None:
            return frame <= scanned
        segments = segments_from(data, found.start())


def _png_is_cut(data: bytes) -> bool:
    """Return whether a PNG lacks its last chunk, IEND."""
    if not data.startswith(b"\x89PNG"):
        return False
    at = 8
    while at + 12 <= len(data):
        if data[at + 4 : at + 8] == b"IEND":
            return False
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return True


def _riff_is_cut(data: bytes) -> bool:
    """Return whether a WebP is shorter than its header says."""
    return data[:4] == b"RIFF" and len(data) < 8 + int.from_bytes(data[4:8], "little")
