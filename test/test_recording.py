"""Recordings: every face in every frame in which it is found, and in no other."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.scripted_pipeline import HZ, Person, ScriptedPipeline, image_of, still

from tddfa_ros.config import SMOOTHING_METHODS, SmoothingConfig
from tddfa_ros.recording import RecordingTracker


def person(x: float, frames: range) -> Person:
    return Person(still(x, 240), visible=lambda i: i in frames, look=x / 100)


def reported(
    people: list[Person], count: int, look_ahead: int = 6, method: str = "imm", **tracking: object
) -> list[tuple[int, list[str]]]:
    """Return frame number and IDs of each frame, in the order of the result."""
    pipeline = ScriptedPipeline(people)
    pipeline.config = replace(
        pipeline.config,
        tracking=replace(pipeline.config.tracking, detect_interval=1, **tracking),
        smoothing=SmoothingConfig(method=method),
    )
    recording: RecordingTracker[int] = RecordingTracker(pipeline, look_ahead=look_ahead)  # type: ignore[arg-type]
    found = []
    for i in range(count):
        found += recording.step(image_of(i), i / HZ, i)
    found += recording.finish()
    assert recording.ids == {face.id for _, faces in found for face in faces}
    assert all(face.stamp == i / HZ for i, faces in found for face in faces)
    return [(i, [face.id for face in faces]) for i, faces in found]


@pytest.mark.parametrize("min_hits", [1, 2, 8, 20])
@pytest.mark.parametrize("look_ahead", [1, 6])
def test_faces_are_reported_from_their_first_frame(min_hits: int, look_ahead: int) -> None:
    first, second = person(120, range(3, 60)), person(400, range(25, 50))
    found = reported([first, second], 60, look_ahead, min_hits=min_hits)
    expected = [(i, ["f1"] * (i >= 3) + ["f2"] * (25 <= i < 50)) for i in range(60)]
    assert found == expected


@pytest.mark.parametrize("method", SMOOTHING_METHODS)
def test_every_filter_reports_the_same_frames(method: str) -> None:
    assert reported([person(120, range(2, 20))], 20, method=method) == [
        (i, ["f1"] if i >= 2 else []) for i in range(20)
    ]


def test_false_detections_are_not_reported() -> None:
    people = [person(120, range(30)), person(400, range(10, 11)), person(540, range(29, 30))]
    assert reported(people, 30) == [(i, ["f1"]) for i in range(30)]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_recording_of_few_frames(count: int) -> None:
    assert reported([person(120, range(9))], count) == [(i, ["f1"]) for i in range(count)]


def test_recording_without_frames_or_faces() -> None:
    assert reported([person(120, range(9))], 0) == []
    assert reported([], 3) == [(0, []), (1, []), (2, [])]


def test_live_stream_is_not_delayed() -> None:
    found = reported([person(120, range(9))], 4, look_ahead=0)
    assert found == [(0, []), (1, ["f1"]), (2, ["f1"]), (3, ["f1"])]
