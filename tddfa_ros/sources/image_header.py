"""Read the size of an image from the header of its file, without decoding it."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE = frozenset(range(0xD0, 0xD9)) | {0x01}  # markers without a segment
_PNM = re.compile(rb"P[1-6Ff]\s(?:\s|#[^\n]*\n)*(\d{1,10})(?:\s|#[^\n]*\n)+(\d{1,10})\s")
_PAM = re.compile(rb"P7\n.*?WIDTH (\d{1,10})\n.*?HEIGHT (\d{1,10})\n", re.S)
_RADIANCE = re.compile(rb"\n[-+]Y (\d{1,10}) [-+]X (\d{1,10})\n")
_HEAD = 65536  # bytes in which textual headers are looked for


def image_size(data: bytes) -> tuple[int, int] | None:
    """Return the width and height, px, that a file declares: JPEG, PNG, WebP, TIFF, BMP, GIF, PNM, JPEG 2000, AVIF, EXR, HDR, Sun raster.

    Returns:
        None for another format, or a header that is incomplete.
    """
    try:
        return _size(data)
    except (struct.error, IndexError):
        return None


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, begin and end (offsets) of the segments of a JPEG (ITU-T T.81, annex B) up to and with the next start of scan.

    Bytes between segments are skipped, as libjpeg does. The end-of-image marker is yielded with an empty segment.
    """
    yield from segments_from(data, 2)


def segments_from(data: bytes, at: int) -> Iterator[tuple[int, int, int]]:
    """Yield the segments as :func:`jpeg_segments`, from an offset."""
    while (at := data.find(b"\xff", at)) >= 0 and at + 1 < len(data):
        marker = data[at + 1]
        if marker in (0x00, 0xFF):
            at += 1
            continue
        at += 2
        if marker == 0xD9:
            yield marker, at, at
            return
        if marker in _STANDALONE:
            continue
        if at + 2 > len(data):
            return
        end = at + max(int.from_bytes(data[at : at + 2], "big"), 2)
        yield marker, at, end
        if marker == 0xDA:
            return
        at = end


def _size(data: bytes) -> tuple[int, int] | None:
    if data.startswith(b"\xff\xd8"):
        for marker, begin, _ in jpeg_segments(data):
            if marker in _START_OF_FRAME:
                height, width = struct.unpack_from(">HH", data, begin + 3)
                return width, height
        return None
    if data.startswith(b"\x89PNG"):
        return _pair(">II", data, 16)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data)
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _tiff(data)
    if data.startswith(b"BM"):
        if int.from_bytes(data[14:18], "little") == 12:
            return _pair("<HH", data, 18)
        width, height = _pair("<ii", data, 18)
        return abs(width), abs(height)
    if data.startswith((b"GIF87a", b"GIF89a")):
        return _pair("<HH", data, 6)
    if data.startswith(b"\x59\xa6\x6a\x95"):
        return _pair(">II", data, 4)
    return _jpeg_2000(data) or _avif(data) or _exr(data) or _text(data)


def _pair(layout: str, data: bytes, at: int) -> tuple[int, int]:
    first, second = struct.unpack_from(layout, data, at)
    return first, second


def _webp(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if len(data) < 30:
        return None
    if kind == b"VP8X":
        return (
            1 + int.from_bytes(data[24:27], "little"),
            1 + int.from_bytes(data[27:30], "little"),
        )
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = _pair("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _tiff(data: bytes) -> tuple[int, int] | None:
    """Read ImageWidth (256) and ImageLength (257) of the first directory of a TIFF or BigTIFF."""
    order = "<" if data[:1] == b"I" else ">"
    if data[2:4] in (b"+\0", b"\0+"):
        offset = struct.unpack_from(f"{order}Q", data, 8)[0]
        count = struct.unpack_from(f"{order}Q", data, offset)[0]
        begin, step, value = offset + 8, 20, 12
    else:
        offset = struct.unpack_from(f"{order}I", data, 4)[0]
        count = struct.unpack_from(f"{order}H", data, offset)[0]
        begin, step, value = offset + 2, 12, 8
    found: dict[int, int] = {}
    for index in range(min(count, 4096)):
        at = begin + index * step
        tag, kind = struct.unpack_from(f"{order}HH", data, at)
        if tag in (256, 257):
            layout = {3: "H", 4: "I", 16: "Q"}.get(kind, "I")
            found[tag] = struct.unpack_from(f"{order}{layout}", data, at + value)[0]
    return (found[256], found[257]) if len(found) == 2 else None


def _jpeg_2000(data: bytes) -> tuple[int, int] | None:
    if data.startswith(b"\xff\x4f\xff\x51"):
        right, bottom, left, top = struct.unpack_from(">IIII", data, 8)
        return max(right - left, 0), max(bottom - top, 0)
    at = data.find(b"ihdr", 0, _HEAD) if data[4:8] == b"jP  " else -1
    if at < 0:
        return None
    height, width = _pair(">II", data, at + 4)
    return width, height


def _avif(data: bytes) -> tuple[int, int] | None:
    """Return the largest of the images in an AVIF or HEIF file."""
    if data[4:8] != b"ftyp":
        return None
    places = [match.end() + 4 for match in re.finditer(b"ispe", data[:_HEAD])]
    sizes = [_pair(">II", data, at) for at in places]
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def _exr(data: bytes) -> tuple[int, int] | None:
    key = b"dataWindow\0box2i\0"
    at = data.find(key, 0, _HEAD) if data.startswith(b"\x76\x2f\x31\x01") else -1
    if at < 0:
        return None
    left, top, right, bottom = struct.unpack_from("<iiii", data, at + len(key) + 4)
    return max(right - left + 1, 0), max(bottom - top + 1, 0)


def _text(data: bytes) -> tuple[int, int] | None:
    head = data[:_HEAD]
    match = _PNM.match(head) or _PAM.match(head)
    if match:
        return int(match[1]), int(match[2])
    match = _RADIANCE.search(head) if head.startswith(b"#?") else None
    return (int(match[2]), int(match[1])) if match else None
