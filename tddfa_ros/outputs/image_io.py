"""Write image files, and read many of them in threads ahead of use."""

from __future__ import annotations

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
from tddfa_ros.sources.image_file import read_image
from tddfa_ros.types import MAX_IMAGE_PIXELS, ImageBGR


def read_ahead(
    paths: Sequence[Path], threads: int = 2, max_pixels: int = MAX_IMAGE_PIXELS
) -> Iterator[tuple[Path, ImageBGR | ImageError]]:
    """Read images in background threads and yield them in order.

    Args:
        paths: image files.
        threads: number of threads; at most twice as many decoded images wait in memory.
        max_pixels: see :func:`tddfa_ros.sources.image_file.read_image`.

    Yields:
        The path, and its image or the error of reading it.
    """
    waiting: deque[tuple[Path, Future[ImageBGR | ImageError]]] = deque()
    todo = iter(paths)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="read")
    try:
        for path in islice(todo, 2 * threads):
            waiting.append((path, pool.submit(_read, path, max_pixels)))
        while waiting:
            path, future = waiting.popleft()
            yield path, future.result()
            for following in islice(todo, 1):
                waiting.append((following, pool.submit(_read, following, max_pixels)))
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
    write_atomically(path, encoded.tobytes())
    return path


def write_array(path: Path, array: NDArray[Any]) -> Path:
    """Write an ``.npy`` file atomically.

    Raises:
        TddfaError: the file cannot be written.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, array)
    return path


def _read(path: Path, max_pixels: int) -> ImageBGR | ImageError:
    try:
        return read_image(path, max_pixels)
    except ImageError as error:
        return error
