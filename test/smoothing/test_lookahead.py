"""Smoothing that knows what follows: order, delay, lag, and the borders of a track."""

from __future__ import annotations

import numpy as np
import pytest
from support.synthetic_model import frontal_params, synthetic_model

from tddfa_ros.config import SMOOTHING_METHODS, SmoothingConfig
from tddfa_ros.face import TrackedFace
from tddfa_ros.geometry import pose
from tddfa_ros.smoothing.lookahead import LookaheadSmoother
from tddfa_ros.smoothing.smoother import FaceSmoother

MODEL = synthetic_model()
HZ, SIZE, NOISE_PX = 30.0, 200.0, 0.25
EXTENT = float(np.sqrt(np.prod(np.ptp(MODEL.head_landmarks(frontal_params(MODEL))[:, :2], axis=0))))


def face(stamp: float, x: float, track: str = "f1") -> TrackedFace:
    roi = np.array([x - 120, 120, x + 120, 360.0])
    params = frontal_params(MODEL)
    placed = pose.Similarity(SIZE / EXTENT, np.eye(3), np.array([x, 240.0, 0.0]))
    params[:12] = pose.crop_pose(placed, roi).ravel()
    return TrackedFace(roi, 1.0, params, roi, MODEL, id=track, stamp=stamp)


def smoothed(
    smoother: LookaheadSmoother, frames: list[list[TrackedFace]]
) -> list[list[TrackedFace]]:
    out = [ready for faces in frames if (ready := smoother.push(faces)) is not None]
    return out + [smoother.pop() for _ in range(len(smoother))]


def x_of(frames: list[list[TrackedFace]]) -> np.ndarray:
    return np.array([faces[0].image_pose.translation[0] for faces in frames])


def swing(seed: int = 0, noise: float = NOISE_PX) -> tuple[np.ndarray, list[list[TrackedFace]]]:
    t = np.arange(90) / HZ
    path = 320 + 60 * np.sin(2 * np.pi * 0.8 * t)
    measured = path + np.random.default_rng(seed).normal(scale=noise, size=t.size)
    return path, [[face(s, x)] for s, x in zip(t, measured, strict=True)]


def test_frames_come_in_order_after_the_delay() -> None:
    smoother = LookaheadSmoother(frames=4)
    frames = [[face(i / HZ, 300.0 + i)] for i in range(10)]
    ready = [smoother.push(faces) for faces in frames]
    assert [r is None for r in ready] == [True] * 4 + [False] * 6
    assert [r[0].stamp for r in ready if r] == [f[0].stamp for f in frames[:6]]
    assert len(smoother) == 4
    assert [smoother.pop()[0].stamp for _ in range(4)] == [f[0].stamp for f in frames[6:]]
    with pytest.raises(IndexError):
        smoother.pop()


@pytest.mark.parametrize("method", SMOOTHING_METHODS)
def test_no_look_ahead_equals_the_causal_smoother(method: str) -> None:
    config = SmoothingConfig(method=method)
    _, frames = swing()
    one = smoothed(LookaheadSmoother(config, 0), frames)
    again = FaceSmoother(config)
    for faces, result in zip(frames, one, strict=True):
        np.testing.assert_array_equal(again(faces)[0].params, result[0].params)


@pytest.mark.parametrize(("method", "share"), [("imm", 0.9), ("one_euro", 0.8), ("window", 0.9)])
def test_look_ahead_is_nearer_to_the_truth(method: str, share: float) -> None:
    config = SmoothingConfig(method=method)
    path, frames = swing()
    causal = x_of(smoothed(LookaheadSmoother(config, 0), frames)) - path
    ahead = x_of(smoothed(LookaheadSmoother(config), frames)) - path
    assert np.sqrt(np.mean(ahead[10:-7] ** 2)) < share * np.sqrt(np.mean(causal[10:-7] ** 2))


def test_moving_average_has_no_lag() -> None:
    """The mean of five frames would be 6 px behind."""
    t = np.arange(60) / HZ
    frames = [[face(s, 300 + 90 * s)] for s in t]
    config = SmoothingConfig(method="window", window=5)
    causal = x_of(smoothed(LookaheadSmoother(config, 0), frames)) - (300 + 90 * t)
    ahead = x_of(smoothed(LookaheadSmoother(config, 6), frames)) - (300 + 90 * t)
    assert abs(causal[20:40]).max() < 0.005 * SIZE
    assert abs(ahead[20:40].mean()) < 1e-3


