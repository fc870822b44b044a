"""Keep the messages of libjpeg, libpng and OpenCV's decoders, which write to stderr themselves, out of the log."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import threading
from collections.abc import Iterator

_OF_A_CODEC = re.compile(
    rb"libpng (error|warning): |Corrupt JPEG|Premature end of JPEG|Invalid (SOS|JPEG|progressive|component|crop)|"
    rb"Unsupported (JPEG|marker)|Unknown (APP|Adobe)|Inconsistent progression|Bogus |Not a JPEG|Missing (Huffman|JPEG)|"
    rb"Warning: (unknown|thumbnail)|Empty (JPEG|input)|Application transferred|Huffman table|Quantization table|"
    rb"JPEG (parameter|datastream)|DCT |Image too wide|Buffer passed to JPEG|\[ ?(WARN|ERROR): ?\d|TIFF|Incompatible type"
)


class _Capture:
    """Redirects file descriptor 2 to a temporary file while at least one decoder runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self._stderr = -1
        self._file = -1

    def begin(self) -> None:
        with self._lock:
            self._running += 1
            if self._running > 1:
                return
            if self._file < 0:
                with tempfile.TemporaryFile() as file:
                    self._file = os.dup(file.fileno())
            try:
                self._stderr = os.dup(2)
            except OSError:  # a daemon may have closed it
                self._stderr = -1
                return
            os.dup2(self._file, 2)

    def end(self) -> None:
        with self._lock:
            self._running -= 1
            if self._stderr < 0:
                return
            if not self._running:
                os.dup2(self._stderr, 2)
            self._forward()
            if not self._running:
                os.close(self._stderr)
                self._stderr = -1

    def _forward(self) -> None:
        """Write to stderr what other threads wrote meanwhile."""
        size = os.lseek(self._file, 0, os.SEEK_END)
        if not size:
            return
        os.lseek(self._file, 0, os.SEEK_SET)
        text = os.read(self._file, size)
        os.lseek(self._file, 0, os.SEEK_SET)
        os.ftruncate(self._file, 0)
        kept = [line for line in text.splitlines(keepends=True) if not _OF_A_CODEC.match(line)]
        if kept:
            with contextlib.suppress(OSError):
                os.write(self._stderr, b"".join(kept))


_capture = _Capture()


@contextlib.contextmanager
def silent_codecs() -> Iterator[None]:
    """Drop what image decoders write to stderr; lines that others write meanwhile appear when the block ends."""
    _capture.begin()
    try:
        yield
    finally:
        _capture.end()
