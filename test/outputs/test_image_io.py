from __future__ import annotations

import struct
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from tddfa_ros.errors import ImageError, TddfaError
from tddfa_ros.outputs import image_io
from tddfa_ros.outputs.image_io import read_ahead, write_array, write_image
from tddfa_ros.sources.image_file import read_image


@pytest.fixture
def ramp() -> np.ndarray:
    """Return a smooth image (32, 48, 3) uint8 with a different color in every corner."""
    y, x = np.mgrid[:32, :48]
    return np.stack([5 * x, 7 * y, 255 - 4 * x], axis=2).astype(np.uint8)


def save(path: Path, image: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), image)
    return path


def with_orientation(jpeg: bytes, value: int) -> bytes:
    """Return a JPEG with an EXIF segment that contains only the orientation."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, value, 0)
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", 1) + entry + bytes(4)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


@pytest.mark.parametrize(
    ("value", "turn"),
    [(1, lambda a: a), (3, lambda a: a[::-1, ::-1]), (6, lambda a: np.rot90(a, -1)), (8, np.rot90), (2, np.fliplr)],
)  # fmt: skip
def test_exif_orientation(tmp_path: Path, ramp: np.ndarray, value: int, turn) -> None:
    jpeg = cv2.imencode(".jpg", ramp, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    (tmp_path / "a.jpg").write_bytes(with_orientation(jpeg, value))
    plain = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), turn(plain))


def test_gray_gets_three_channels(tmp_path: Path, ramp: np.ndarray) -> None:
    image = read_image(save(tmp_path / "a.png", ramp[..., 0]))
    np.testing.assert_array_equal(image, np.repeat(ramp[..., :1], 3, axis=2))


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("gray", [False, True])
def test_reads_16_bit(tmp_path: Path, ramp: np.ndarray, suffix: str, gray: bool) -> None:
    deep = ramp.astype(np.uint16) * 257
    image = read_image(save(tmp_path / f"a{suffix}", deep[..., 0] if gray else deep))
    np.testing.assert_array_equal(image, np.repeat(ramp[..., :1], 3, axis=2) if gray else ramp)


def test_reads_12_bit_in_16(tmp_path: Path, ramp: np.ndarray) -> None:
    image = read_image(save(tmp_path / "a.png", np.rint(ramp * (4095 / 255)).astype(np.uint16)))
    np.testing.assert_array_equal(image, ramp)


def test_reads_float_images(tmp_path: Path, ramp: np.ndarray) -> None:
    values = ramp / np.float32(255)
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.tiff", values)), ramp)
    values[3, 4] = np.nan
    with pytest.raises(ImageError, match="NaN or infinite"):
        read_image(save(tmp_path / "b.tiff", values))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_transparent_parts_become_white(tmp_path: Path, ramp: np.ndarray, dtype: type) -> None:
    full = np.iinfo(dtype).max
    alpha = np.full(ramp.shape[:2], full, dtype)
    alpha[:, :10], alpha[:, 10:20] = 0, round(full * 0.6)
    colors = ramp.astype(dtype) * (full // 255)
    image = read_image(save(tmp_path / "a.png", np.dstack([colors, alpha])))
    assert (image[:, :10] == 255).all()
    np.testing.assert_allclose(image[:, 10:20], 0.6 * ramp[:, 10:20] + 0.4 * 255, atol=1)
    np.testing.assert_array_equal(image[:, 20:], ramp[:, 20:])


@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_rejects_truncated_files(tmp_path: Path, suffix: str, progressive: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3)).astype(np.uint8)
    data = cv2.imencode(suffix, noise, [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive] if suffix == ".jpg" else [])[1].tobytes()  # fmt: skip
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data + b"\0trailing \xff\xda bytes of a phone's film")
    assert read_image(path).shape == (80, 80, 3)
    for kept in (0.3, 0.6, 0.95):
        path.write_bytes(data[: int(kept * len(data))])
        with pytest.raises(ImageError, match="is truncated"):
            read_image(path)


def test_rejects_files_that_are_not_images(tmp_path: Path) -> None:
    for name, content, sentence in (
        ("a.jpg", b"text", r"a\.jpg cannot be read as an image$"),
        ("b.jpg", b"", r"b\.jpg cannot be read as an image$"),
        ("c.mp4", b"\0\0\0\x18ftypmp42", "is it a video"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ImageError, match=sentence):
            read_image(tmp_path / name)
    with pytest.raises(ImageError, match="No such file"):
        read_image(tmp_path / "d.jpg")


def test_read_ahead_keeps_order_and_reports_errors(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{i}.png", np.full((4, 4), 20 * i, np.uint8)) for i in range(9)]
    paths[5].write_bytes(b"broken")
    seen = list(read_ahead(paths, threads=3))
    assert [path for path, _ in seen] == paths
    assert isinstance(seen[5][1], ImageError)
    assert [int(image[0, 0, 0]) for _, image in seen if not isinstance(image, ImageError)] == [
        20 * i for i in range(9) if i != 5
    ]


def test_read_ahead_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Path] = []
    both = threading.Barrier(2, timeout=10)

    def slow(path: Path, _: int) -> np.ndarray:
        begun.append(path)
        if len(begun) <= 2:
            both.wait()  # passes only if two images are read concurrently
        return np.zeros((1, 1, 3), np.uint8)

    monkeypatch.setattr(image_io, "read_image", slow)
    images = read_ahead([Path(str(i)) for i in range(20)], threads=2)
    next(images)
    assert len(begun) <= 5
    images.close()
    assert len(begun) <= 6


def test_writes_images_and_arrays(tmp_path: Path, ramp: np.ndarray) -> None:
    path = write_image(tmp_path / "new" / "a.png", ramp)
    np.testing.assert_array_equal(read_image(path), ramp)
    values = np.array([[1.5, np.nan]], np.float32)
    np.testing.assert_array_equal(np.load(write_array(tmp_path / "new" / "b.npy", values)), values)
    assert sorted(file.name for file in path.parent.iterdir()) == ["a.png", "b.npy"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("a.xyz", "'.xyz' is not a format for this image"), ("file/a.png", "cannot write")],
)
def test_write_failure_is_one_sentence(tmp_path: Path, name: str, sentence: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(TddfaError, match=sentence):
        write_image(tmp_path / name, np.zeros((4, 4, 3), np.uint8))
