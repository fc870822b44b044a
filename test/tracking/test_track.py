from __future__ import annotations

import numpy as np
import pytest
from support.scripted_pipeline import Person, ScriptedPipeline, image_of, still

from tddfa_ros.tracking.track import Track

ROI = np.array([100.0, 100.0, 200.0, 200.0])
FACE = ScriptedPipeline([Person(still(150, 150))]).regress(image_of(0), ROI[None])[0]


def moving(step: float, dt: float = 0.1) -> Track:
    """A track that has just moved right by ``step`` px in ``dt`` seconds."""
    track = Track(FACE, ROI, 10.0)
    track.begin_frame(np.zeros(2), 10.1)
    track.hit(FACE, ROI + [step, 0, step, 0], 10.0 + dt)
    track.end_frame()
    return track


@pytest.mark.parametrize(
    ("step", "dt", "shift"),
    [
        (10.0, 0.1, 8.0),  # 80 % of the motion
        (10.0, 0.05, 4.0),  # for half the time
        (-10.0, 0.2, -16.0),
        (2.0, 0.1, 0.0),  # 1.6 % of the ROI: noise
        (40.0, 0.2, 50.0),  # never more than half the ROI
        (10.0, 0.3, 0.0),  # too long ago
        (10.0, 0.0, 0.0),
    ],
)
def test_prediction(step: float, dt: float, shift: float):
    track = moving(step)
    expected = ROI + [step + shift, 0, step + shift, 0]
    np.testing.assert_allclose(track.predicted_roi(10.1 + dt), expected)


def test_coasting_track_moves_on():
    """After steps of 10 px per 0.1 s it is expected 10 px further on, less what damping takes."""
    track = Track(FACE, ROI, 10.0)
    for k in range(1, 11):
        track.begin_frame(np.zeros(2), 10 + 0.1 * k)
        track.hit(FACE, ROI + [10 * k, 0, 10 * k, 0], 10 + 0.1 * k)
        track.end_frame()
    track.begin_frame(np.zeros(2), 11.1)
    track.end_frame()
    assert track.coasting
    moved = track.predicted_roi(11.1) - ROI
    np.testing.assert_allclose(moved[[1, 3]], 0.0, atol=1e-6)
    np.testing.assert_allclose(moved[[0, 2]], 110.0, atol=4.0)


def test_camera_motion_moves_a_track_and_is_not_its_velocity():
    track = Track(FACE, ROI, 10.0)
    for k in (1, 2):
        track.begin_frame(np.array([30.0, 0.0]), 10 + 0.1 * k)
        track.hit(FACE, ROI + [30 * k, 0, 30 * k, 0], 10 + 0.1 * k)
        track.end_frame()
    np.testing.assert_allclose(track.predicted_roi(10.3), ROI + [60, 0, 60, 0])


def test_recovered_track_has_zero_velocity():
    track = moving(10.0)
    track.begin_frame(np.zeros(2), 10.1)
    track.end_frame()
    track.begin_frame(np.zeros(2), 10.1)
    track.hit(FACE, ROI + 80, 10.3)
    track.end_frame()
    np.testing.assert_array_equal(track.predicted_roi(10.4), ROI + 80)


def test_misses_are_counted_in_a_row_and_age_in_frames():
    track = Track(FACE, ROI, 0.0)
    counted = []
    for i, seen in enumerate([True, False, False, True, False]):
        track.begin_frame(np.zeros(2), 0.1 * (i + 1))
        if seen:
            track.hit(FACE, ROI, 0.1 * (i + 1))
        track.end_frame()
        counted.append((track.age, track.hits, track.misses))
    assert counted == [(1, 2, 0), (2, 2, 1), (3, 2, 2), (4, 3, 0), (5, 3, 1)]


@pytest.mark.parametrize(("shift", "moved"), [(14.0, 0.0), (16.0, 16.0)])
def test_small_camera_motion_leaves_the_roi_of_a_tracked_face(shift: float, moved: float):
    """The regressor follows 15 % of an ROI by itself."""
    track = Track(FACE, ROI, 10.0)
    track.begin_frame(np.array([shift, 0.0]), 10.1)
    np.testing.assert_allclose(track.roi, ROI + [moved, 0, moved, 0])
