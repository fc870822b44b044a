"""The pictures of several MP4 files as one file, without coding them anew, each picture with a time of its own."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tddfa_ros.errors import TddfaError
from tddfa_ros.video.mp4 import Int64, VideoTrack, boxes_in

TIMESCALE = 90_000
"""Ticks per second of the files written; what MPEG has always used, a multiple of every common frame rate."""

_MATRIX = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


def join_tracks(tracks: Sequence[VideoTrack], times: Sequence[float], output: Path) -> None:
    """Write the pictures of several files, one after the other, as one MP4 file.

    Args:
        tracks: of the same codec, size and set-up, each beginning with a key picture, as one encoder makes them.
        times: when each picture is shown, in the order of showing, s, rising, one more than there are pictures: the last is the end.
        output: replaced when all is written.

    Raises:
        TddfaError: the tracks do not fit together, or the file cannot be written.
    """
    setups = {_decoder_setup(track.description) for track in tracks}
    if len(setups) != 1:
        raise TddfaError("the parts of the video were coded differently and cannot be joined")
    ticks = np.rint(np.asarray(times, dtype=np.float64) * TIMESCALE).astype(np.int64)
    count = sum(len(track.sizes) for track in tracks)
    if len(ticks) != count + 1 or (np.diff(ticks) <= 0).any():
        raise TddfaError(f"{count} pictures need {count + 1} rising times")
    partial = output.with_name(output.name + ".part")
    try:
        with partial.open("wb") as file:
            file.write(_box(b"ftyp", b"isom\0\0\2\0isomiso4mp41"))
            file.write(
                struct.pack(">I4sQ", 1, b"mdat", 16 + sum(int(t.sizes.sum()) for t in tracks))
            )
            start = file.tell()
            for track in tracks:
                _copy_samples(track, file)
            file.write(_movie(tracks, ticks, start))
        partial.replace(output)
    except OSError as error:
        raise TddfaError(f"cannot write {output}: {error.strerror or error}") from error


def _decoder_setup(description: bytes) -> bytes:
    """The part of an ``stsd`` box that decides how pictures are decoded: not the bit rates, which are statistics of each file."""
    entry = description[8:]  # size, codec, 78 bytes of fixed fields, then boxes
    setup = [entry[4:86]]
    for kind, content in boxes_in(entry[86:]):
        if kind == b"esds":
            # ISO/IEC 14496-1, 7.2.6.6: 13 bytes of DecoderConfigDescriptor (tag 4), of which the last 11 are buffer size and bit rates.
            at = _descriptor(content, 4, 3) + 3
            at = _descriptor(content, at, 4)
            setup += [content[at : at + 2], content[at + 13 :]]
        elif kind != b"btrt":
            setup.append(content)
    return b"".join(setup)


def _descriptor(content: bytes, at: int, tag: int) -> int:
    """Where the content of the MPEG-4 descriptor begins that lies at ``at``: tag, then a length of seven bits per byte."""
    if content[at] != tag:
        raise TddfaError("a part of the video has a description of its codec that cannot be read")
    at += 1
    while content[at] & 0x80:
        at += 1
    return at + 1


def _copy_samples(track: VideoTrack, output: BinaryIO) -> None:
    with track.path.open("rb") as file:
        for offset, size in zip(track.offsets.tolist(), track.sizes.tolist(), strict=True):
            file.seek(offset)
            data = file.read(size)
            if len(data) != size:
                raise TddfaError(f"{track.path} is shorter than its tables say")
            output.write(data)


def _movie(tracks: Sequence[VideoTrack], ticks: Int64, start: int) -> bytes:
    """The ``moov`` box of one video track whose samples lie one after the other from ``start`` on."""
    width, height = tracks[0].size
    duration = int(ticks[-1] - ticks[0])
    header = struct.pack(">IQQIQ", 0x01000000, 0, 0, TIMESCALE, duration)
    movie = header + struct.pack(">iHHII", 0x10000, 0x100, 0, 0, 0) + _MATRIX + bytes(24)
    track = struct.pack(">IQQIIQ8xhhHH", 0x01000003, 0, 0, 1, 0, duration, 0, 0, 0, 0)
    media = header + struct.pack(">HH", 0x55C4, 0)  # language: undetermined
    reference = struct.pack(">II", 0, 1) + _box(b"url ", struct.pack(">I", 1))
    return _box(
        b"moov",
        _box(b"mvhd", movie + struct.pack(">I", 2)),
        _box(
            b"trak",
            _box(b"tkhd", track + _MATRIX + struct.pack(">II", width << 16, height << 16)),
            _box(
                b"mdia",
                _box(b"mdhd", media),
                _box(b"hdlr", bytes(8), b"vide", bytes(12), b"video\0"),
                _box(
                    b"minf",
                    _box(b"vmhd", struct.pack(">IHHHH", 1, 0, 0, 0, 0)),
                    _box(b"dinf", _box(b"dref", reference)),
                    _sample_table(tracks, ticks, start),
                ),
            ),
        ),
    )


def _sample_table(tracks: Sequence[VideoTrack], ticks: Int64, start: int) -> bytes:
    sizes = np.concatenate([track.sizes for track in tracks])
    key = np.concatenate([track.key for track in tracks])
    # Decoding happens at the shown times in rising order; the shift leads from there to when the picture itself is shown.
    shown, done = [], 0
    for track in tracks:
        shown.append(done + np.argsort(np.argsort(track.times, kind="stable")))
        done += len(track.times)
    shift = ticks[np.concatenate(shown)] - ticks[:-1]
    boxes = [
        _box(b"stsd", tracks[0].description),
        _box(b"stts", _run_table(np.diff(ticks), 0)),
        _box(b"stss", struct.pack(">II", 0, int(key.sum())), _packed(np.flatnonzero(key) + 1)),
        _box(b"stsc", struct.pack(">IIIII", 0, 1, 1, len(sizes), 1)),
        _box(b"stsz", struct.pack(">III", 0, 0, len(sizes)), _packed(sizes)),
        _box(b"co64", struct.pack(">IIQ", 0, 1, start)),
    ]
    if shift.any():
        boxes.insert(2, _box(b"ctts", _run_table(shift, 1)))  # version 1: shifts have a sign
    return _box(b"stbl", *boxes)


def _run_table(values: Int64, version: int) -> bytes:
    begins = np.flatnonzero(np.diff(values, prepend=values[0] + 1))
    lengths = np.diff(np.append(begins, len(values)))
    rows = np.stack([lengths, values[begins]], axis=1)
    return struct.pack(">B3xI", version, len(rows)) + _packed(rows)


def _packed(values: Int64) -> bytes:
    return values.astype(">i4").tobytes()


def _box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body
