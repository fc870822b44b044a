"""Tell whether a video file is cut off, from the sizes that its container declares: MP4, MOV, Matroska, WebM, AVI.

Decoders read a cut file to where it ends, and report that as the end of the video.
"""

from __future__ import annotations

import os
from typing import BinaryIO

_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"moof")
_EBML = b"\x1aE\xdf\xa3"
_AVI = b"RIFF", b"AVI "


def declared_size(path: str | os.PathLike[str]) -> int | None:
    """Return the number of bytes that a video file should have, or at least; None for another container.

    The size of an MP4 without its index (``moov``) is unknown, too: such a file cannot be opened.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        head = file.read(16)
        file.seek(0)
        size = os.fstat(file.fileno()).st_size
        if head[4:8] in _MP4_BOXES:
            return _mp4(file, size)
        if head[:4] == _EBML:
            return _matroska(file, size)
        if (head[:4], head[8:12]) == _AVI:
            return _avi(file, size)
    return None


def truncation(path: str | os.PathLike[str]) -> str | None:
    """Return one sentence if a video file is shorter than its container declares, else None."""
    try:
        declared, size = declared_size(path), os.stat(path).st_size
    except OSError:
        return None
    if declared is None or size >= declared:
        return None
    share = 100 * size / declared
    return f"{os.fspath(path)} is truncated: it has {size} of at least {declared} bytes ({share:.0f} %)"


def _mp4(file: BinaryIO, size: int) -> int:
    """Walk the boxes at the top level (ISO/IEC 14496-12, 4.2)."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length < 8:  # 0: to the end of the file; else not a box
            return size
        at += length
    return at


def _avi(file: BinaryIO, size: int) -> int:
    """Walk the RIFF chunks; OpenDML files have several."""
    at = 0
    while at + 12 <= size:
        file.seek(at)
        header = file.read(12)
        if header[:4] != b"RIFF":
            return size  # padding behind the last chunk
        length = int.from_bytes(header[4:8], "little")
        at += 8 + length + length % 2
    return at - 1  # writers leave out the last padding byte


def _matroska(file: BinaryIO, size: int) -> int:
    """Walk header, segment and, where the segment's size is unknown, its clusters (RFC 8794, 9559)."""
    at = end = 0
    while at < size:
        element = _element(file, at)
        if element is None:
            return max(end, at)
        begin, length = element
        if length is None:
            at = begin  # unknown size, as streams have: walk its children
            continue
        end = begin + length
        at = end
    return end


def _element(file: BinaryIO, at: int) -> tuple[int, int | None] | None:
    """Read the offset of the content and the size (None = unknown) of an EBML element; None if it is none."""
    file.seek(at)
    head = file.read(12)
    if not head or not head[0]:
        return None
    id_length = 9 - head[0].bit_length()
    rest = head[id_length:]
    if id_length > 4 or not rest or not rest[0]:
        return None
    size_length = 9 - rest[0].bit_length()
    if len(rest) < size_length:
        return None
    value = int.from_bytes(rest[:size_length], "big") & ((1 << 7 * size_length) - 1)
    unknown = value == (1 << 7 * size_length) - 1
    return at + id_length + size_length, None if unknown else value
