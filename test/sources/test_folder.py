from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from tddfa_ros.errors import ImageError, SourceError
from tddfa_ros.sources import create_source
from tddfa_ros.sources.folder import ImageFileSource


def save(path: Path, value: int, width: int = 32, height: int = 24) -> None:
    assert cv2.imwrite(str(path), np.full((height, width, 3), value, np.uint8))


def values(source: ImageFileSource, count: int) -> list[int | None]:
    frames = [source.read(0.0) for _ in range(count)]
    return [None if f is None else int(f.image[0, 0, 0]) for f in frames]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, value in (("10.png", 30), ("2.png", 20), ("1.PNG", 10)):
        save(tmp_path / name, value)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "deeper.png").mkdir()
    return tmp_path


def test_images_in_natural_order_and_loop(folder: Path) -> None:
    assert values(ImageFileSource(folder), 7) == [10, 20, 30, 10, 20, 30, 10]


def test_folder_without_loop(folder: Path) -> None:
    assert values(ImageFileSource(folder, loop=False), 5) == [10, 20, 30, None, None]


def test_single_image_repeats(tmp_path: Path) -> None:
    save(tmp_path / "a.png", 50)
    source = create_source(str(tmp_path / "a.png"))
    assert values(source, 3) == [50, 50, 50]
    assert values(ImageFileSource(tmp_path / "a.png", loop=False), 2) == [50, None]


def test_rate(folder: Path) -> None:
    assert ImageFileSource(folder).rate == 30
    assert ImageFileSource(folder, rate=2.5).rate == 2.5


@pytest.mark.parametrize(
    ("size", "shown"),
    [((1600, 800), (640, 320)), ((400, 960), (200, 480)), ((640, 480), (640, 480)), ((30, 20), (30, 20))],
)  # fmt: skip
def test_large_images_are_shrunk_and_small_ones_kept(
    tmp_path: Path, size: tuple[int, int], shown: tuple[int, int]
) -> None:
    save(tmp_path / "a.png", 9, *size)
    frame = ImageFileSource(tmp_path, 640, 480).read(0.0)
    assert frame is not None
    assert frame.image.shape == (shown[1], shown[0], 3)
    assert frame.intrinsics is None


def test_gray_images_get_three_channels(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((5, 6), 99, np.uint8))
    frame = ImageFileSource(tmp_path).read(0.0)
    assert frame is not None
    assert frame.image.shape == (5, 6, 3)


def test_unreadable_image_is_skipped(folder: Path) -> None:
    (folder / "2.png").write_bytes(b"broken")
    source = ImageFileSource(folder)
    assert values(source, 1) == [10]
    with pytest.raises(ImageError, match=r"2\.png"):
        source.read(0.0)
    assert values(source, 2) == [30, 10]


def test_only_unreadable_images_raises(folder: Path) -> None:
    for name in ("1.PNG", "2.png", "10.png"):
        (folder / name).write_bytes(b"broken")
    source = ImageFileSource(folder)
    for _ in range(2):
        with pytest.raises(ImageError):
            source.read(0.0)
    with pytest.raises(SourceError, match="none of the 3 images"):
        source.read(0.0)


def test_rejects_non_image_file(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"text")
    with pytest.raises(SourceError, match=r"a\.jpg cannot be read as an image"):
        create_source(str(tmp_path / "a.jpg")).read(0.0)


def test_folder_without_images(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there are no images"):
        create_source(str(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_folder_without_read_permission(folder: Path) -> None:
    folder.chmod(0)
    try:
        with pytest.raises(SourceError, match="cannot be read"):
            ImageFileSource(folder)
    finally:
        folder.chmod(0o700)
