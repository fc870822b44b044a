"""Video files out of pictures, through OpenCV."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tddfa_ros.errors import TddfaError
from tddfa_ros.types import ImageBGR

CODECS = ("avc1", "mp4v")
"""Tried in this order: H.264 plays everywhere, but OpenCV's own wheels cannot write it; they write MPEG-4 part 2."""

_RATES = (1.0, 240.0)


class VideoEncoder:
    """Writes one MP4 file.

    Args:
        path: of the ``.mp4``.
        size: width and height, px; both even, see :func:`even_size`.
        rate: pictures per second.
        codec: one of :data:`CODECS`; None = the first that works.

    Attributes:
        codec: that is used.
        count: of pictures written.

    Raises:
        TddfaError: this OpenCV has no such encoder, or the file cannot be written.
    """

    def __init__(
        self, path: Path, size: tuple[int, int], rate: float, codec: str | None = None
    ) -> None:
        self.path = path
        self.count = 0
        self._size = size
        self.codec, self._writer = _open(path, size, rate, CODECS if codec is None else (codec,))

    def write(self, image: ImageBGR) -> None:
        """Append a picture of the size that was promised."""
        if (
            image.shape[1],
            image.shape[0],
        ) != self._size:  # OpenCV would leave it out without a word
            raise TddfaError(
                f"a picture of {image.shape[1]}x{image.shape[0]} px does not fit a video of {self._size}"
            )
        self._writer.write(image)
        self.count += 1

    def close(self) -> None:
        """Finish the file."""
        self._writer.release()


def even_size(image: ImageBGR) -> ImageBGR:
    """Cut an odd last row or column off: codecs that halve the color's resolution want even sides."""
    return np.ascontiguousarray(image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2])


def _open(
    path: Path, size: tuple[int, int], rate: float, codecs: tuple[str, ...]
) -> tuple[str, cv2.VideoWriter]:
    rate = min(max(rate, _RATES[0]), _RATES[1])
    with _quiet():
        for codec in codecs:
            writer = cv2.VideoWriter(
                str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), rate, size
            )
            if writer.isOpened():
                return codec, writer
    if not path.parent.is_dir():
        raise TddfaError(f"cannot write {path}: there is no such folder")
    raise TddfaError(f"cannot write {path}: this OpenCV has no encoder for {' or '.join(codecs)}")


@contextmanager
def _quiet() -> Iterator[None]:
    """A codec that is missing is no news: the next one is tried."""
    log: Any = cv2.utils.logging
    level = log.getLogLevel()
    log.setLogLevel(log.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        log.setLogLevel(level)
