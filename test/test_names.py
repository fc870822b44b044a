from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from tddfa_ros.names import printable, utf8_path
from tddfa_ros.sources import VideoSource, create_source
from tddfa_ros.sources.image_file import read_image

LATIN = os.fsdecode(b"gr\xf6\xdfe")
"""A name in Latin-1, as old archives contain."""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("José, 顔.jpg", "José, 顔.jpg"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("line\nbreak\r\ttab\x00", "line\\nbreak\\r\\ttab\\x00"),
        ("c1 \x9b31m \x85", "c1 \\x9b31m \\x85"),
        ("gpj.\u202eexe", "gpj.\\u202eexe"),
        (LATIN, "gr\\xf6\\xdfe"),
    ],
)
def test_external_text_becomes_one_printable_line(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_long_text_is_truncated() -> None:
    assert printable("x" * 10**6, 20) == "x" * 17 + "..."
    assert printable("x" * 20, 20) == "x" * 20


@pytest.mark.parametrize("name", [f"{LATIN}.bin", f"{LATIN}/clip.bin", "plain.bin"])
def test_every_file_has_a_path_in_utf8(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"content")
    with utf8_path(file) as path:
        path.encode()
        assert Path(path).read_bytes() == b"content" and path.endswith(".bin")
    assert file.read_bytes() == b"content"


def test_new_file_in_a_folder_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / LATIN).mkdir()
    with utf8_path(tmp_path / LATIN / "new.txt") as path:
        Path(path).write_text("text")
    assert (tmp_path / LATIN / "new.txt").read_text() == "text"


def test_image_and_video_with_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    image = tmp_path / f"{LATIN}.png"
    gray = np.full((48, 64, 3), 90, np.uint8)
    image.write_bytes(cv2.imencode(".png", gray)[1].tobytes())
    np.testing.assert_array_equal(read_image(image), gray)
    frame = create_source(str(image)).read(0.0)
    assert frame is not None and frame.image.shape == (48, 64, 3)
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no video")
    for _ in range(3):
        writer.write(gray)
    writer.release()
    video = (tmp_path / "v.avi").rename(tmp_path / f"{LATIN}.avi")
    source = VideoSource(video, loop=True)
    for _ in range(7):  # reopened twice
        frame = source.read(0.0)
        assert frame is not None and abs(float(frame.image.mean()) - 90) < 3
