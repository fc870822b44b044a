"""The tracker in scenes where the place of every face in every frame is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from support.scripted_pipeline import (
    HZ,
    WIDTH,
    Person,
    ScriptedPipeline,
    frame_of,
    image_of,
    play,
    still,
)

from tddfa_ros.config import PipelineConfig, TrackingConfig
from tddfa_ros.errors import ImageError
from tddfa_ros.tracking.ids import TrackIds
from tddfa_ros.tracking.tracker import FaceTracker

LEFT, RIGHT = Person(still(150, 240)), Person(still(450, 240))


def tracker_of(*people: Person, **options: object) -> tuple[FaceTracker, ScriptedPipeline]:
    pipeline = ScriptedPipeline(list(people))
    return FaceTracker(pipeline, replace(TrackingConfig(), **options)), pipeline  # type: ignore[arg-type]


def names(frames: list[list]) -> list[list[str]]:
    return [[face.id for face in faces] for faces in frames]


def gone(*frames: range):
    """Visible but in these frames."""
    return lambda i: not any(i in f for f in frames)


def middle(face) -> np.ndarray:
    return face.box.reshape(2, 2).mean(axis=0)


def test_face_is_reported_from_second_frame():
    tracker, _ = tracker_of(LEFT)
    assert names(play(tracker, range(4))) == [[], ["f1"], ["f1"], ["f1"]]


@pytest.mark.parametrize("min_hits", [1, 2, 5])
def test_min_hits_is_the_number_of_frames_before_a_report(min_hits: int):
    tracker, _ = tracker_of(LEFT, min_hits=min_hits)
    reported = names(play(tracker, range(8)))
    assert reported == [[]] * (min_hits - 1) + [["f1"]] * (9 - min_hits)


def test_reported_fields():
    tracker, _ = tracker_of(LEFT)
    face = play(tracker, range(4))[-1][0]
    assert (face.id, face.stamp, face.age) == ("f1", 3 / HZ, 3)
    np.testing.assert_allclose(face.roi, LEFT.roi(3), atol=1e-3)
    np.testing.assert_allclose(middle(face), [150, 240], atol=1e-3)


def test_tracks_are_sorted_by_age_and_batched():
    tracker, pipeline = tracker_of(RIGHT, LEFT, Person(still(300, 100)), detect_interval=1000)
    reported = play(tracker, range(5))
    assert names(reported)[-1] == ["f1", "f2", "f3"]
    np.testing.assert_allclose([middle(f)[0] for f in reported[-1]], [450, 150, 300], atol=1e-3)
    assert pipeline.calls("regress") == [3] * 4
    assert pipeline.calls("align") == [3]


def test_detection_runs_in_every_frame_while_nothing_is_seen():
    tracker, pipeline = tracker_of()
    play(tracker, range(5))
    assert pipeline.log == [("detect", 0)] * 5


@pytest.mark.parametrize("interval", [1, 3, 8])
def test_detection_otherwise_runs_every_detect_interval_frames(interval: int):
    tracker, pipeline = tracker_of(LEFT, detect_interval=interval)
    play(tracker, range(1 + 2 * interval))
    assert pipeline.calls("detect") == [1] * 3
    assert pipeline.calls("align") == [1], "a face that is followed is not aligned again"


def test_deferred_detection_reports_one_frame_later():
    late = replace(RIGHT, visible=lambda i: i >= 10)
    at_once, _ = tracker_of(LEFT, late)
    later, pipeline = tracker_of(LEFT, late)
    expected = names(play(at_once, range(40)))
    reported = []
    for i in range(40):
        before = pipeline.calls("detect")
        faces = later.update(image_of(i), i / 30, defer_detection=True)
        if i > 0:  # something is tracked: the detector waits
            assert pipeline.calls("detect") == before
        later.run_deferred_detection()
        later.run_deferred_detection()  # nothing is left
        reported.append([face.id for face in faces])
    first = next(i for i, ids in enumerate(expected) if "f2" in ids)
    assert "f2" not in reported[first - 1]
    assert reported[first] == ["f1", "f2"] == reported[-1]
    assert len(pipeline.calls("detect")) == len([e for e in pipeline.log if e[0] == "detect"])
    assert later._pending is None


def test_new_face_is_found_by_next_detection():
    late = replace(RIGHT, visible=lambda i: i >= 3)
    tracker, _ = tracker_of(LEFT, late)
    reported = names(play(tracker, range(12)))
    assert reported[8] == ["f1"]  # found in the search of frame 8
    assert reported[9] == ["f1", "f2"]


def test_missed_face_recovers_its_id():
    blinked = replace(LEFT, visible=gone(range(10, 14)))
    tracker, _ = tracker_of(blinked, RIGHT)
    reported = names(play(tracker, range(20)))
    assert reported[9] == ["f1", "f2"]
    assert reported[10:14] == [["f2"]] * 4
    assert reported[14:] == [["f1", "f2"]] * 6


def test_detection_recovers_moved_track():
    def path(i: int):
        return (200, 240) if i < 10 else (260, 240)  # half a ROI: too far for the regressor

    moved = Person(path, visible=gone(range(10, 12)))
    tracker, pipeline = tracker_of(moved)
    reported = names(play(tracker, range(16)))
    assert reported[12:] == [["f1"]] * 4
    assert pipeline.calls("align") == [1, 1]


@pytest.mark.parametrize("max_lost_s", [0.0, 0.5, 2.0])
def test_track_ends_after_max_lost_s(max_lost_s: float):
    """Lost for less, the ID stays; lost for longer, it is not used again."""
    for absent, expected in (
        (round(max_lost_s * HZ) - 3, "f1"),
        (round(max_lost_s * HZ) + 3, "f2"),
    ):
        if absent < 1:
            continue
        person = replace(LEFT, visible=gone(range(5, 5 + absent)), look=0.0)
        tracker, _ = tracker_of(person, max_lost_s=max_lost_s)
        assert names(play(tracker, range(5 + absent + 3)))[-1] == [expected]


@pytest.mark.parametrize("hz", [5.0, 120.0])
def test_lost_tracks_age_by_time(hz: float):
    """The number of frames does not matter: 1.5 s are 7 or 180 of them."""
    absent = range(round(hz), round(2.5 * hz))
    tracker, _ = tracker_of(replace(LEFT, visible=gone(absent), look=0.0))
    for i in range(round(3.5 * hz)):
        faces = tracker.update(image_of(i), i / hz)
    assert [face.id for face in faces] == ["f1"]


def test_id_is_not_inherited_after_silence():
    """Hours after the last image somebody stands where somebody else stood."""
    tracker, _ = tracker_of(LEFT)
    play(tracker, range(5))
    later = [tracker.update(image_of(i), 5 * 3600 + i / HZ) for i in range(3)]
    assert names(later) == [[], ["f2"], ["f2"]]


def test_max_misses_limits_regression_of_lost_faces():
    tracker, pipeline = tracker_of(replace(LEFT, visible=lambda i: i < 5), RIGHT, max_misses=4)
    play(tracker, range(20))
    assert pipeline.calls("regress")[4:] == [2] * 4 + [1] * 11


def test_low_confidence_is_a_miss():
    doubtful = replace(LEFT, confidence=lambda i: 0.39 if 5 <= i < 8 else 0.41)
    tracker, _ = tracker_of(doubtful, RIGHT)
    reported = names(play(tracker, range(10)))
    assert reported[5:8] == [["f2"]] * 3
    assert reported[8] == ["f1", "f2"]


def test_unconfirmed_track_ends():
    """The network sees a face wherever it looks, so its confidence alone does not end a track on a wall."""
    ghost = replace(LEFT, detectable=lambda i: i < 10)
    for limit in (2, 0):
        tracker, _ = tracker_of(ghost, RIGHT, max_unconfirmed=limit, detect_interval=8)
        reported = names(play(tracker, range(60)))
        ended = next((i for i, ids in enumerate(reported) if i > 10 and "f1" not in ids), None)
        assert (ended is None) == (limit == 0)
        if ended is not None:
            assert 10 + 8 < ended <= 10 + 2 * 8
        assert all("f2" in ids for ids in reported[2:])


def test_occasional_detection_keeps_track():
    shy = replace(LEFT, detectable=lambda i: i < 10 or i % 24 < 8)
    tracker, _ = tracker_of(shy, RIGHT, max_unconfirmed=4, detect_interval=8)
    assert names(play(tracker, range(120)))[2:] == [["f1", "f2"]] * 118


def test_false_detection_starts_no_track():
    tracker, _ = tracker_of(replace(LEFT, confidence=lambda _: 0.2))
    assert names(play(tracker, range(5))) == [[]] * 5


def test_tentative_track_uses_no_id():
    flash = replace(RIGHT, visible=lambda i: i == 0)
    late = replace(LEFT, visible=lambda i: i > 3)
    tracker, _ = tracker_of(flash, late)
    assert names(play(tracker, range(8)))[-1] == ["f1"]


def test_face_leaving_image_is_a_miss():
    leaving = Person(lambda i: (500 + 10 * i, 240))
    tracker, _ = tracker_of(leaving)
    reported = play(tracker, range(30))
    last = max(i for i, faces in enumerate(reported) if faces)
    assert leaving.path(last)[0] <= WIDTH - 1 < leaving.path(last + 1)[0]


def test_face_at_image_border_is_tracked():
    tracker, _ = tracker_of(Person(still(5, 5)))
    assert names(play(tracker, range(3)))[-1] == ["f1"]


def test_too_small_face_is_a_miss():
    shrinking = Person(still(300, 240), side=lambda i: 40 - i)
    tracker, _ = tracker_of(shrinking, min_roi_px=20.0)
    reported = play(tracker, range(30))
    assert [bool(f) for f in reported[18:22]] == [True, True, True, False]


def test_growing_roi_is_a_miss():
    bursting = Person(
        still(300, 240), side=lambda i: 120.0 if i < 5 else 400.0, detectable=lambda i: i < 5
    )
    tracker, _ = tracker_of(bursting)
    assert names(play(tracker, range(7)))[4:] == [["f1"], [], []]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_parameters_that_are_not_finite_are_a_miss(bad: float, monkeypatch: pytest.MonkeyPatch):
    undetected = replace(LEFT, detectable=lambda i: not 3 <= i < 5)
    tracker, pipeline = tracker_of(undetected, RIGHT)
    play(tracker, range(3))
    regress = pipeline.regress

    def broken(image, rois, intrinsics=None):
        faces = regress(image, rois, intrinsics)
        params = faces[0].params.copy()
        params[20] = bad
        return [replace(faces[0], params=params), *faces[1:]]

    monkeypatch.setattr(pipeline, "regress", broken)
    assert names(play(tracker, range(3, 5))) == [["f2"]] * 2
    monkeypatch.undo()
    assert names(play(tracker, range(5, 6))) == [["f1", "f2"]]


def test_duplicate_tracks_keep_the_older():
    """The right head passes behind the left one, and its track slides onto the face in front."""

    def path(i: int):
        return (max(150.0, 450 - 10 * i), 240.0)

    behind = Person(path, visible=lambda i: path(i)[0] > 190, detectable=lambda i: path(i)[0] > 190)
    tracker, _ = tracker_of(LEFT, behind)
    reported = play(tracker, range(45))
    assert names(reported)[20] == ["f1", "f2"]
    assert names(reported)[-1] == ["f1"]
    assert all(len(ids) == len(set(ids)) for ids in names(reported))


def test_lost_track_does_not_steal_other_face():
    """f1 vanishes beside f2, which then walks over the place where f1 was: f2 keeps its name."""
    vanishing = Person(still(300, 240), visible=lambda i: i < 10)
    walking = Person(lambda i: (450 - 8 * max(0, i - 10), 240.0))
    tracker, _ = tracker_of(vanishing, walking)
    reported = names(play(tracker, range(40)))
    assert reported[9] == ["f1", "f2"]
    assert reported[10:] == [["f2"]] * 30


def test_adjacent_faces_keep_two_tracks():
    pair = Person(still(280, 240)), Person(still(340, 240))  # half a ROI apart
    tracker, _ = tracker_of(*pair)
    assert names(play(tracker, range(20)))[-1] == ["f1", "f2"]


def test_ids_are_never_reused():
    coming_and_going = replace(LEFT, visible=lambda i: i % 30 < 10)
    tracker, _ = tracker_of(coming_and_going, max_lost_s=0.5)
    seen = []
    for ids in names(play(tracker, range(120))):
        seen += [i for i in ids if i not in seen]
    assert seen == ["f1", "f2", "f3", "f4"]


def test_ids_start_with_prefix():
    tracker = FaceTracker(ScriptedPipeline([LEFT, RIGHT]), ids=TrackIds("left_"))
    assert names(play(tracker, range(3)))[-1] == ["left_f1", "left_f2"]


def test_ids_continue_in_a_new_tracker():
    """A managed node that is cleaned up and configured again."""
    ids = TrackIds()
    for expected in (["f1"], ["f2"]):
        tracker = FaceTracker(ScriptedPipeline([LEFT]), ids=ids)
        assert names(play(tracker, range(3)))[-1] == expected


class ScriptedMotion:
    """Motion of the background by frame; counts the resets."""

    def __init__(self, by_frame: Callable[[int], np.ndarray]) -> None:
        self.by_frame = by_frame
        self.resets = 0

    def __call__(self, image: np.ndarray) -> np.ndarray:
        frame = frame_of(image)
        return self.by_frame(frame) if frame else np.zeros(2)

    def reset(self) -> None:
        self.resets += 1


def walk(x: float, speed: float, **attributes: object) -> Person:
    """A face that walks with a constant speed in px per frame."""
    return Person(lambda i: (x + speed * i, 240.0), **attributes)  # type: ignore[arg-type]


def test_crossing_people_keep_their_ids():
    """f1 walks behind f2: while only f2 is visible, both tracks see the same face, and f2 must keep it."""
    front = walk(500, -4, look=3.0)
    hidden = range(40, 60)  # less than 80 px apart: the network sees the face in front
    behind = walk(100, 4, visible=gone(hidden), look=0.0)
    tracker, _ = tracker_of(behind, front)
    reported = play(tracker, range(100))
    assert names(reported)[39] == names(reported)[-1] == ["f1", "f2"]
    for i, faces in enumerate(reported):
        for face in faces:
            person = {"f1": behind, "f2": front}[face.id]
            assert person.visible(i) and abs(middle(face)[0] - person.path(i)[0]) < 15, i


def test_occluded_face_that_walks_on_keeps_its_id():
    """Half a second behind a pillar at 6 px per frame: 90 px from where it was lost."""
    person = walk(150, 6, visible=gone(range(20, 35)))
    tracker, _ = tracker_of(person, RIGHT)
    assert names(play(tracker, range(42)))[-1] == ["f1", "f2"]


def test_face_is_detected_at_once_when_a_track_is_lost():
    """Faces in view do not delay the search for a lost one to the next periodic detection."""
    jumping = Person(lambda i: (100.0 if i < 20 else 180.0, 240.0), look=0.0)
    tracker, pipeline = tracker_of(jumping, RIGHT, detect_interval=1000)
    reported = names(play(tracker, range(25)))
    assert reported[20:] == [["f1", "f2"]] * 5
    assert len(pipeline.calls("detect")) == 2


def test_person_who_returns_elsewhere_is_recognized_by_appearance():
    def person(look: float) -> Person:
        path = lambda i: (60.0, 120.0) if i < 20 else (560.0, 360.0)  # noqa: E731
        return Person(path, visible=gone(range(20, 50)), look=look)

    tracker, _ = tracker_of(person(0.0))
    assert names(play(tracker, range(60)))[-1] == ["f1"]


def test_id_is_not_handed_to_another_person():
    """Somebody else appears where a person was a second ago."""
    first = Person(still(300, 240), visible=lambda i: i < 20, look=0.0)
    second = Person(still(310, 240), visible=lambda i: i >= 50, look=3.5)
    tracker, _ = tracker_of(first, second)
    assert names(play(tracker, range(60)))[-1] == ["f2"]


def test_id_is_not_handed_to_a_face_that_is_never_seen_clearly():
    """Somebody half covered comes out where another one has just been covered: the position alone is no proof."""
    first = Person(still(300, 240), visible=lambda i: i < 20, look=0.0)
    second = Person(still(305, 240), visible=lambda i: i >= 24, look=3.5, confidence=lambda _: 0.53)
    tracker, _ = tracker_of(first, second)
    reported = names(play(tracker, range(40)))
    assert reported[19] == ["f1"]
    assert not any("f1" in ids for ids in reported[24:])
    assert reported[-1] == ["f2"]


def test_appearance_decides_who_of_two_returns():
    """Both leave; the second to leave returns first, on the other side."""
    first = Person(still(100, 240), visible=lambda i: i < 20, look=0.0)
    paths = Person(lambda i: (540.0 if i < 25 else 110.0, 240.0), visible=gone(range(25, 45)), look=3.0)  # fmt: skip
    tracker, _ = tracker_of(first, paths)
    assert names(play(tracker, range(60)))[-1] == ["f2"]


def test_track_that_drifts_onto_another_person_is_lost():
    """f1 disappears behind somebody whom no detection has found yet; the network follows the face in front."""
    first = Person(still(300, 240), visible=lambda i: i < 20, look=0.0, confidence=lambda i: 0.9 if i < 18 else 0.8)  # fmt: skip
    front = Person(lambda i: (300 + max(0, i - 20) * 5, 240.0), visible=lambda i: i >= 20, look=3.5)
    tracker, _ = tracker_of(first, front)
    reported = names(play(tracker, range(40)))
    assert reported[19] == ["f1"]
    assert not any("f1" in ids for ids in reported[20:])
    assert reported[-1] == ["f2"]


def test_weak_detection_recovers_a_track_but_starts_none():
    """A score of 0.3 is no new face, but enough to find a known one again."""
    weak = replace(LEFT, visible=gone(range(10, 24)), score=lambda i: 0.9 if i < 10 else 0.3)
    stranger = Person(still(300, 100), score=lambda _: 0.3)
    tracker, _ = tracker_of(weak, RIGHT, stranger, max_misses=0)
    assert names(play(tracker, range(30)))[-1] == ["f1", "f2"]


@pytest.mark.parametrize("compensate", [True, False])
def test_camera_motion_moves_the_predicted_roi(compensate: bool):
    """The camera jumps by half an ROI to and fro: too far for the regressor, unless the ROI jumps along."""
    jump = lambda i: 60.0 * (i % 2)  # noqa: E731
    person = Person(lambda i: (300 + jump(i), 240.0), detectable=lambda i: i == 0)
    motion = ScriptedMotion(lambda i: np.array([jump(i) - jump(i - 1), 0.0]))
    pipeline = ScriptedPipeline([person])
    config = TrackingConfig(camera_motion=compensate, max_unconfirmed=0)
    tracker = FaceTracker(pipeline, config, camera_motion=motion)
    reported = names(play(tracker, range(20)))
    assert (reported[1:] == [["f1"]] * 19) == compensate


def test_reset_ends_tracks_and_continues_ids():
    tracker, pipeline = tracker_of(LEFT, RIGHT)
    play(tracker, range(3))
    tracker.reset()
    pipeline.log.clear()
    assert names(play(tracker, range(3, 5))) == [[], ["f3", "f4"]]
    assert pipeline.log[0] == ("detect", 2)


def test_backward_stamp_resets_tracker():
    motion = ScriptedMotion(lambda _: np.zeros(2))
    tracker = FaceTracker(ScriptedPipeline([LEFT]), camera_motion=motion)
    play(tracker, range(100, 104))
    assert names(play(tracker, range(3))) == [[], ["f2"], ["f2"]]
    assert motion.resets == 1


@pytest.mark.parametrize("back", [1e-9, 0.04, 0.9])
def test_late_images_are_ignored(back: float):
    """A message out of order by 1 ns ended all tracks: 13 IDs in 60 messages."""
    tracker, _ = tracker_of(LEFT)
    for i in range(60):
        stamp = 10.0 + i / HZ
        found = tracker.update(image_of(i), stamp)
        if i > 2:
            assert [f.id for f in found] == ["f1"]
            assert tracker.update(image_of(i), stamp - back) == []


def test_repeated_stamp_is_a_regular_frame():
    tracker, _ = tracker_of(Person(lambda i: (200 + 5 * i, 240)))
    play(tracker, range(5))
    again = tracker.update(image_of(5), 4 / HZ)
    assert [f.id for f in again] == ["f1"]
    np.testing.assert_allclose(middle(again[0]), [225, 240], atol=0.1)
    assert names(play(tracker, range(6, 8))) == [["f1"]] * 2


@pytest.mark.parametrize("stamp", [math.nan, math.inf])
def test_non_finite_stamp_raises_and_keeps_tracks(stamp: float):
    tracker, _ = tracker_of(LEFT)
    play(tracker, range(3))
    with pytest.raises(ImageError, match="stamp"):
        tracker.update(image_of(3), stamp)
    assert names(play(tracker, range(3, 4))) == [["f1"]]


def test_invalid_image_raises_and_keeps_tracks():
    tracker, _ = tracker_of(LEFT)
    play(tracker, range(3))
    with pytest.raises(ImageError):
        tracker.update(np.zeros((0, 0, 3), dtype=np.uint8), 3 / HZ)
    assert names(play(tracker, range(3, 4))) == [["f1"]]


def swing(peak: float, hz: float) -> Person:
    """A face that swings with a peak speed of ``peak`` ROI sides per frame."""
    amplitude = peak * 120 * HZ / (2 * math.pi * hz)
    return Person(lambda i: (320 + amplitude * math.sin(2 * math.pi * hz * i / HZ), 240.0))


def test_prediction_follows_accelerating_face():
    """At 0.53 ROI sides per frame it is outside the last ROI's reach of 0.45: only the prediction finds it."""
    xs = 40 + np.cumsum(4.0 * np.arange(17))
    assert xs[-1] - xs[-2] > 0.5 * 120
    tracker, pipeline = tracker_of(Person(lambda i: (xs[i], 240.0)), detect_interval=1000)
    reported = play(tracker, range(17))
    assert names(reported)[1:] == [["f1"]] * 16
    assert len(pipeline.calls("detect")) == 1


