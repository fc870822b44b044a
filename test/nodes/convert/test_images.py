"""Every encoding that cameras send, against slow references written pixel by pixel from the format's definition."""

from __future__ import annotations

import contextlib
import sys
from array import array
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("sensor_msgs", reason="no ROS 2 here: run through `make test`")

from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from tddfa_ros.errors import ImageError
from tddfa_ros.nodes.convert import images
from tddfa_ros.nodes.convert.images import compressed_message, image_message, to_bgr
from tddfa_ros.sources.image_messages import LAYOUTS, Converter, rosbags_converter

HEIGHT, WIDTH = 12, 16
LIBRARIES = {"rosbags-image": rosbags_converter, "cv_bridge": images.cv_bridge_converter}


def usable() -> dict[str, Converter]:
    """The libraries that work here: a cv_bridge that was built for another NumPy fails in ways of its own."""
    found = {}
    for name, make in LIBRARIES.items():
        with contextlib.suppress(Exception):
            found[name] = make()
    return found


CONVERTERS = usable()


@pytest.fixture(params=list(CONVERTERS))
def converter(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each library that can convert here, in turn."""
    monkeypatch.setattr(images, "_converter", lambda: CONVERTERS[request.param])
    return str(request.param)


@pytest.fixture
def pixels() -> NDArray[np.uint8]:
    """Random colors: a swapped channel or row cannot go unseen."""
    return np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)


def message(
    encoding: str, rows: NDArray[Any], padding: int = 0, bigendian: bool = False, **changes: Any
) -> Image:
    """``rows`` (h, bytes per row) as a message that has travelled."""
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=0xAB)
    made = Image(encoding=encoding, height=HEIGHT, width=WIDTH, step=padded.shape[1])
    made.is_bigendian = int(bigendian)
    made.data = array("B", padded.tobytes())
    for name, value in changes.items():
        setattr(made, name, value)
    return deserialize_message(serialize_message(made), Image)


def rows_of(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(pixels).reshape(HEIGHT, -1).view(np.uint8)


# --- color and gray ---


@pytest.mark.parametrize("padding", [0, 7])
@pytest.mark.parametrize(
    ("encoding", "order"),
    [("bgr8", "bgr"), ("rgb8", "rgb"), ("bgra8", "bgra"), ("rgba8", "rgba"), ("8UC3", "bgr"), ("8UC4", "bgra")],
)  # fmt: skip
def test_color(converter: str, pixels: Any, encoding: str, order: str, padding: int) -> None:
    channels = {"b": pixels[..., 0], "g": pixels[..., 1], "r": pixels[..., 2]}
    channels["a"] = np.full((HEIGHT, WIDTH), 77, np.uint8)
    rows = rows_of(np.stack([channels[c] for c in order], axis=-1))
    np.testing.assert_array_equal(to_bgr(message(encoding, rows, padding)), pixels)


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_gray(converter: str, pixels: Any, encoding: str, padding: int) -> None:
    gray = pixels[..., 0]
    expected = np.repeat(gray[..., None], 3, axis=2)
    np.testing.assert_array_equal(to_bgr(message(encoding, rows_of(gray), padding)), expected)


@pytest.mark.parametrize("bigendian", [False, True])
@pytest.mark.parametrize("encoding", ["mono16", "16UC1"])
def test_gray_of_16_bit(converter: str, encoding: str, bigendian: bool) -> None:
    values = np.random.default_rng(2).integers(0, 65536, (HEIGHT, WIDTH))
    values[0, :5] = (0, 128, 129, 65534, 65535)
    rows = rows_of(values.astype(">u2" if bigendian else "<u2"))
    result = to_bgr(message(encoding, rows, padding=6, bigendian=bigendian))
    expected = np.floor(values * 255 / 65535 + 0.5)
    for channel in range(3):
        np.testing.assert_array_equal(result[..., channel], expected)


@pytest.mark.parametrize("bigendian", [False, True])
@pytest.mark.parametrize("encoding", ["bgr16", "rgb16", "bgra16", "rgba16"])
def test_color_of_16_bit(converter: str, pixels: Any, encoding: str, bigendian: bool) -> None:
    # 257 * v is the 16-bit value of an 8-bit v.
    channels = dict(zip("bgra", [*np.moveaxis(pixels, 2, 0), pixels[..., 0]], strict=True))
    wide = np.stack([channels[c] for c in encoding.removesuffix("16")], axis=-1)
    rows = rows_of((wide.astype(np.uint16) * 257).astype(">u2" if bigendian else "<u2"))
    np.testing.assert_array_equal(to_bgr(message(encoding, rows, bigendian=bigendian)), pixels)


def test_bigendian_is_ignored_for_bytes(converter: str, pixels: Any) -> None:
    swapped = message("rgb8", rows_of(pixels[..., ::-1]), bigendian=True)
    np.testing.assert_array_equal(to_bgr(swapped), pixels)


# --- YUV: ITU-R BT.601, studio range, as V4L2 cameras send ---


def bgr_of_yuv(y: Any, u: Any, v: Any) -> NDArray[np.float64]:
    light = 1.164383 * (np.asarray(y, np.float64) - 16)
    u, v = np.asarray(u, np.float64) - 128, np.asarray(v, np.float64) - 128
    bgr = np.stack(
        [light + 2.017232 * u, light - 0.812968 * v - 0.391762 * u, light + 1.596027 * v], axis=-1
    )
    return np.clip(bgr, 0, 255)


def yuv_image(half_rows: bool) -> tuple[Any, Any, Any]:
    """Luma (h, w) and its subsampled chroma."""
    rng = np.random.default_rng(3)
    rows = HEIGHT // 2 if half_rows else HEIGHT
    y = rng.integers(16, 236, (HEIGHT, WIDTH)).astype(np.uint8)
    u, v = rng.integers(16, 241, (2, rows, WIDTH // 2)).astype(np.uint8)
    return y, u, v


@pytest.mark.parametrize("padding", [0, 4])
@pytest.mark.parametrize(
    ("encoding", "order"),
    [("yuv422", "uyvy"), ("uyvy", "uyvy"), ("yuv422_yuy2", "yuyv"), ("yuyv", "yuyv")],
)
def test_packed_yuv(converter: str, encoding: str, order: str, padding: int) -> None:
    y, u, v = yuv_image(half_rows=False)
    luma = iter((y[:, 0::2], y[:, 1::2]))
    parts = [{"u": u, "v": v}[c] if c != "y" else next(luma) for c in order]
    rows = np.stack(parts, axis=-1).reshape(HEIGHT, 2 * WIDTH)
    expected = bgr_of_yuv(y, u.repeat(2, axis=1), v.repeat(2, axis=1))
    np.testing.assert_allclose(to_bgr(message(encoding, rows, padding)), expected, atol=1.5)


@pytest.mark.parametrize("convention", ["rows of luma", "rows in memory"])
@pytest.mark.parametrize("padding", [0, 16])
@pytest.mark.parametrize("encoding", ["nv12", "nv21"])
def test_planar_yuv(converter: str, encoding: str, padding: int, convention: str) -> None:
    y, u, v = yuv_image(half_rows=True)
    chroma = np.stack([u, v] if encoding == "nv12" else [v, u], axis=-1).reshape(-1, WIDTH)
    height = HEIGHT if convention == "rows of luma" else HEIGHT * 3 // 2
    sent = message(encoding, np.vstack([y, chroma]), padding, height=height)
    twice = [c.repeat(2, axis=0).repeat(2, axis=1) for c in (u, v)]
    result = to_bgr(sent)
    assert result.shape == (HEIGHT, WIDTH, 3)
    np.testing.assert_allclose(result, bgr_of_yuv(y, *twice), atol=1.5)


# --- Bayer: each missing color is the mean of its nearest neighbors ---


def demosaic(mosaic: NDArray[Any], pattern: str) -> NDArray[np.float64]:
    """Bilinear, pixel by pixel; the outermost rows and columns stay zero."""
    color = [[pattern[0], pattern[1]], [pattern[2], pattern[3]]]
    result = np.zeros((*mosaic.shape, 3))
    for i in range(1, mosaic.shape[0] - 1):
        for j in range(1, mosaic.shape[1] - 1):
            for k, wanted in enumerate("bgr"):
                near = [
                    (abs(a) + abs(b), float(mosaic[i + a, j + b]))
                    for a in (-1, 0, 1)
                    for b in (-1, 0, 1)
                    if color[(i + a) % 2][(j + b) % 2] == wanted
                ]
                closest = min(distance for distance, _ in near)
                result[i, j, k] = np.mean([value for d, value in near if d == closest])
    return result


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer(converter: str, pattern: str, depth: int) -> None:
    top = 2**depth - 1
    mosaic = np.random.default_rng(4).integers(0, top + 1, (HEIGHT, WIDTH))
    rows = rows_of(mosaic.astype("u1" if depth == 8 else "<u2"))
    result = to_bgr(message(f"bayer_{pattern}{depth}", rows, padding=depth // 4))
    expected = demosaic(mosaic, pattern) * 255 / top
    np.testing.assert_allclose(result[1:-1, 1:-1], expected[1:-1, 1:-1], atol=1.0)


def test_big_endian_bayer(converter: str) -> None:
    mosaic = np.random.default_rng(5).integers(0, 65536, (HEIGHT, WIDTH))
    little = message("bayer_rggb16", rows_of(mosaic.astype("<u2")))
    big = message("bayer_rggb16", rows_of(mosaic.astype(">u2")), bigendian=True)
    np.testing.assert_array_equal(to_bgr(big), to_bgr(little))


def test_every_encoding_is_tested() -> None:
    """Whoever adds an encoding adds its reference here."""
    tested = {"bgr8", "rgb8", "bgra8", "rgba8", "8UC3", "8UC4", "mono8", "8UC1", "mono16", "16UC1"}
    tested |= {"bgr16", "rgb16", "bgra16", "rgba16", "yuv422", "uyvy", "yuv422_yuy2", "yuyv"}
    tested |= {"nv12", "nv21"}
    tested |= {f"bayer_{p}{d}" for p in ("rggb", "bggr", "gbrg", "grbg") for d in (8, 16)}
    assert set(LAYOUTS) == tested


def test_converters_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    if len(CONVERTERS) < 2:
        pytest.skip(f"only {', '.join(CONVERTERS)} is usable here")
    rng = np.random.default_rng(6)
    for encoding, layout in LAYOUTS.items():
        rows = HEIGHT * 3 // 2 if layout.even_height else HEIGHT
        data = rng.integers(0, 256, (rows, WIDTH * layout.channels * layout.depth))
        sent = message(encoding, data.astype(np.uint8), padding=4)
        results = []
        for chosen in CONVERTERS.values():
            monkeypatch.setattr(images, "_converter", lambda chosen=chosen: chosen)
            results.append(to_bgr(sent))
        np.testing.assert_array_equal(*results, err_msg=encoding)


def test_cv_bridge_with_fallback_to_rosbags_image() -> None:
    images._converter.cache_clear()
    chosen, expected = images._converter(), CONVERTERS.get("cv_bridge")
    assert getattr(chosen, "__func__", chosen) == getattr(expected, "__func__", expected)
    assert "rosbags-image" in CONVERTERS


def test_bgr8_without_padding_is_not_copied(pixels: Any) -> None:
    sent = message("bgr8", rows_of(pixels))
    assert np.shares_memory(to_bgr(sent), np.frombuffer(sent.data, np.uint8))


def test_results_are_contiguous_and_of_the_right_type(converter: str, pixels: Any) -> None:
    for sent in (message("bgr8", rows_of(pixels), 8), message("rgb8", rows_of(pixels))):
        result = to_bgr(sent)
        assert result.flags.c_contiguous
        assert result.dtype == np.uint8


# --- bad messages ---


def refusal(sent: Any) -> str:
    with pytest.raises(ImageError) as error:
        to_bgr(sent)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_truncated_data(pixels: Any) -> None:
    rows = rows_of(pixels)
    cut = message("bgr8", rows, data=array("B", rows.tobytes()[:-1]))
    assert "needs 576 bytes, but 575 arrived" in refusal(cut)
    assert "truncated" in refusal(message("bgr8", rows, data=array("B")))
    assert "truncated" in refusal(message("nv12", rows_of(pixels[..., 0])[:-3]))


def test_last_row_without_padding(pixels: Any) -> None:
    padded = np.pad(rows_of(pixels), ((0, 0), (0, 8)))
    short = message("bgr8", padded, data=array("B", padded.tobytes()[:-8]))
    short.step = padded.shape[1]
    np.testing.assert_array_equal(to_bgr(short), pixels)


@pytest.mark.parametrize(("encoding", "step"), [("bgr8", 47), ("bgr8", 0), ("mono16", 31), ("yuv422", 16)])  # fmt: skip
def test_wrong_step(pixels: Any, encoding: str, step: int) -> None:
    text = refusal(message(encoding, rows_of(pixels), step=step))
    assert "wrong step" in text
    assert str(step) in text


@pytest.mark.parametrize(("width", "height"), [(0, HEIGHT), (WIDTH, 0), (0, 0)])
def test_zero_size(pixels: Any, width: int, height: int) -> None:
    assert "zero size" in refusal(message("bgr8", rows_of(pixels), width=width, height=height))


@pytest.mark.parametrize("encoding", ["", "jpeg", "BGR8", "32FC1", "8UC2", "bayer_rggb12"])
def test_unknown_encoding(pixels: Any, encoding: str) -> None:
    assert f"'{encoding}'" in refusal(message(encoding, rows_of(pixels)))


def test_rejects_depth_encoding() -> None:
    depth = np.full((HEIGHT, WIDTH), np.nan, np.float32)
    assert "32FC1" in refusal(message("32FC1", rows_of(depth)))


@pytest.mark.parametrize(
    ("encoding", "size"), [("yuv422", (15, 12)), ("yuyv", (15, 12)), ("nv12", (15, 12)), ("nv12", (16, 11))]
)  # fmt: skip
def test_rejects_odd_size_of_subsampled_images(pixels: Any, encoding: str, size: Any) -> None:
    rows = rows_of(pixels)
    assert "even" in refusal(message(encoding, rows, width=size[0], height=size[1]))


def test_huge_size_is_rejected_without_allocation(pixels: Any) -> None:
    huge = message("bgr8", rows_of(pixels), width=2**31, height=2**31, step=2**32 - 1)
    assert "wrong step" in refusal(huge)
    assert "truncated" in refusal(message("mono8", rows_of(pixels), height=2**32 - 1))


def test_smallest_images(converter: str) -> None:
    for encoding, layout in LAYOUTS.items():
        side = 2 if layout.even_width else 1
        rows = side * 3 // 2 if layout.even_height else side
        data = np.zeros((rows, side * layout.channels * layout.depth), np.uint8)
        tiny = message(encoding, data, width=side, height=side)
        try:
            assert to_bgr(tiny).shape == (side, side, 3)
        except ImageError as error:
            assert "cannot be converted" in str(error)


# --- compressed ---


def compressed(data: bytes, name: str) -> CompressedImage:
    made = CompressedImage(format=name)
    made.data = array("B", data)
    return deserialize_message(serialize_message(made), CompressedImage)


def encoded(image: Any, suffix: str, *flags: int) -> bytes:
    good, data = cv2.imencode(suffix, image, list(flags))
    assert good
    return bytes(data.tobytes())


@pytest.mark.parametrize("name", ["png", "bgr8; png compressed bgr8", "rgb8; png compressed bgr8"])
def test_png_is_exact(pixels: Any, name: str) -> None:
    np.testing.assert_array_equal(to_bgr(compressed(encoded(pixels, ".png"), name)), pixels)


def test_jpeg_is_close(astronaut: Any) -> None:
    sent = compressed(encoded(astronaut, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 95), "jpeg")
    assert np.abs(to_bgr(sent).astype(int) - astronaut).mean() < 3


def test_compressed_rgb_is_swapped(pixels: Any) -> None:
    swapped = encoded(pixels[..., ::-1], ".png")
    np.testing.assert_array_equal(to_bgr(compressed(swapped, "rgb8; png compressed rgb8")), pixels)


def test_compressed_gray_and_alpha_and_16_bit(pixels: Any) -> None:
    gray = pixels[..., 0]
    three = np.repeat(gray[..., None], 3, axis=2)
    np.testing.assert_array_equal(to_bgr(compressed(encoded(gray, ".png"), "png")), three)
    alpha = np.dstack([pixels, gray])
    np.testing.assert_array_equal(to_bgr(compressed(encoded(alpha, ".png"), "png")), pixels)
    wide = gray.astype(np.uint16) * 257
    sent = compressed(encoded(wide, ".png"), "mono16; png compressed ")
    np.testing.assert_array_equal(to_bgr(sent), three)


@pytest.mark.parametrize("bits", [10, 12])
def test_low_bits_are_stretched(converter: str, bits: int) -> None:
    """Infrared cameras send 10 or 12 bits in 16-bit samples."""
    shades = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    ramp = np.rint(shades * ((2**bits - 1) / 255)).astype(np.uint16)
    expected = np.repeat(shades[..., None], 3, axis=2)
    np.testing.assert_array_equal(to_bgr(message("mono16", rows_of(ramp.astype("<u2")))), expected)
    sent = compressed(encoded(ramp, ".png"), "mono16; png compressed ")
    np.testing.assert_array_equal(to_bgr(sent), expected)


def test_image_bomb_is_refused(pixels: Any) -> None:
    data = bytearray(encoded(pixels, ".png"))
    data[16:24] = (30000).to_bytes(4, "big") * 2
    assert "30000x30000 px" in refusal(compressed(bytes(data), "png"))
    small = compressed(encoded(pixels, ".png"), "png")
    assert to_bgr(small, WIDTH * HEIGHT).shape == pixels.shape
    with pytest.raises(ImageError, match="max_image_pixels"):
        to_bgr(small, WIDTH * HEIGHT - 1)


def test_strings_of_messages_are_escaped(pixels: Any) -> None:
    hostile = "\x1b[31m\n" + "x" * 10**6
    for sentence in (
        refusal(message(hostile, rows_of(pixels))),
        refusal(compressed(b"text", hostile)),
    ):
        assert sentence.isprintable() and "\\x1b[31m\\n" in sentence and len(sentence) < 250


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("kept", [0.98, 0.5, 0.02])
def test_truncated_compressed_images(astronaut: Any, suffix: str, kept: float) -> None:
    data = encoded(astronaut, suffix)
    refusal(compressed(data[: int(kept * len(data))], suffix[1:]))


def test_jpeg_with_trailing_padding(astronaut: Any) -> None:
    data = encoded(astronaut, ".jpg")
    padded = to_bgr(compressed(data + bytes(5000), "jpeg"))
    np.testing.assert_array_equal(padded, to_bgr(compressed(data, "jpeg")))


@pytest.mark.parametrize(
    ("data", "name", "word"),
    [
        (b"", "jpeg", "empty"),
        (b"no image at all", "jpeg", "cannot be read as an image"),
        (b"\xff\xd8\xff\xda\xff\xd9", "jpeg", "cannot be read as an image"),
        (b"x" * 64, "32FC1; compressedDepth png", "compressedDepth"),
    ],
)
def test_rejects_invalid_compressed_images(data: bytes, name: str, word: str) -> None:
    assert word in refusal(compressed(data, name))


# --- and back ---


def test_image_message_round_trip(pixels: Any) -> None:
    header = Header(frame_id="camera")
    sent = deserialize_message(serialize_message(image_message(pixels, header)), Image)
    assert (sent.width, sent.height, sent.step) == (WIDTH, HEIGHT, 3 * WIDTH)
    assert sent.encoding == "bgr8"
    assert sent.is_bigendian == int(sys.byteorder == "big")
    assert sent.header == header
    np.testing.assert_array_equal(to_bgr(sent), pixels)


def test_message_data_is_array_array(pixels: Any) -> None:
    assert isinstance(image_message(pixels, Header()).data, array)
    assert isinstance(compressed_message(pixels, Header()).data, array)


def test_image_slice_to_message(pixels: Any) -> None:
    part = pixels[2:9, 3:11]
    np.testing.assert_array_equal(to_bgr(image_message(part, Header())), part)


def test_jpeg_message_keeps_colors_and_obeys_the_quality(astronaut: Any) -> None:
    fine, coarse = (compressed_message(astronaut, Header(), quality) for quality in (95, 30))
    assert fine.format == "bgr8; jpeg compressed bgr8"
    assert len(coarse.data) < len(fine.data) / 2
    assert np.abs(to_bgr(fine).astype(int) - astronaut).mean() < 3


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (0, 4, 3)])
def test_rejects_non_bgr_arrays(shape: Any) -> None:
    with pytest.raises(ImageError):
        image_message(np.zeros(shape, np.uint8), Header())
    with pytest.raises(ImageError):
        compressed_message(np.zeros((4, 4, 3), np.float32), Header())
