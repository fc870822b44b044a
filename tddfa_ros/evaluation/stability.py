"""Stability in video: a face that does not move, a face whose motion is known, and a person who sits, talks and moves.

All figures are in % of the face size (root of the landmark box's area; its median over the video).

- **std**: standard deviation of each landmark over time, mean over the 68. On the *still* videos (an image shown again and again with
  new sensor noise) whatever moves is error. On the *moving* ones a virtual camera pans, zooms and turns over an image; landmarks are
  taken back to the image by the inverse of the known motion, so what remains is jitter, lag, and whatever depends on the view. In the
  real video the head is *still* in those seconds in which the images change least (pixels' standard deviation over one second, the
  quietest fifth of all seconds; the choice does not depend on the method); breathing and the mouth are in it.
- **frame to frame**: RMS of what is left of the motion after a high pass; see `metrics.jitter`.
- **seen**: share of the frames in which the method reports a face. Frames in which it does not are left out of the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tddfa_ros.errors import ConfigError
from tddfa_ros.evaluation.prediction import Predictor
from tddfa_ros.evaluation.result import Row, SuiteResult
from tddfa_ros.evaluation.scenes import Scene, read_helen, strangers, with_detections
from tddfa_ros.evaluation.sets import Sets
from tddfa_ros.geometry.metrics import face_size, jitter, spread
from tddfa_ros.sources.capture import VideoSource
from tddfa_ros.sources.virtual_camera import VirtualCamera
from tddfa_ros.types import DoubleArray, ImageBGR, RealArray

RATE = 25.0
"""Images per second of the made videos."""

NOISE = 4.0
"""Standard deviation of the sensor noise, gray levels."""

FACE_SIDE = 200.0
"""Side of the face's ROI in the made videos, px, on average; the images are 640 x 480."""

WARM_UP = 10
"""Frames at the start of a made video that do not count: trackers confirm, filters settle."""

_PHOTOS = 4
_STILL, _MOVING = 60, 110  # frames
_VIDEO = "head_motion.mp4"
_QUIET_SHARE = 0.2

_NOTE = (
    "In % of the face size; see tddfa_ros/evaluation/stability.py for the exact definitions. Still: 4 images of HELEN that show one person, with fresh sensor "
    "noise in every frame. Moving: a virtual camera over the same, landmarks taken back to the image. Video: a person who sits, talks "
    "and moves; std over the quietest fifth of its seconds. 'std' is about each landmark's own mean; 'frame to frame' is the RMS of second "
    "differences over sqrt(6)."
)


Shot: TypeAlias = tuple[ImageBGR, float, DoubleArray]
"""An image, its time in seconds, and the similarity (2, 3) by which it came from what rests, px."""

Tracks: TypeAlias = dict[str, DoubleArray]
"""Landmarks (t, 68, 2) by way of following, px of what rests; NaN where no face was reported."""


def evaluate(predictor: Predictor, sets: Sets) -> SuiteResult:
    """Stability of each of the method's ways to follow a face; a limit is one of images and of seconds of video."""
    limit = sets.limit or _PHOTOS
    photos = _portraits(sets, min(_PHOTOS, limit))
    rows = []
    for name, shoot, frames in (("still", still_shots, _STILL), ("moving", moving_shots, _MOVING)):
        bar = tqdm(photos, desc=f"stability: {name}", unit="photo", disable=None)
        videos = [
            follow(predictor, shoot(photo, min(frames, WARM_UP + round(limit * RATE))))
            for photo in bar
        ]
        for way in videos[0]:
            tracks = [video[way][WARM_UP:] for video in videos]
            rows.append(Row(f"{name}: {way}", sum(map(len, tracks)), figures(tracks, tracks)))
    quiet: list[slice] = []
    shots = video_shots(sets.folder("video") / _VIDEO, sets.limit, quiet)
    for way, track in follow(
        predictor, tqdm(shots, desc="stability: video", unit="frame", disable=None)
    ).items():
        rows.append(
            Row(f"video: {way}", len(track), figures([track], [track[part] for part in quiet]))
        )
    digits = {"seen": 3, "std": 3, "frame to frame": 3}
    return SuiteResult("stability", "Stability", rows, _NOTE, digits)


