"""Moving average on a face that moves through the image: it stays on the face."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from tddfa_ros import FacePipeline, FaceSmoother, FaceTracker
from tddfa_ros.config import SmoothingConfig

HZ, FRAMES = 30.0, 36
VIEW = 340, 300  # px


def view(image: np.ndarray, frame: int) -> np.ndarray:
    """A camera that rests, pans over the portrait at up to 10 px per frame, turns back and rests."""
    phase = np.clip((frame - 6) / (FRAMES - 14), 0, 1)
    x = round(5 + 75 * (1 - np.cos(2 * np.pi * phase)))
    return np.ascontiguousarray(image[: VIEW[1], x : x + VIEW[0]])


def test_stays_on_a_moving_face(astronaut: np.ndarray) -> None:
    tracker = FaceTracker(FacePipeline())
    sizes = (5, 15, 40)
    smoothers = [FaceSmoother(SmoothingConfig(method="window", window=n)) for n in sizes]
    measured, smoothed = [], []
    for i in range(FRAMES):
        faces = tracker.update(view(astronaut, i), i / HZ)
        if faces:
            measured.append(faces[0].landmarks68[:, :2])
            smoothed.append([s(faces)[0].landmarks68[:, :2] for s in smoothers])
    points = np.array(measured)
    assert len(points) == FRAMES - 1
    size = faces[0].face_size
    speed = np.abs(np.diff(points.mean(axis=1)[:, 0])).max()
    assert speed > 0.1 * size, "the face moves by more than a tenth of its size per frame"
    off = np.linalg.norm(np.array(smoothed) - points[:, None], axis=3).mean(axis=2) / size
    plain = np.array([points[max(0, i - 14) : i + 1].mean(axis=0) for i in range(len(points))])
    assert np.linalg.norm(plain - points, axis=2).mean(axis=1).max() > 0.4 * size, "a plain mean"
    assert off.max() < 0.03 and off.mean() < 0.012
