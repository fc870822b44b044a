"""Truncated videos are recognized by their containers."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tddfa_ros.errors import SourceError
from tddfa_ros.sources import VideoSource
from tddfa_ros.sources.container import truncation

av = pytest.importorskip("av", reason="PyAV, which writes the containers, is not installed")

FRAMES = 20
# The index of an MP4 lies at the end, or with "faststart" before the frames; a stream is Matroska without sizes.
KINDS = {
    "mp4": ("mp4", "mpeg4", {}),
    "faststart": ("mp4", "mpeg4", {"movflags": "faststart"}),
    "fragments": ("mp4", "mpeg4", {"movflags": "frag_keyframe+empty_moov"}),
    "mov": ("mov", "mpeg4", {}),
    "mkv": ("mkv", "mpeg4", {}),
    "live": ("mkv", "mpeg4", {"live": "1"}),
    "avi": ("avi", "mpeg4", {}),
}


def write(folder: Path, kind: str) -> Path:
    suffix, codec, options = KINDS[kind]
    path = folder / f"{kind}.{suffix}"
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        rng = np.random.default_rng(0)
        for _ in range(FRAMES):
            image = rng.integers(0, 256, (120, 160, 3)).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_detects_truncated_video(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, kind)
    assert truncation(path) is None
    data = path.read_bytes()
    path.write_bytes(data + bytes(100))
    assert truncation(path) is None, "padding behind the video"
    for kept in (0.5, 0.9):
        path.write_bytes(data[: int(kept * len(data))])
        sentence = truncation(path)
        assert sentence is not None and f"{path} is truncated" in sentence and "%" in sentence


@pytest.mark.parametrize("kind", ["faststart", "mkv", "avi"])
def test_truncated_video_is_read_to_its_end(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, kind)
    assert VideoSource(path).truncation is None
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    video = VideoSource(path, loop=False)
    assert video.truncation is not None
    assert 0 < video.skip(2 * FRAMES) < FRAMES


def test_truncated_video_without_index_raises(tmp_path: Path) -> None:
    path = write(tmp_path, "mp4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceError, match="is truncated"):
        VideoSource(path)


def test_other_files_are_accepted(tmp_path: Path) -> None:
    for name, content in (("a.txt", b"text"), ("b", b""), ("c.png", cv2.imencode(".png", np.zeros((9, 9), np.uint8))[1].tobytes())):  # fmt: skip
        (tmp_path / name).write_bytes(content)
        assert truncation(tmp_path / name) is None
    assert truncation(tmp_path / "missing.mp4") is None