def test_earlier_faces_give_the_result_of_a_track_known_at_once() -> None:
    """The second track begins in frame 20 and is known in frame 25."""
    _, frames = swing()
    frames = [
        [faces[0].replace(age=i), face(i / HZ, 100.0 + i, "f2").replace(age=i - 20)]
        for i, faces in enumerate(frames)
    ]
    at_once, later = LookaheadSmoother(frames=4, delay=6), LookaheadSmoother(frames=4, delay=6)
    for i, faces in enumerate(frames):
        one = at_once.push(faces[: 1 + (i >= 20)])
        earlier = [(25 - j, frames[j][1]) for j in range(20, 25)] if i == 25 else []
        two = later.push(faces[: 1 + (i >= 25)], earlier)
        assert (one is None) == (two is None) == (i < 6)
        for a, b in zip(one or (), two or (), strict=True):
            assert a.id == b.id
            np.testing.assert_array_equal(a.params, b.params)
        assert two is None or len(two) == 1 + (i - 6 >= 20)


def test_earlier_faces_of_delivered_frames_are_ignored() -> None:
    smoother = LookaheadSmoother(frames=2)
    for _ in range(5):
        smoother.push([])
    earlier = [(ago, face((5 - ago) / HZ, 300.0)) for ago in (1, 2, 3, 4)]
    ready = [smoother.push([], earlier), smoother.pop(), smoother.pop()]
    assert [[f.stamp * HZ for f in faces or ()] for faces in ready] == [[3.0], [4.0], []]


def test_faces_of_a_frame_are_sorted_by_age() -> None:
    smoother = LookaheadSmoother(frames=2)
    smoother.push([face(0.0, 300.0, "f2").replace(age=5)])
    smoother.push([], [(1, face(0.0, 100.0, "f1").replace(age=9))])
    assert [f.id for f in smoother.pop()] == ["f1", "f2"]


def test_first_frames_rely_on_what_follows() -> None:
    """The first estimate of a causal filter is the measurement itself."""
    errors = []
    for seed in range(20):
        t = np.arange(20) / HZ
        noise = np.random.default_rng(seed).normal(scale=1.0, size=t.size)
        frames = [[face(s, 320 + n)] for s, n in zip(t, noise, strict=True)]
        errors.append((noise[0], x_of(smoothed(LookaheadSmoother(), frames))[0] - 320))
    measured, ahead = np.array(errors).T
    assert ahead.std() < 0.9 * measured.std()


def test_tracks_are_smoothed_apart_and_gaps_are_not_bridged() -> None:
    frames = [[face(i / HZ, 300.0), face(i / HZ, 500.0 + i, "f2")] for i in range(8)]
    frames += [[face(5 + i / HZ, 400.0)] for i in range(8)]
    out = smoothed(LookaheadSmoother(), frames)
    assert [[f.id for f in faces] for faces in out] == [[f.id for f in faces] for faces in frames]
    np.testing.assert_allclose(x_of(out), [300.0] * 8 + [400.0] * 8, atol=1e-3)


def test_unusable_parameters_keep_the_last_estimate() -> None:
    _, frames = swing(noise=0.0)
    broken = frames[20][0].replace(params=np.full_like(frames[20][0].params, np.nan))
    frames[20] = [broken]
    out = smoothed(LookaheadSmoother(), frames)
    assert len(out) == len(frames) and np.isfinite(out[20][0].params).all()


def test_memory_ends_when_ids_cannot_return() -> None:
    """A long video with many people; a returning ID is still known after a short absence."""
    smoother = LookaheadSmoother(frames=3, absence_s=2.0)
    frames = []
    for i in range(400):
        faces = [face(i / HZ, 300.0, f"f{i // 10}")]
        if i % 50 < 10:
            faces.append(face(i / HZ, 100.0, "returning"))
        frames.append(faces)
    limited = smoothed(smoother, frames)
    assert len(smoother._seen) <= 2.0 * HZ / 10 + 3
    unlimited = smoothed(LookaheadSmoother(frames=3, absence_s=np.inf), frames)
    for some, others in zip(limited, unlimited, strict=True):
        for one, other in zip(some, others, strict=True):
            np.testing.assert_array_equal(one.params, other.params)


def test_ids_that_wait_are_kept() -> None:
    """At one frame in 5 s the frames that wait are older than the absence."""
    smoother = LookaheadSmoother(frames=4, absence_s=1.0)
    frames = [[face(5.0 * i, 300.0, f"f{i}")] for i in range(12)]
    assert [f[0].id for f in smoothed(smoother, frames)] == [f"f{i}" for i in range(12)]
