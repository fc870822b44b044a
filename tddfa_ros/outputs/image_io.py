"""Read and write image files: EXIF orientation, 16 bits, gray, transparency, truncated files; decoding in threads ahead of use."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ImageError, TddfaError
from tddfa_ros.files import atomic_path, write_atomically
from tddfa_ros.types import ImageBGR

_VIDEO_SUFFIXES = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"}
_TWELVE_BITS = 4096
# After a scan's header comes coded data, in which FF is followed by 00, by a restart marker, or by more FF.
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def read_image(path: str | Path) -> ImageBGR:
    """Read an image as upright (H, W, 3) uint8 BGR.

    The EXIF orientation is applied; gray becomes three equal channels; transparent parts are blended with white. Of 16 bits the upper 8
    are kept; a 16-bit image that uses at most 12 bits, as machine vision cameras give, is scaled from 12 bits. Floats range from 0 to 1.

    Raises:
        ImageError: the file is missing, is not an image, or is truncated.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}") from error
    if is_truncated(data):
        raise ImageError(f"{path} is truncated: the file ends in the middle of the image")
    image = _decode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if image is None:
        hint = "; is it a video?" if path.suffix.lower() in _VIDEO_SUFFIXES else ""
        raise ImageError(f"{path} cannot be read as an image{hint}")
    bgr = _to_eight_bits(image, path)
    alpha = None if _is_jpeg(data) else _alpha(data, bgr.shape[:2])
    if alpha is None:
        return bgr
    over_white = bgr * alpha[..., None] + 255 * (1 - alpha[..., None])
    return np.rint(over_white).astype(np.uint8)


def read_ahead(
    paths: Sequence[Path], threads: int = 2
) -> Iterator[tuple[Path, ImageBGR | ImageError]]:
    """Read images in background threads and yield them in order.

    Args:
        paths: image files.
        threads: number of threads; at most twice as many decoded images wait in memory.

    Yields:
        The path, and its image or the error of reading it.
    """
    waiting: deque[tuple[Path, Future[ImageBGR | ImageError]]] = deque()
    todo = iter(paths)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="read")
    try:
        for path in islice(todo, 2 * threads):
            waiting.append((path, pool.submit(_read, path)))
        while waiting:
            path, future = waiting.popleft()
            yield path, future.result()
            for following in islice(todo, 1):
                waiting.append((following, pool.submit(_read, following)))
    finally:
        pool.shutdown(cancel_futures=True)


def write_image(path: Path, image: NDArray[Any]) -> Path:
    """Write a gray or BGR image atomically; the suffix selects the format, and the folder is created.

    Raises:
        TddfaError: the format is unknown or does not support the image, or the file cannot be written.
    """
    try:
        done, encoded = cv2.imencode(path.suffix, image)
    except cv2.error:
        done = False
    if not done:
        raise TddfaError(f"cannot write {path}: '{path.suffix}' is not a format for this image")
    try:
        write_atomically(path, encoded.tobytes())
    except OSError as error:
        raise _failure(path, error) from error
    return path


def write_array(path: Path, array: NDArray[Any]) -> Path:
    """Write an ``.npy`` file atomically.

    Raises:
        TddfaError: the file cannot be written.
    """
    try:
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.save(file, array)
    except OSError as error:
        raise _failure(path, error) from error
    return path


def is_truncated(data: bytes) -> bool:
    """Return whether a JPEG or PNG lacks its end marker: decoders fill the rest with gray without an error."""
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in data
    return _is_jpeg(data) and not _jpeg_ends(data)


def _read(path: Path) -> ImageBGR | ImageError:
    try:
        return read_image(path)
    except ImageError as error:
        return error


def _decode(data: bytes, flags: int) -> NDArray[Any] | None:
    if not data:
        return None
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # more pixels than OpenCV's limit
        return None
    return None if image is None else np.asarray(image)


def _to_eight_bits(image: NDArray[Any], path: Path) -> ImageBGR:
    if image.dtype == np.uint8:
        return image.astype(np.uint8, copy=False)
    if image.dtype == np.uint16:
        largest = _TWELVE_BITS - 1 if image.max() < _TWELVE_BITS else 65535
        return np.rint(image * (255.0 / largest)).astype(np.uint8)
    if image.dtype.kind == "f" and np.isfinite(image).all():
        return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    raise ImageError(f"{path} has pixels of type {image.dtype}, which are not supported")


def _alpha(data: bytes, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    """Return the opacity (H, W) 0..1; None for an opaque image."""
    image = _decode(data, cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim != 3 or image.shape[2] != 4 or image.shape[:2] != shape:
        return None
    alpha = image[..., 3]
    full = np.iinfo(alpha.dtype).max if alpha.dtype.kind == "u" else 1
    return None if (alpha == full).all() else (alpha / np.float32(full)).astype(np.float32)


def _is_jpeg(data: bytes) -> bool:
    return data.startswith(b"\xff\xd8")


def _jpeg_ends(data: bytes) -> bool:
    """Walk the segments of a JPEG (ITU-T T.81, annex B) to its end-of-image marker."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == 0xD9:
            return True
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA:
            found = _MARKER_IN_SCAN.search(data, at)
            if found is None:
                return False
            at = found.start()
    return data[at : at + 2] == b"\xff\xd9"


def _failure(path: Path, error: OSError) -> TddfaError:
    return TddfaError(f"cannot write {path}: {error.strerror or error}")