def test_sudden_motion_is_regressed_again():
    """0.35 ROI sides in one frame: the first look is 4 px off, the second is not."""
    tracker, pipeline = tracker_of(
        Person(lambda i: (200 if i < 5 else 242, 240.0)), detect_interval=1000
    )
    reported = play(tracker, range(6))
    np.testing.assert_allclose(middle(reported[5][0]), [242, 240], atol=0.1)
    assert pipeline.calls("regress") == [1] * 6


@pytest.mark.parametrize("peak", [0.1, 0.3, 0.42])
def test_fast_motion_is_followed(peak: float):
    """A swing, with its turning points, where a prediction overshoots."""
    person = swing(peak, 1.5)
    # It starts at full speed; the detector catches it until the motion is known.
    tracker, _ = tracker_of(person, min_hits=1, detect_interval=1000)
    reported = play(tracker, range(60))
    assert {i for ids in names(reported)[1:] for i in ids} == {"f1"}
    errors = [np.hypot(*(middle(f[0]) - person.path(i))) for i, f in enumerate(reported) if f]
    assert len(errors) == 60
    assert max(errors[5:]) < 3.0


def test_constant_face_has_constant_roi():
    rng = np.random.default_rng(0)
    jitter = rng.normal(scale=0.5, size=(60, 2))
    tracker, _ = tracker_of(Person(lambda i: (300 + jitter[i, 0], 240 + jitter[i, 1])))
    reported = play(tracker, range(60))
    rois = np.stack([f[0].roi for f in reported[10:]])
    np.testing.assert_allclose(rois[:, :2] + 60, 300 - np.array([0, 60]) + jitter[9:59], atol=1e-3)


