"""Jitter, distance and lag of the smoothing filters on videos of people and on the demo; prints a Markdown table.

    python benchmarks/smoothing_video.py --data ../shared/data/eval/video

The tracker runs once; every filter smooths the same tracks. The reference is a local parabola through five frames of the measured
landmarks (Savitzky and Golay 1964), which has no lag. Faces share the identity of the smoother, so that only motion is compared.

- **jitter**, % of the face size: RMS second difference over sqrt(6) in the slowest quarter of the frames.
- **distance**, % of the face size: median distance of the landmarks from the reference in the fastest 40 % of the frames.
- **lag**, ms: shift in time of the reference that fits best, in the same frames; only where the face moves.
- **mouth**: lag and amplitude (1 = kept) of the opening of the mouth, only in the video of a talking man.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.signal import savgol_filter
from tqdm import tqdm

from tddfa_ros import FacePipeline, FaceSmoother, FaceTracker
from tddfa_ros.config import SmoothingConfig
from tddfa_ros.face import TrackedFace
from tddfa_ros.geometry.metrics import face_size
from tddfa_ros.smoothing.filters import one_euro_alpha
from tddfa_ros.smoothing.lookahead import LookaheadSmoother
from tddfa_ros.smoothing.smoother import IdentityMean
from tddfa_ros.sources import create_source

Track = NDArray[np.float64]
Smooth = Callable[["Recording"], Track]

VIDEOS = {"talking man": "head_motion.mp4", "two people": "two_people.gif", "demo": "demo"}
SECONDS = 36.0
WARM_UP = 10  # frames
LEAST = 25  # frames of a track
MOVING = 0.15  # face sizes / s; slower videos tell nothing about lag


@dataclass(frozen=True, eq=False)
class Recording:
    """One track: its faces, its landmarks (t, 68, 2) px with the mean identity, the reference, and the face size, px."""

    faces: list[TrackedFace]
    measured: Track
    reference: Track
    size: float
    dt: float

    @property
    def speed(self) -> Track:
        """Speed of the reference (t,), face sizes / s, over nine frames."""
        moved = np.linalg.norm(np.gradient(self.reference, self.dt, axis=0), axis=2).mean(axis=1)
        return np.convolve(moved / self.size, np.ones(9) / 9, "same")


def record(source: str) -> list[Recording]:
    """Track the faces of a video."""
    video = create_source(source, loop=False)
    rate = video.rate or 30.0
    tracker, tracks = FaceTracker(FacePipeline()), {}
    for i in tqdm(range(round(SECONDS * rate)), desc=Path(source).name, unit="frame"):
        frame = video.read(i / rate)
        if frame is None:
            break
        for face in tracker.update(frame.image, i / rate):
            tracks.setdefault(face.id, []).append(face)
    video.close()
    return [recording(faces) for faces in tracks.values() if len(faces) > LEAST]


def recording(faces: list[TrackedFace]) -> Recording:
    measured = landmarks(with_mean_identity(faces))
    steps = np.diff([face.stamp for face in faces])
    size = float(np.median(face_size(measured)))
    reference = savgol_filter(measured, 5, 2, axis=0)
    return Recording(faces, measured, reference, size, float(np.median(steps)))


def with_mean_identity(faces: Sequence[TrackedFace]) -> list[TrackedFace]:
    mean, out = IdentityMean(SmoothingConfig().identity_memory), []
    for face in faces:
        params, part = face.params.copy(), face.model.layout.shape_slice
        params[part] = mean.update(params[part].astype(np.float64), float(face.confidence))
        out.append(face.replace(params=params))
    return out


def landmarks(faces: Sequence[TrackedFace]) -> Track:
    return np.stack([face.landmarks68[:, :2] for face in faces]).astype(np.float64)


def ours(config: SmoothingConfig) -> Smooth:
    def smooth(video: Recording) -> Track:
        smoother = FaceSmoother(config)
        return landmarks([smoother([face])[0] for face in video.faces])

    return smooth


def with_look_ahead(config: SmoothingConfig) -> Smooth:
    """As `tddfa video` smooths files."""

    def smooth(video: Recording) -> Track:
        smoother = LookaheadSmoother(config)
        ready = [faces for face in video.faces if (faces := smoother.push([face])) is not None]
        return landmarks(
            [faces[0] for faces in (*ready, *(smoother.pop() for _ in range(len(smoother))))]
        )

    return smooth


def mediapipe(min_cutoff: float, beta: float, d_cutoff: float = 1.0) -> Smooth:
    """MediaPipe's landmark smoothing: One Euro on each coordinate, its speed in face sizes / s."""

    def smooth(video: Recording) -> Track:
        out, speed = [video.measured[0]], np.zeros_like(video.measured[0])
        for before, now in zip(video.measured[:-1], video.measured[1:], strict=True):
            moved = (now - before) / video.dt / video.size
            speed += one_euro_alpha(d_cutoff, video.dt) * (moved - speed)
            odds = 2 * np.pi * (min_cutoff + beta * np.abs(speed)) * video.dt
            out.append(out[-1] + odds / (1 + odds) * (now - out[-1]))
        return np.stack(out)

    return smooth