def figures(whole: Sequence[DoubleArray], still: Sequence[DoubleArray]) -> dict[str, float | None]:
    """The figures of whole tracks, and of those parts (t, 68, 2) of theirs in which the head is still.

    A part in which the face is seen in less than half of the frames does not count.
    """
    seen = [_seen(track) for track in whole]
    shares = float(np.concatenate(seen).mean())
    steady, rough = [], []
    for track, there in zip(whole, seen, strict=True):
        if there.any():
            rough.append(100 * jitter(track) / _size(track))
    for part in still:
        there = _seen(part)
        if there.mean() >= 0.5:
            steady.append(100 * spread(part[there]) / _size(part))
    known = [value for value in rough if np.isfinite(value)]
    return {
        "seen": shares,
        "std": float(np.mean(steady)) if steady else None,
        "frame to frame": float(np.sqrt(np.mean(np.square(known)))) if known else None,
    }


def follow(predictor: Predictor, shots: Iterable[Shot]) -> Tracks:
    """The landmarks of a video, taken back to what rests."""
    follower = predictor.follower()
    tracks: dict[str, list[RealArray]] = {}
    for image, seconds, similarity in shots:
        for way, points in follower(image, seconds).items():
            rested = np.full((68, 2), np.nan)
            if points is not None:
                rested = (points[:, :2] - similarity[:, 2]) @ np.linalg.inv(similarity[:, :2]).T
            tracks.setdefault(way, []).append(rested)
    return {way: np.stack(track) for way, track in tracks.items()}


def still_shots(scene: Scene, frames: int) -> Iterator[Shot]:
    """An image again and again, with Gaussian noise that is new in every frame."""
    camera = _camera(scene)
    frame, similarity = camera.read(0.0), camera.similarity(0.0)
    assert frame is not None
    rng = np.random.default_rng(0)
    for i in range(frames):
        noise = rng.standard_normal(frame.image.shape, dtype=np.float32) * np.float32(NOISE)
        noisy = np.clip(np.rint(frame.image + noise), 0, 255).astype(np.uint8)
        yield noisy, i / RATE, similarity


def moving_shots(scene: Scene, frames: int) -> Iterator[Shot]:
    """A virtual camera's video of an image."""
    camera = _camera(scene)
    for i in range(frames):
        frame = camera.read(i / RATE)
        assert frame is not None
        yield frame.image, i / RATE, camera.similarity(i / RATE)


def video_shots(path: Path, seconds: int | None, quiet: list[slice]) -> Iterator[Shot]:
    """A video file, all or its first seconds; at its end, ``quiet`` holds the seconds in which the images change least."""
    source = VideoSource(path, loop=False)
    rest = np.eye(2, 3)
    length = round(source.rate)
    changes: list[float] = []
    second: list[ImageBGR] = []
    for i in count():
        frame = source.read(i / source.rate) if seconds is None or i < seconds * length else None
        if frame is None:
            break
        second.append(frame.image)
        if len(second) == length:
            changes.append(float(np.std(second, axis=0, dtype=np.float32).mean()))
            second.clear()
        yield frame.image, i / source.rate, rest
    source.close()
    best = np.argsort(changes, kind="stable")[: math.ceil(_QUIET_SHARE * len(changes))]
    quiet += [slice(int(k) * length, (int(k) + 1) * length) for k in best]


def _portraits(sets: Sets, number: int) -> list[Scene]:
    """Images of HELEN with a single face, so that the tracked face is unambiguous."""
    some = with_detections(read_helen(Sets(sets.root, 5 * number)))
    alone = [scene for scene in some if not len(strangers(scene))]
    if not alone:
        raise ConfigError("no image of HELEN shows one person alone")
    return alone[:number]


def _camera(scene: Scene) -> VirtualCamera:
    if scene.face is None:
        raise ConfigError(f"the image {scene.name} has no labeled face to look at")
    x0, y0, x1, y1 = scene.face
    return VirtualCamera(
        scene.image, anchor=((x0 + x1) / 2, (y0 + y1) / 2), zoom=FACE_SIDE / (x1 - x0), rate=RATE
    )


def _seen(track: DoubleArray) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(track).all(axis=(1, 2)))


def _size(track: DoubleArray) -> float:
    return float(np.median(face_size(track[_seen(track)])))