def test_prediction_uses_stamps():
    """The same motion with every second frame dropped: the prediction must reach twice as far."""
    person = Person(lambda i: (100 + 6 * i, 240))
    tracker, _ = tracker_of(person, detect_interval=1000)
    for i in [*range(10), *range(10, 60, 2)]:
        faces = tracker.update(image_of(i), i / HZ)
        if i > 20:
            shift = faces[0].roi.reshape(2, 2).mean(axis=0)[0] - person.path(i - 2)[0]
            assert shift == pytest.approx(0.8 * 12, abs=0.1)


def test_no_prediction_after_pause():
    tracker, _ = tracker_of(Person(lambda i: (100 + 6 * min(i, 20), 240)))
    play(tracker, range(20))
    faces = tracker.update(image_of(20), 20 / HZ + 1)
    np.testing.assert_allclose(faces[0].roi.reshape(2, 2).mean(axis=0), [214, 240], atol=0.1)


def test_timings_cover_the_whole_frame():
    tracker, _ = tracker_of(LEFT, detect_interval=1)
    play(tracker, range(3))
    assert tracker.timings == {"regress": 1.0, "detect": 1.0}


def test_configure_reaches_tracker_and_pipeline():
    tracker, pipeline = tracker_of(LEFT)
    config = PipelineConfig(tracking=TrackingConfig(min_confidence=0.95))
    tracker.configure(config)
    assert pipeline.config is config
    assert names(play(tracker, range(3))) == [[]] * 3