def lag(out: Track, reference: Track, dt: float, frames: NDArray[np.bool_]) -> float:
    """Lag of ``out`` (t, ...), ms."""
    time = np.arange(len(reference))
    spline = CubicSpline(time, reference)
    shifts = np.arange(-1, 5, 0.1)
    errors = [((out - spline(time - s)) ** 2).reshape(len(out), -1).sum(axis=1) for s in shifts]
    frames = frames & (time > WARM_UP) & (time < len(time) - 2)
    return float(shifts[int(np.argmin([e[frames].mean() for e in errors]))] * dt * 1e3)


def opening(track: Track) -> Track:
    """Gap between the inner lips over the distance from chin to nose root, (t, 1)."""
    gap = np.linalg.norm(track[:, 62] - track[:, 66], axis=1)
    return np.asarray(gap / np.linalg.norm(track[:, 27] - track[:, 8], axis=1))[:, None]


def measure(smooth: Smooth, video: Recording) -> tuple[float, float, float, float, float]:
    """Jitter, distance, lag, lag of the mouth, amplitude of the mouth."""
    out, speed = smooth(video), video.speed
    settled = np.arange(len(out)) >= WARM_UP
    still = settled & (speed <= max(float(np.quantile(speed, 0.25)), 0.02))
    moving = settled & (speed >= max(float(np.quantile(speed, 0.6)), 0.05))
    second = ((out[2:] - 2 * out[1:-1] + out[:-2]) ** 2).sum(axis=2).mean(axis=1)
    jitter = 100 * float(np.sqrt(second[still[1:-1]].mean() / 6)) / video.size
    distance = np.linalg.norm(out - video.reference, axis=2).mean(axis=1)[moving]
    trailing = lag(out, video.reference, video.dt, moving) if speed.max() > MOVING else np.nan
    mouth, truth = opening(out), opening(video.reference)
    late = lag(mouth, truth, video.dt, settled)
    shift = max(0, round(late / 1e3 / video.dt))
    spoken = truth[WARM_UP : len(truth) - shift] - truth.mean()
    kept = float((mouth[WARM_UP + shift :] - mouth.mean()).ravel() @ spoken.ravel())
    return (
        jitter,
        100 * float(np.median(distance)) / video.size,
        trailing,
        late,
        kept / float((spoken**2).sum()),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder of the videos")
    folder = parser.parse_args().data
    videos = {
        name: record(file if file == "demo" else str(folder / file))
        for name, file in VIDEOS.items()
    }
    default = SmoothingConfig()
    filters: dict[str, Smooth] = {
        "measured": lambda video: video.measured,
        **{
            f"{m}{' (default)' if m == default.method else ''}": ours(replace(default, method=m))
            for m in ("imm", "one_euro", "kalman", "window")
        },
        "imm, looking ahead": with_look_ahead(default),
        "MediaPipe's One Euro (0.05, 80)": mediapipe(0.05, 80.0),
    }
    names = " / ".join(videos)
    print(f"| filter | jitter, %: {names} | distance, % | lag, ms | mouth: lag, ms | amplitude |")
    print("|---|---|---|---|---|---|")
    for label, smooth in filters.items():
        rows = np.array(
            [np.mean([measure(smooth, v) for v in videos[name]], axis=0) for name in videos]
        )
        jitter, distance, late = (
            " / ".join("-" if np.isnan(v) else f"{v:.{digits}f}" for v in rows[:, i])
            for i, digits in ((0, 3), (1, 2), (2, 0))
        )
        print(f"| {label} | {jitter} | {distance} | {late} | {rows[0, 3]:.0f} | {rows[0, 4]:.3f} |")


if __name__ == "__main__":
    main()
