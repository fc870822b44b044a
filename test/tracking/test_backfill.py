"""Faces of the images before a track gets its ID."""

from __future__ import annotations

import numpy as np
import pytest
from support.scripted_pipeline import HZ, Person, ScriptedPipeline, image_of, still

from tddfa_ros.config import TrackingConfig
from tddfa_ros.tracking import FaceTracker

LEFT = Person(still(150, 240), look=0.0)


def tracker_of(*people: Person, **options: object) -> FaceTracker:
    return FaceTracker(ScriptedPipeline(list(people)), TrackingConfig(**options))  # type: ignore[arg-type]


def seen_at(frames: range) -> Person:
    return Person(still(450, 240), visible=lambda i: i in frames, look=3.0)


@pytest.mark.parametrize("min_hits", [1, 2, 5])
def test_confirmed_face_has_its_earlier_images(min_hits: int) -> None:
    tracker = tracker_of(LEFT, min_hits=min_hits)
    for i in range(12):
        faces = tracker.update(image_of(i), i / HZ)
        expected = list(range(min_hits - 1)) if i == min_hits - 1 else []
        assert [i - ago for ago, _ in tracker.earlier] == expected
        assert [face.age for _, face in tracker.earlier] == expected
        assert [face.stamp for _, face in tracker.earlier] == [j / HZ for j in expected]
        assert {face.id for _, face in tracker.earlier} <= {"f1"}
        assert [face.age for face in faces] == ([i] if i >= min_hits - 1 else [])
    assert tracker.finish() == []


def test_false_face_has_none() -> None:
    """A detection in one image that no other image confirms, in the middle and at the end."""
    tracker = tracker_of(LEFT, seen_at(range(8, 9)), seen_at(range(19, 20)), detect_interval=1)
    found = []
    for i in range(20):
        tracker.update(image_of(i), i / HZ)
        found += tracker.earlier
    assert [face.id for _, face in [*found, *tracker.finish()]] == ["f1"]


def test_recovered_face_has_its_earlier_images_under_the_old_id() -> None:
    """Somebody returns elsewhere, half covered at first: the ID is decided some images later."""
    person = Person(
        lambda i: (60.0, 120.0) if i < 20 else (560.0, 360.0),
        visible=lambda i: i < 20 or i >= 50,
        confidence=lambda i: 0.53 if 50 <= i < 53 else 0.9,
        look=0.0,
    )
    tracker = tracker_of(person)
    reported: dict[int, list[tuple[str, int]]] = {}
    for i in range(70):
        for face in tracker.update(image_of(i), i / HZ):
            reported.setdefault(i, []).append((face.id, face.age))
        for ago, face in tracker.earlier:
            assert face.stamp == (i - ago) / HZ
            assert ago <= tracker.confirmation_frames
            reported.setdefault(i - ago, []).append((face.id, face.age))
    expected = {i: [("f1", i)] for i in (*range(20), *range(50, 70))}
    assert reported == expected


@pytest.mark.parametrize(("count", "min_hits"), [(1, 2), (1, 10), (4, 10)])
def test_short_recording_is_confirmed_by_all_its_images(count: int, min_hits: int) -> None:
    tracker = tracker_of(LEFT, seen_at(range(count - 1)), min_hits=min_hits)
    assert not any(tracker.update(image_of(i), i / HZ) for i in range(count))
    found = tracker.finish()
    assert [(ago, face.id) for ago, face in found] == [(count - 1 - i, "f1") for i in range(count)]
    assert tracker.finish() == []


def test_earlier_faces_equal_the_regressed_ones() -> None:
    """They have the fields of the faces that a tracker without confirmation reports."""
    moving = Person(lambda i: (150.0 + 3 * i, 240.0), look=0.0)
    direct, late = tracker_of(moving, min_hits=1), tracker_of(moving, min_hits=4)
    expected = [direct.update(image_of(i), i / HZ)[0] for i in range(4)]
    for i in range(4):
        late.update(image_of(i), i / HZ)
    for (_, face), other in zip(late.earlier, expected, strict=False):
        np.testing.assert_array_equal(face.params, other.params)
        np.testing.assert_array_equal(face.box, other.box)
        assert (face.id, face.stamp, face.age) == (other.id, other.stamp, other.age)
