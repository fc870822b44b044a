"""The live window, with a fake of OpenCV's GUI functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from tddfa_ros.errors import DeviceError
from tddfa_ros.video.window import LiveWindow, why_no_window

IMAGE = np.zeros((48, 64, 3), np.uint8)


class Screen:
    """A fake of OpenCV's GUI."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.key = -1
        self.visible = 1.0

    def record(self, name: str) -> Callable[..., None]:
        return lambda *arguments: self.calls.append((name, *arguments))

    def named(self, name: str) -> list[tuple[Any, ...]]:
        return [call[1:] for call in self.calls if call[0] == name]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    seen = Screen()
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(
        cv2, "getBuildInformation", lambda: "  GUI:                           QT5\n"
    )
    for name in ("namedWindow", "resizeWindow", "imshow"):
        monkeypatch.setattr(cv2, name, seen.record(name))
    monkeypatch.setattr(cv2, "waitKey", lambda _: seen.key)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: seen.visible)
    return seen


def test_window_opens_at_image_size_and_is_resizable(screen: Screen) -> None:
    window = LiveWindow("face")
    assert window.show(IMAGE)
    assert window.show(IMAGE)
    assert screen.named("resizeWindow") == [("face", 64, 48)]
    assert len(screen.named("imshow")) == 2


@pytest.mark.parametrize("key", [ord("q"), 27])
def test_key_closes_the_window(screen: Screen, key: int) -> None:
    window = LiveWindow("face")
    screen.key = ord("x")
    assert window.show(IMAGE)
    screen.key = key
    assert not window.show(IMAGE)


def test_closing_the_window_stops_playback(screen: Screen) -> None:
    window = LiveWindow("face")
    screen.visible = 0.0
    assert not window.show(IMAGE)


def test_reports_missing_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(DeviceError, match="no display"):
        LiveWindow("face")


def test_reports_opencv_without_gui(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        cv2, "getBuildInformation", lambda: "  GUI:                           NONE\n"
    )
    assert "opencv-python-headless" in str(why_no_window())
