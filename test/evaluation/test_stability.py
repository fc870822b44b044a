from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.fake_predictor import FakePredictor, box_area_root, random_points

from tddfa_ros.errors import SourceError
from tddfa_ros.evaluation.scenes import Scene
from tddfa_ros.evaluation.stability import (
    NOISE,
    RATE,
    figures,
    follow,
    moving_shots,
    still_shots,
    video_shots,
)
from tddfa_ros.sources.virtual_camera import VirtualCamera

POINTS = random_points(1)[0].astype(float)
FACE = np.array([100.0, 80, 200, 180])


def photo(value: int = 128) -> Scene:
    return Scene("a", np.full((300, 320, 3), value, np.uint8), FACE, FACE[None])


def test_std_of_known_noise() -> None:
    noise = np.random.default_rng(0).normal(0, 0.5, (300, 68, 2))
    track = POINTS + noise
    expected = 100 * 0.5 * np.sqrt(2) / box_area_root(POINTS)
    found = figures([track], [track])
    assert found["seen"] == 1.0
    assert found["std"] == pytest.approx(expected, rel=0.03)
    assert found["frame to frame"] == pytest.approx(expected, rel=0.03)


def test_constant_velocity_has_no_jitter() -> None:
    path = np.concatenate([np.zeros(20), np.arange(30.0)])
    track = POINTS + path[:, None, None]
    found = figures([track], [track[:20]])
    assert found["std"] == pytest.approx(0, abs=1e-9)
    # The start of the motion gives one second difference of (1, 1) in 48 frames.
    bend = np.sqrt(2 / 48 / 6) * 100 / box_area_root(POINTS)
    assert found["frame to frame"] == pytest.approx(bend)


def test_frames_without_face_count_as_lost_only() -> None:
    track = np.repeat(POINTS[None], 40, axis=0)
    track[10:20] = np.nan
    found = figures(
        [track], [track, track[8:22]]
    )  # the face is detected in 4 of 14 frames of the second part
    assert found == {"seen": 0.75, "std": 0.0, "frame to frame": 0.0}
    nothing = figures([np.full((5, 68, 2), np.nan)], [np.full((5, 68, 2), np.nan)])
    assert nothing == {"seen": 0.0, "std": None, "frame to frame": None}


def test_camera_motion_is_compensated() -> None:
    center = tuple(FACE.reshape(2, 2).mean(axis=0))
    camera = VirtualCamera(photo().image, anchor=center, zoom=2.0, rate=RATE)

    def perfect(image: np.ndarray, seconds: float) -> dict[str, np.ndarray]:
        similarity = camera.similarity(seconds)
        return {"a": POINTS @ similarity[:, :2].T + similarity[:, 2]}

    track = follow(FakePredictor(follow=perfect), moving_shots(photo(), 30))["a"]
    assert track.shape == (30, 68, 2)
    np.testing.assert_allclose(track, np.broadcast_to(POINTS, track.shape), atol=1e-6)


def test_every_variant_has_a_track_with_gaps() -> None:
    def often_blind(image: np.ndarray, seconds: float) -> dict[str, np.ndarray | None]:
        return {"a": POINTS, "b": None if seconds < 2 / RATE else POINTS}

    tracks = follow(FakePredictor(follow=often_blind), still_shots(photo(), 5))
    assert np.isfinite(tracks["b"]).all(axis=(1, 2)).tolist() == [False, False, True, True, True]
    assert np.isfinite(tracks["a"]).all()


def test_still_video_differs_by_noise_only() -> None:
    images = [image.astype(float) for image, _, _ in still_shots(photo(), 4)]
    assert images[0].shape == (480, 640, 3)
    for a, b in pairwise(images):
        assert np.std(a - b) == pytest.approx(NOISE * np.sqrt(2), rel=0.02)
    again = next(iter(still_shots(photo(), 1)))[0]
    np.testing.assert_array_equal(again, images[0])


def test_finds_quietest_segment(tmp_path: Path) -> None:
    path = tmp_path / "video.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    assert writer.isOpened()
    for i in range(50):
        moves = not 20 <= i < 30
        writer.write(np.full((48, 64, 3), 40 + 15 * (i % 10) if moves else 90, np.uint8))
    writer.release()
    quiet: list[slice] = []
    shots = list(video_shots(path, None, quiet))
    assert len(shots) == 50
    assert [second for _, second, _ in shots[:3]] == [0.0, 0.1, 0.2]
    assert quiet == [slice(20, 30)]
    assert len(list(video_shots(path, 2, []))) == 20


def test_names_missing_video(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="head_motion"):
        list(video_shots(tmp_path / "head_motion.mp4", None, []))
