"""Decoding of images in memory: what is truncated, too large, deep, or only looks damaged."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest

from tddfa_ros.errors import ImageError
from tddfa_ros.sources.image_data import decode, to_8_bit
from tddfa_ros.sources.image_header import image_size

COLOR = cv2.IMREAD_COLOR


def noise(height: int = 90, width: int = 121, seed: int = 0) -> np.ndarray:
    """A textured image (H, W, 3), whose every block has content."""
    small = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3))
    return cv2.resize(small.astype(np.uint8), (width, height))


def encoded(suffix: str, image: np.ndarray, *flags: int) -> bytes:
    done, data = cv2.imencode(suffix, image, list(flags))
    assert done
    return bytes(data.tobytes())


@pytest.mark.parametrize("restart", [0, 2])
def test_jpeg_without_end_marker_decodes(restart: int) -> None:
    data = encoded(".jpg", noise(), cv2.IMWRITE_JPEG_RST_INTERVAL, restart)
    whole = decode(data, COLOR)
    assert data.endswith(b"\xff\xd9")
    for tail in (b"", bytes(64)):  # cameras cut the marker off, or fill their buffer with zeros
        np.testing.assert_array_equal(decode(data[:-2] + tail, COLOR), whole)


@pytest.mark.parametrize("flags", [[], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 2]])  # fmt: skip
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9, 0.98])
def test_truncated_jpeg_is_rejected(flags: list[int], kept: float) -> None:
    data = encoded(".jpg", noise(), *flags)
    with pytest.raises(ImageError, match="is truncated"):
        decode(data[: int(kept * len(data))], COLOR)
    byte = data.index(b"\xff\x00", int(kept * len(data) / 2))  # cut inside of a stuffed byte
    with pytest.raises(ImageError, match="is truncated"):
        decode(data[: byte + 1], COLOR)


def test_markers_in_trailer_and_thumbnail_are_ignored() -> None:
    data = encoded(".jpg", noise())
    whole = decode(data, COLOR)
    np.testing.assert_array_equal(decode(data + b"film \xff\xda of a phone", COLOR), whole)
    thumbnail = b"Exif\0\0" + encoded(".jpg", noise(40, 40))
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    framed = data[:2] + segment + data[2:]
    np.testing.assert_array_equal(decode(framed, COLOR), whole)
    with pytest.raises(ImageError, match="is truncated"):
        decode(framed[: len(framed) - 400], COLOR)


@pytest.mark.parametrize("suffix", [".png", ".webp"])
@pytest.mark.parametrize("kept", [0.3, 0.98])
def test_truncated_png_and_webp_are_rejected(suffix: str, kept: float) -> None:
    data = encoded(suffix, noise())
    with pytest.raises(ImageError, match="is truncated"):
        decode(data[: int(kept * len(data))], COLOR)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tiff", ".ppm", ".pgm", ".pam", ".jp2", ".ras", ".hdr", ".gif", ".avif", ".exr"])  # fmt: skip
def test_size_is_read_from_the_header(suffix: str) -> None:
    image = noise()
    image = image[..., 0] if suffix == ".pgm" else image
    if suffix in (".hdr", ".exr"):
        image = image.astype(np.float32) / 255
    try:
        data = encoded(suffix, image)
    except (cv2.error, AssertionError):
        pytest.skip(f"this OpenCV does not write {suffix}")
    assert image_size(data) == (121, 90)
    for kept in (0, 3, 12, 20):
        assert image_size(data[:kept]) in (None, (121, 90)), "a part of a header is no error"


@pytest.mark.parametrize("quality", [80, 101])
def test_size_of_both_kinds_of_webp(quality: int) -> None:
    data = encoded(".webp", noise(), cv2.IMWRITE_WEBP_QUALITY, quality)
    assert image_size(data) == (121, 90)


def png_bomb(side: int) -> bytes:
    """A small PNG that declares side x side px, all black."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")  # fmt: skip

    header = side.to_bytes(4, "big") * 2 + b"\x01\0\0\0\0"  # 1 bit per pixel
    row = bytes(1 + (side + 7) // 8)
    packer = zlib.compressobj(9)
    rows = b"".join([*(packer.compress(row) for _ in range(side)), packer.flush()])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")  # fmt: skip


def test_decompression_bomb_is_rejected_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = png_bomb(30000)
    assert len(bomb) < 200_000
    monkeypatch.setattr(cv2, "imdecode", None)
    with pytest.raises(ImageError, match=r"has 30000x30000 px, more than .*max_image_pixels"):
        decode(bomb, COLOR)
    jpeg = bytearray(encoded(".jpg", noise()))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = b"\xff\xff\xff\xff"
    with pytest.raises(ImageError, match="has 65535x65535 px"):
        decode(bytes(jpeg), COLOR)


def test_pixel_limit_is_configurable() -> None:
    data = encoded(".png", noise())
    assert decode(data, COLOR, 121 * 90).shape == (90, 121, 3)
    with pytest.raises(ImageError, match="more than the limit of 10889 px"):
        decode(data, COLOR, 121 * 90 - 1)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_samples_are_scaled_by_the_depth_in_use(bits: int) -> None:
    ramp = np.linspace(0, 2**bits - 1, 256).round().astype(np.uint16).reshape(16, 16)
    np.testing.assert_array_equal(to_8_bit(ramp), np.arange(256).reshape(16, 16))


@pytest.mark.parametrize("white", [1, 255, 65535])
def test_floats_are_scaled_from_the_range_in_use(white: int) -> None:
    ramp = np.linspace(0, white, 256, dtype=np.float32).reshape(16, 16)
    np.testing.assert_array_equal(to_8_bit(ramp), np.arange(256).reshape(16, 16))
    ramp[0, 0] = 7 * white  # a highlight does not darken the image
    assert to_8_bit(ramp)[0, 0] == 255 and to_8_bit(ramp)[15, 0] == 240


def test_only_codec_output_on_stderr_is_suppressed() -> None:
    script = """
import os, zlib, numpy as np, cv2
from test_image_data import COLOR, decode, encoded, noise
from tddfa_ros.errors import ImageError
from tddfa_ros.sources.codec_log import silent_codecs
png, jpeg = encoded(".png", noise()), bytearray(encoded(".jpg", noise()))
jpeg[-60:-58] = b"\\xff\\xd5"
profile = (4).to_bytes(4, "big") + b"iCCPx\\0\\0y" + zlib.crc32(b"iCCPx\\0\\0y").to_bytes(4, "big")
broken = bytearray(png); broken[200] ^= 0x55
for data in (png[:33] + profile + png[33:], bytes(broken), bytes(jpeg)):
    for _ in range(3):
        try:
            decode(data, COLOR)
        except ImageError:
            pass
with silent_codecs():
    os.write(2, b"from another thread\\n")
os.write(2, b"afterwards\\n")
"""
    here = os.path.dirname(__file__)
    path = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.stderr == "from another thread\nafterwards\n"
