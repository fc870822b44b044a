"""Playback speed: real time for live receivers, every frame for files."""

from __future__ import annotations

import numpy as np
import pytest
from support.scripted_pipeline import HZ, MODEL, Person, ScriptedPipeline, image_of, still

from tddfa_ros.avatar import drive as module
from tddfa_ros.errors import ImageError
from tddfa_ros.sources import Frame


class Clock:
    """A fake clock that advances only on sleep and work."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Film:
    """A source of ten images with their index as content; one cannot be read."""

    def __init__(self, rate: float) -> None:
        self.rate, self.count = rate, 0

    def read(self, seconds: float) -> Frame | None:
        self.count += 1
        if self.count == 4:
            raise ImageError("damaged")
        if self.count > 10:
            return None
        return Frame(np.full((2, 2, 3), self.count - 1, np.uint8))

    def close(self) -> None:
        pass


def show(monkeypatch: pytest.MonkeyPatch, rate: float, work: float, real_time: bool) -> list:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    shown = []
    for image, seconds in module._images(Film(rate), real_time):
        shown.append((int(image[0, 0, 0]), round(seconds, 3), round(clock.now, 3)))
        clock.sleep(work)
    return shown


def test_file_plays_at_its_frame_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = show(monkeypatch, rate=10, work=0.03, real_time=True)
    assert shown == [(i, i / 10, i / 10) for i in (0, 1, 2, 4, 5, 6, 7, 8, 9)]


def test_drops_late_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = show(monkeypatch, rate=10, work=0.25, real_time=True)
    assert 3 <= len(shown) <= 5 and shown[0][0] == 0
    assert all(now - seconds <= 0.1 + 1e-6 for _, seconds, now in shown), "it falls behind"


def test_lines_of_a_file_are_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = show(monkeypatch, rate=10, work=0.25, real_time=False)
    assert [number for number, _, _ in shown] == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert [seconds for _, seconds, _ in shown] == [i / 10 for i in (0, 1, 2, 4, 5, 6, 7, 8, 9)]


def test_camera_images_have_arrival_times(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = show(monkeypatch, rate=0, work=0.2, real_time=True)
    assert [seconds for _, seconds, _ in shown] == [round(0.2 * i, 3) for i in range(9)]


class Loop(Film):
    """A looping file of three images with time stamps."""

    def read(self, seconds: float) -> Frame | None:
        self.count += 1
        if self.count > 9:
            return None
        return Frame(np.zeros((2, 2, 3), np.uint8), seconds=(self.count - 1) % 3 / self.rate)


@pytest.mark.parametrize("real_time", [True, False])
def test_time_increases_when_a_file_loops(monkeypatch: pytest.MonkeyPatch, real_time: bool) -> None:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    times = [seconds for _, seconds in module._images(Loop(10), real_time)]
    np.testing.assert_allclose(times, np.arange(9) / 10)


class Walk:
    """A video in which somebody comes into view."""

    rate = HZ

    def __init__(self) -> None:
        self.count = 0

    def read(self, seconds: float) -> Frame | None:
        self.count += 1
        return None if self.count > 12 else Frame(image_of(self.count - 1), seconds=(self.count - 1) / HZ)  # fmt: skip

    def close(self) -> None:
        self.count = -1


class Sent(list):
    def send(self, frames: list) -> None:
        self.append(len(frames))


@pytest.mark.parametrize(("real_time", "first"), [(False, 3), (True, 4)])
def test_lines_of_a_file_begin_with_the_first_frame_of_a_face(
    monkeypatch: pytest.MonkeyPatch, real_time: bool, first: int
) -> None:
    monkeypatch.setattr(module, "time", Clock())
    monkeypatch.setattr(module.AvatarFrame, "from_face", lambda face, *_: face)
    monkeypatch.setattr(module, "BlendShapes", lambda *_: None)
    pipeline = ScriptedPipeline([Person(still(300, 240), visible=lambda i: i >= 3)])
    pipeline.model = MODEL  # type: ignore[attr-defined]
    source, receiver = Walk(), Sent()
    frames = list(module.drive(source, pipeline, [receiver], real_time=real_time, gaze=False))  # type: ignore[arg-type, list-item]
    assert source.count == -1, "not closed"
    assert receiver == [len(found) for found in frames] == [0] * first + [1] * (12 - first)