def crowd(count: int = 20) -> list[Person]:
    return [
        Person(still(60 + 120 * (k % 5), 50 + 110 * (k // 5)), side=lambda _: 80.0)
        for k in range(count)
    ]


def test_twenty_faces():
    tracker, _ = tracker_of(*crowd())
    assert names(play(tracker, range(10)))[-1] == [f"f{i + 1}" for i in range(20)]


@pytest.mark.parametrize(("budget", "most"), [(8, 8), (3, 7), (0, 20), (20, 20)])
def test_regressions_per_frame_are_limited(budget: int, most: int):
    """However small the limit, no face may be older than 3 frames: 7 of 20 are the least."""
    tracker, pipeline = tracker_of(*crowd(), max_regressed=budget, detect_interval=1000)
    reported = names(play(tracker, range(30)))
    assert max(pipeline.calls("regress")[3:]) == most
    assert all(len(ids) == 20 for ids in reported[2:])


def test_no_face_is_older_than_three_frames():
    """Of many faces the moving and large ones come first, and still none waits for more than 2 frames."""
    moving = Person(lambda i: (500 + 4 * (i % 2), 430.0), side=lambda _: 80.0)
    tracker, _ = tracker_of(*crowd(), moving, max_regressed=8, detect_interval=1000)
    play(tracker, range(5))
    regressed: list[set[str]] = []
    for i in range(5, 35):
        faces = tracker.update(image_of(i), i / HZ)
        regressed.append({t.id for t in tracker._tracks if not t.waiting and t.id})
    everyone = {face.id for face in faces}
    assert len(everyone) == 21
    for k in range(len(regressed) - 2):
        assert regressed[k] | regressed[k + 1] | regressed[k + 2] == everyone
    turns = {name: sum(name in ids for ids in regressed) for name in everyone}
    assert turns["f21"] == max(turns.values()) > min(turns.values())


def test_waiting_faces_are_extrapolated():
    walkers = [
        Person(lambda i, k=k: (60 + 120 * (k % 5) + 1.5 * i, 50 + 110 * (k // 5)), lambda _: 80.0)
        for k in range(20)
    ]
    tracker, _ = tracker_of(*walkers, max_regressed=7)
    for i, faces in enumerate(play(tracker, range(25))):
        if i > 6:
            assert len(faces) == 20
            for face in faces:
                person = walkers[int(face.id[1:]) - 1]
                assert np.hypot(*(middle(face) - person.path(i))) < 2.5
                np.testing.assert_allclose(middle(face), face.landmarks68[:, :2].min(0) / 2 + face.landmarks68[:, :2].max(0) / 2, atol=0.1)  # fmt: skip


def test_tracking_is_deterministic():
    def once() -> list:
        tracker, _ = tracker_of(swing(0.2, 1.0), replace(LEFT, visible=gone(range(5, 9))))
        return [
            (f.id, f.age, f.params.tobytes()) for faces in play(tracker, range(40)) for f in faces
        ]

    assert once() == once()
