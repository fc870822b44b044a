"""Where the coded pictures lie in an MP4 file, and when each is shown.

ISO/IEC 14496-12 (ISO base media file format). A file is a tree of boxes: 32-bit size, four letters, content. The sample tables in
``moov/trak/mdia/minf/stbl`` say for each coded picture where it lies, how large it is, and when it is decoded and shown.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import TddfaError

_CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")

Int64 = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class VideoTrack:
    """The coded pictures of an MP4 file, in the order of decoding.

    Attributes:
        path: the file.
        description: content of its ``stsd`` box: codec, size of the pictures, decoder set-up.
        size: width and height, px.
        offsets, sizes: (n,) of each coded picture in the file, bytes.
        times: (n,) when each is shown, s.
        key: (n,) whether it can be decoded by itself.
        duration: s.
    """

    path: Path
    description: bytes
    size: tuple[int, int]
    offsets: Int64
    sizes: Int64
    times: NDArray[np.float64]
    key: NDArray[np.bool_]
    duration: float


def read_track(path: str | Path) -> VideoTrack:
    """Read where the pictures of the first video track lie.

    Raises:
        TddfaError: the file is no MP4, is damaged, or has no video track.
    """
    path = Path(path)
    try:
        movie = _find_movie(path)
        tracks = [boxes for boxes in _tracks(movie) if boxes[b"hdlr"][8:12] == b"vide"]
        return _read_track(path, tracks[0])
    except OSError as error:
        raise TddfaError(f"{path} cannot be read: {error.strerror or error}") from error
    except (IndexError, KeyError, ValueError, struct.error) as error:
        raise TddfaError(f"{path} is not an MP4 file with a video track") from error


def boxes_in(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of the boxes that lie one after the other in ``data``."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", data, at + 8)[0], 16
        size = size or len(data) - at
        if size < head or at + size > len(data):
            raise ValueError("a box that ends beyond its parent")
        yield kind, data[at + head : at + size]
        at += size


def _find_movie(path: Path) -> bytes:
    """Content of the ``moov`` box, wherever it lies in the file; the pictures are not read."""
    with path.open("rb") as file:
        end = path.stat().st_size
        at = 0
        while at + 8 <= end:
            file.seek(at)
            header = file.read(16)
            size, kind = struct.unpack_from(">I4s", header)
            head = 8
            if size == 1:
                size, head = struct.unpack_from(">Q", header, 8)[0], 16
            size = size or end - at
            if size < head:
                break
            if kind == b"moov":
                file.seek(at + head)
                return file.read(size - head)
            at += size
    raise ValueError("no moov box")


def _tracks(movie: bytes) -> Iterator[dict[bytes, bytes]]:
    for kind, content in boxes_in(movie):
        if kind == b"trak":
            yield dict(_leaves(content))


def _leaves(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    for kind, inner in boxes_in(content):
        if kind in _CONTAINERS:
            yield from _leaves(inner)
        else:
            yield kind, inner


def _read_track(path: Path, boxes: dict[bytes, bytes]) -> VideoTrack:
    version = boxes[b"mdhd"][0]
    timescale, duration = struct.unpack_from(*((">IQ", boxes[b"mdhd"], 20) if version else (">II", boxes[b"mdhd"], 12)))  # fmt: skip
    sizes = _sample_sizes(boxes[b"stsz"])
    durations = _runs(boxes[b"stts"], "i4")
    decoded = np.concatenate([[0], np.cumsum(durations)])[: len(sizes)]
    shift = _runs(boxes[b"ctts"], "i4") if b"ctts" in boxes else np.zeros(len(sizes), np.int64)
    key = np.ones(len(sizes), dtype=np.bool_)
    if b"stss" in boxes:
        key[:] = False
        key[_table(boxes[b"stss"], 1)[:, 0] - 1] = True
    width, height = (int(v) >> 16 for v in struct.unpack(">II", boxes[b"tkhd"][-8:]))
    return VideoTrack(
        path=path,
        description=boxes[b"stsd"],
        size=(width, height),
        offsets=_sample_offsets(boxes, sizes),
        sizes=sizes,
        times=(decoded + shift) / timescale,
        key=key,
        duration=duration / timescale,
    )


def _table(content: bytes, columns: int, dtype: str = "u4") -> Int64:
    """Rows of a full box whose content is version and flags, a count, and so many rows of big-endian integers."""
    (count,) = struct.unpack_from(">I", content, 4)
    rows = np.frombuffer(content, f">{dtype}", count * columns, offset=8)
    return rows.reshape(-1, columns).astype(np.int64)


def _runs(content: bytes, dtype: str) -> Int64:
    """A run-length table (``stts``, ``ctts``) as one value per sample."""
    rows = _table(content, 2, dtype)
    return np.repeat(rows[:, 1], rows[:, 0])


def _sample_sizes(content: bytes) -> Int64:
    common, count = struct.unpack_from(">II", content, 4)
    if common:
        return np.full(count, common, dtype=np.int64)
    return np.frombuffer(content, ">u4", count, offset=12).astype(np.int64)


def _sample_offsets(boxes: dict[bytes, bytes], sizes: Int64) -> Int64:
    """Place of each sample: samples lie one after the other in chunks, whose places are listed."""
    chunks = _table(boxes[b"stco"], 1) if b"stco" in boxes else _table(boxes[b"co64"], 1, "u8")
    runs = _table(boxes[b"stsc"], 3)
    last = np.append(runs[1:, 0], len(chunks) + 1)
    per_chunk = np.repeat(runs[:, 1], last - runs[:, 0])
    first = np.cumsum(per_chunk) - per_chunk
    before = np.cumsum(sizes) - sizes
    return np.repeat(chunks[:, 0] - before[first], per_chunk) + before
