from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from tddfa_ros.errors import SourceError
from tddfa_ros.sources import CameraSource, VideoSource, create_source

FRAMES, FPS = 6, 12.0


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Frame i is gray 40 * i; MJPEG, so that each is coded on its own."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (64, 48))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no video")
    for i in range(FRAMES):
        writer.write(np.full((48, 64, 3), 40 * i, np.uint8))
    writer.release()
    return path


def shades(source: VideoSource, count: int) -> list[int | None]:
    frames = [source.read(0.0) for _ in range(count)]
    return [None if f is None else round(float(f.image.mean()) / 40) for f in frames]


def test_video_plays_all_frames_and_loops(video: Path) -> None:
    source = create_source(str(video))
    assert shades(source, 2 * FRAMES + 1) == [*range(FRAMES), *range(FRAMES), 0]
    source.close()


def test_video_without_loop(video: Path) -> None:
    source = VideoSource(video, loop=False)
    assert shades(source, FRAMES + 2) == [*range(FRAMES), None, None]


def test_rate_and_size(video: Path) -> None:
    assert VideoSource(video).rate == pytest.approx(FPS)
    assert VideoSource(video, rate=5.0).rate == 5.0
    frame = VideoSource(video, 32, 32).read(0.0)
    assert frame is not None
    assert frame.image.shape == (24, 32, 3)
    assert frame.intrinsics is None


@pytest.mark.parametrize("content", [b"", b"this is no video"])
def test_rejects_non_video_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"a\.mp4 cannot be read as a video") as error:
        create_source(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_video_without_read_permission(video: Path) -> None:
    video.chmod(0)
    with pytest.raises(SourceError, match="no permission to read"):
        VideoSource(video)


@pytest.mark.parametrize("source", ["97", "/dev/video97"])
def test_missing_camera(source: str) -> None:
    with pytest.raises(SourceError, match="there is no camera /dev/video97"):
        create_source(source)


@pytest.mark.skipif(not os.access("/dev/null", os.R_OK | os.W_OK), reason="no /dev/null")
def test_device_without_camera() -> None:
    with pytest.raises(SourceError, match="camera /dev/null cannot be opened"):
        create_source("/dev/null")


@pytest.mark.parametrize("source", ["", "nowhere.mp4", "/no/such/folder", "demo2"])
def test_rejects_empty_source(source: str) -> None:
    with pytest.raises(SourceError, match=f"'{source}'"):
        create_source(source)


def test_frames_that_are_too_large(video: Path) -> None:
    assert create_source(str(video), max_pixels=64 * 48).read(0.0) is not None
    with pytest.raises(SourceError, match="frames of 64x48 px, more than the limit of 3071 px"):
        create_source(str(video), max_pixels=64 * 48 - 1)


class Unplugged:
    """A fake cv2.VideoCapture of a disconnected camera."""

    released = False

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def set(self, *_: object) -> bool:
        return True

    def read(self) -> tuple[bool, None]:
        return False, None

    def release(self) -> None:
        self.released = True


def test_disconnected_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Unplugged()
    monkeypatch.setattr(CameraSource, "_open_device", lambda *_: device)
    camera = create_source("0")
    assert camera.rate == 0, "a camera sets the frame rate"
    with pytest.raises(SourceError, match="check that it is connected"):
        camera.read(0.0)
    camera.close()
    assert device.released


def test_stream_url_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may hold a password."""
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: Unplugged())
    with pytest.raises(SourceError) as error:
        create_source("rtsp://user:secret@camera/1").read(0.0)
    assert "secret" not in str(error.value)
