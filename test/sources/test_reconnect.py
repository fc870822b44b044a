from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from tddfa_ros.sources import create_source
from tddfa_ros.sources.reconnect import ReconnectingSource

IMAGE = np.zeros((48, 64, 3), np.uint8)


class Capture:
    """A ``cv2.VideoCapture`` that delivers some frames and then none."""

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self.released = False

    def isOpened(self) -> bool:  # noqa: N802
        return self.frames >= 0

    def set(self, *_: Any) -> bool:
        return True

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.frames -= 1
        return (True, IMAGE) if self.frames >= 0 else (False, None)

    def release(self) -> None:
        self.released = True


class Stream:
    """What each opening of a stream finds: the number of frames it delivers, -1 = it cannot be opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *openings: int, patience: int = 99) -> None:
        self.captures: list[Capture] = []
        self.waits: list[float] = []
        self.messages: list[str] = []
        self._openings = iter(openings)
        self._patience = patience
        monkeypatch.setattr(cv2, "VideoCapture", self._capture)
        self.source = ReconnectingSource(
            self._create(), self._create, self._wait, self.messages.append
        )

    def _create(self) -> Any:
        return create_source("rtsp://camera/1")

    def _capture(self, *_: Any) -> Capture:
        self.captures.append(Capture(next(self._openings)))
        return self.captures[-1]

    def _wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return len(self.waits) >= self._patience


def test_stream_that_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream(monkeypatch, 2, -1, -1, 3, 1)
    assert stream.source.rate == 0
    for _ in range(2 + 3):
        assert stream.source.read(0.0) is not None
        assert stream.source.problem == ""
    assert stream.waits == [1.0, 2.0, 4.0]
    assert len(stream.messages) == 2, "one line when it is lost, one when it is back"
    assert "delivers no more frames" in stream.messages[0]
    assert stream.messages[1] == "the source delivers frames again"
    assert stream.source.read(0.0) is not None
    assert stream.waits[3:] == [1.0], "the back-off starts over"
    assert all(capture.released for capture in stream.captures[:1])
    stream.source.close()
    assert stream.captures[-1].released


def test_back_off_is_limited_and_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream(monkeypatch, 0, *[-1] * 20, patience=8)
    assert stream.source.read(0.0) is None
    assert stream.waits == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert "cannot be opened" in stream.source.problem
    assert len(stream.messages) == 1


def test_source_that_opens_but_delivers_nothing_backs_off(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream(monkeypatch, *[0] * 20, patience=4)
    assert stream.source.read(0.0) is None
    assert stream.waits == [1.0, 2.0, 4.0, 8.0]
    assert all(capture.released for capture in stream.captures)
