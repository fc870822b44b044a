"""Stability in video: a static face, a face with known motion, and a real video.

All figures are in % of the face size (root of the landmark box's area; its median over the video).

- **std**: standard deviation of each landmark over time, mean over the 68. On the *still* videos (one image, repeated with
  new sensor noise) any motion is an error. On the *moving* ones a virtual camera pans, zooms and rolls over an image; landmarks are
  mapped back to the image by the inverse of the known motion, so the residual is jitter, lag, and view-dependent bias. In the
  real video the head is *still* in the seconds with the least image change (standard deviation of pixels over one second, the
  quietest fifth of all seconds; independent of the method); these include breathing and motion of the mouth.
- **frame to frame**: RMS of the high-pass filtered motion; see `metrics.jitter`.
- **seen**: share of frames with a face. Other frames are excluded from the other figures.
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
from tddfa_ros.evaluation.scenes import Scene, other_faces, read_helen, with_detections
from tddfa_ros.evaluation.sets import Sets
from tddfa_ros.geometry.metrics import face_size, jitter, spread
from tddfa_ros.sources.capture import VideoSource
from tddfa_ros.sources.virtual_camera import VirtualCamera
from tddfa_ros.types import DoubleArray, ImageBGR, RealArray

RATE = 25.0
"""Frame rate of the synthetic videos, Hz."""

NOISE = 4.0
"""Standard deviation of the sensor noise, gray levels."""

FACE_SIDE = 200.0
"""Mean side of the ROI of the face in the synthetic videos, px; frames are 640 x 480."""

WARM_UP = 10
"""Excluded frames at the start of a synthetic video, while tracks are confirmed and filters settle."""

_PHOTOS = 4
_STILL, _MOVING = 60, 110  # frames
_VIDEO = "head_motion.mp4"
_QUIET_SHARE = 0.2

_NOTE = (
    "In % of the face size; see tddfa_ros/evaluation/stability.py for the exact definitions. Still: 4 images of HELEN that show one person, with fresh sensor "
    "noise in every frame. Moving: a virtual camera over these images, landmarks mapped back to the image. Video: a person who sits, talks "
    "and moves; std over the quietest fifth of its seconds. 'std' is relative to the mean of each landmark; 'frame to frame' is the RMS of second "
    "differences over sqrt(6)."
)


Shot: TypeAlias = tuple[ImageBGR, float, DoubleArray]
"""A frame, its time in s, and the similarity (2, 3) from the reference frame to it, px."""

Tracks: TypeAlias = dict[str, DoubleArray]
"""Landmarks (t, 68, 2) by tracking mode, px of the reference frame; NaN for frames without a face."""


def evaluate(predictor: Predictor, sets: Sets) -> SuiteResult:
    """Measure the stability of each tracking mode; the limit applies to images and to seconds of video."""
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
    """Compute the figures of whole tracks, and of the parts (t, 68, 2) in which the head is still.

    Parts with a face in less than half of the frames are excluded.
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
    """Track the face of a video and map the landmarks to the reference frame."""
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
    """Yield an image repeatedly, with new Gaussian noise in every frame."""
    camera = _camera(scene)
    frame, similarity = camera.read(0.0), camera.similarity(0.0)
    assert frame is not None
    rng = np.random.default_rng(0)
    for i in range(frames):
        noise = rng.standard_normal(frame.image.shape, dtype=np.float32) * np.float32(NOISE)
        noisy = np.clip(np.rint(frame.image + noise), 0, 255).astype(np.uint8)
        yield noisy, i / RATE, similarity


def moving_shots(scene: Scene, frames: int) -> Iterator[Shot]:
    """Yield the frames of a virtual camera over an image."""
    camera = _camera(scene)
    for i in range(frames):
        frame = camera.read(i / RATE)
        assert frame is not None
        yield frame.image, i / RATE, camera.similarity(i / RATE)


def video_shots(path: Path, seconds: int | None, quiet: list[slice]) -> Iterator[Shot]:
    """Yield the frames of a video file or of its first seconds; then fill ``quiet`` with the seconds of least image change."""
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
    """Return images of HELEN with a single face, so that the tracked face is unambiguous."""
    some = with_detections(read_helen(Sets(sets.root, 5 * number)))
    alone = [scene for scene in some if not len(other_faces(scene))]
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
