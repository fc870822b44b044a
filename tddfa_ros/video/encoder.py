"""Encode frames as MP4: H.264 through PyAV, or OpenCV's writer where PyAV is not installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from tddfa_ros.errors import SourceError, TddfaError
from tddfa_ros.files import write_error
from tddfa_ros.names import utf8_path
from tddfa_ros.sources import VideoSource
from tddfa_ros.types import ImageBGR

CODECS = ("libx264", "mpeg4")
"""Encoders of FFmpeg in order of preference: some builds come without libx264."""

FALLBACK_CODECS = ("avc1", "mp4v")
"""The same for OpenCV, whose wheels cannot write H.264."""

_OPTIONS = {"libx264": {"preset": "veryfast", "crf": "20"}, "mpeg4": {"qscale": "2"}}
_OLDEST_PYAV = 15
_RATES = (1.0, 240.0)


class _Writer(Protocol):
    codec: str

    def write(self, image: ImageBGR) -> None: ...

    def close(self) -> None: ...


class VideoEncoder:
    """Write one MP4 file with a constant frame rate.

    Args:
        path: of the ``.mp4``.
        size: width and height, px; both even, see :func:`even_size`.
        rate: frames per second, clipped to 1..240.
        codec: one of :data:`CODECS`, or of :data:`FALLBACK_CODECS` without PyAV; None = the first that works.
        target: name of the file in errors, where ``path`` is a temporary one; None = ``path``.

    Attributes:
        codec: the one in use.
        count: number of frames written.

    Raises:
        TddfaError: there is no such encoder, or the file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        rate: float,
        codec: str | None = None,
        target: Path | None = None,
    ) -> None:
        self.path = path
        self.count = 0
        self._size = size
        if not path.parent.is_dir():
            raise TddfaError(f"cannot write {target or path}: there is no such folder")
        rate = min(max(rate, _RATES[0]), _RATES[1])
        backend = _PyAVWriter if has_pyav() else _OpenCVWriter
        self._writer: _Writer = backend(path, size, rate, codec, target or path)
        self.codec = self._writer.codec

    def write(self, image: ImageBGR) -> None:
        """Append a frame of the size given to the constructor."""
        height, width = image.shape[:2]
        if (width, height) != self._size:  # OpenCV would drop it silently
            raise TddfaError(
                f"a frame of {width}x{height} px does not fit a video of {self._size[0]}x{self._size[1]} px"
            )
        self._writer.write(image)
        self.count += 1

    def close(self) -> None:
        """Finish the file.

        Raises:
            TddfaError: it cannot be written.
        """
        self._writer.close()


def has_pyav() -> bool:
    """Return whether PyAV 15 or later is installed; ``python3-av`` of Debian 12 and Ubuntu 24.04 is older."""
    try:
        import av
    except ImportError:
        return False
    return int(av.__version__.split(".")[0]) >= _OLDEST_PYAV


def even_size(image: ImageBGR) -> ImageBGR:
    """Cut off an odd last row or column: codecs with subsampled color need even sides."""
    return np.ascontiguousarray(image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2])


class _PyAVWriter:
    def __init__(
        self, path: Path, size: tuple[int, int], rate: float, codec: str | None, target: Path
    ) -> None:
        import av

        self.codec = codec or next((name for name in CODECS if name in av.codecs_available), "")
        self._path, self._target, self._failed = path, target, False
        try:
            self._container: Any = av.open(str(path), "w", format="mp4")
            self._stream: Any = self._container.add_stream(
                self.codec,
                rate=Fraction(rate).limit_denominator(1001),
                options=_OPTIONS.get(self.codec, {}),
            )
        except (OSError, ValueError) as error:
            raise self._failure(error) from error
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        # Without B-frames, packets come in display order; see video/join.py.
        self._stream.codec_context.max_b_frames = 0

    def write(self, image: ImageBGR) -> None:
        import av

        self._mux(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24"))

    def close(self) -> None:
        try:
            # After an error, FFmpeg crashes when it is given more.
            if not self._failed and self._container.streams and self._stream.codec_context.is_open:
                self._mux(None)
        finally:
            try:
                self._container.close()
            except (OSError, ValueError) as error:
                raise self._failure(error) from error

    def _mux(self, frame: Any) -> None:
        try:
            self._container.mux(self._stream.encode(frame))
        except (OSError, ValueError) as error:
            self._failed = True
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> TddfaError:
        if isinstance(error, OSError):
            return write_error(self._target, error, self._path)
        return TddfaError(f"cannot write {self._target}: {error}")


class _OpenCVWriter:
    """Kept so that demos and edits still write a video where PyAV has no wheel."""

    def __init__(
        self, path: Path, size: tuple[int, int], rate: float, codec: str | None, target: Path
    ) -> None:
        codecs = FALLBACK_CODECS if codec is None else (codec,)
        self._path, self._target, self._count = path, target, 0
        with _quiet():
            for self.codec in codecs:
                code = cv2.VideoWriter.fourcc(*self.codec)
                with utf8_path(path) as name:
                    self._writer = cv2.VideoWriter(name, cv2.CAP_FFMPEG, code, rate, size)
                if self._writer.isOpened():
                    return
        raise TddfaError(
            f"cannot write {target}: this OpenCV has no encoder for {' or '.join(codecs)}; pip install av"
        )

    def write(self, image: ImageBGR) -> None:
        self._writer.write(image)
        self._count += 1

    def close(self) -> None:
        """Finish the file and check it: OpenCV reports no error when the disk is full."""
        self._writer.release()
        count = _count_frames(self._path) if self._count else 0
        if count < self._count:
            raise TddfaError(
                f"cannot write {self._target}: only {count} of {self._count} frames were written; is the disk full?"
            )


def _count_frames(path: Path) -> int:
    """Return the number of frames in a video; 0 if it cannot be read."""
    try:
        with _quiet():
            written = VideoSource(path, loop=False, max_pixels=sys.maxsize)
    except SourceError:
        return 0
    written.close()
    return written.count


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence OpenCV's log: a missing codec is expected, the next one is tried."""
    log: Any = cv2.utils.logging
    level = log.getLogLevel()
    log.setLogLevel(log.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        log.setLogLevel(level)
