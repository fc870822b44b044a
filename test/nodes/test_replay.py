"""A replay gives the same messages at any speed: all results depend on stamps, none on the wall clock."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
from support.scripted_pipeline import HEIGHT, MODEL, WIDTH, Person, ScriptedPipeline, image_of

pytest.importorskip("tddfa_msgs", reason="tddfa_msgs is not built: run through `make test`")

from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from tddfa_msgs.msg import FaceMeshArray
from tddfa_ros.nodes.convert.camera_info import camera_info_message
from tddfa_ros.nodes.convert.messages import NANOSECONDS, stamp_seconds, tracked_faces
from tddfa_ros.nodes.face_publisher import face_mesh_array
from tddfa_ros.nodes.ros.stamps import StampCheck
from tddfa_ros.smoothing.smoother import FaceSmoother
from tddfa_ros.tracking.tracker import FaceTracker
from tddfa_ros.types import Intrinsics

START = 1_700_000_000 * NANOSECONDS
CAMERA = Intrinsics(WIDTH, HEIGHT, np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]]))


def recording() -> list[tuple[int, int]]:
    """Frame numbers and stamps, ns, of a bag: jitter, a gap, a duplicate, an image out of order and a jump back."""
    rng = np.random.default_rng(2)
    frames = [i for i in range(90) if not 40 <= i < 55]
    bag = [(i, START + round((i / 30 + rng.uniform(0, 0.01)) * NANOSECONDS)) for i in frames]
    bag.insert(21, bag[20])
    bag[30], bag[31] = bag[31], bag[30]
    return bag + bag[:20]


class WallClock:
    """Time of a replay at a rate: it advances with the stamps, and a little with every reading."""

    def __init__(self, rate: float) -> None:
        self.now = 5e8 * rate
        self.rate = rate

    def __call__(self) -> float:
        self.now += 1e-3 / self.rate
        return self.now


def replay(rate: float, monkeypatch: pytest.MonkeyPatch) -> list[FaceMeshArray]:
    """The messages of face_node and smoothing_node."""
    wall = WallClock(rate)
    for name in ("time", "monotonic", "perf_counter"):
        monkeypatch.setattr(time, name, wall)
        monkeypatch.setattr(time, f"{name}_ns", lambda: int(wall() * NANOSECONDS))
    people = [
        Person(lambda i: (200 + 60 * math.sin(i / 9), 240 + i / 3)),
        Person(lambda i: (480 - i, 200), visible=lambda i: not 20 < i < 26),
    ]
    pipeline = ScriptedPipeline(people)
    tracker, smoother = FaceTracker(pipeline), FaceSmoother()  # type: ignore[arg-type]
    check = StampCheck(lambda: time.time_ns())
    messages: list[FaceMeshArray] = []
    for frame, stamp in recording():
        wall.now += 1 / 30 / rate
        image: Any = Image()
        image.header = Header(frame_id="camera", stamp=Time(sec=stamp // NANOSECONDS, nanosec=stamp % NANOSECONDS))  # fmt: skip
        if not check.accept(image):
            continue
        header = image.header
        info = camera_info_message(CAMERA, header)
        found = tracker.update(
            image_of(frame), stamp_seconds(header.stamp), CAMERA, defer_detection=True
        )
        found = [face.replace(intrinsics=CAMERA) for face in found]
        raw = face_mesh_array(found, header, info, vertices=False, image_vertices=False)
        tracker.run_deferred_detection()
        smooth = smoother(tracked_faces(raw, MODEL))
        messages += [raw, face_mesh_array(smooth, header, info)]
    return messages


def test_replay_at_any_rate_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    normal = replay(1.0, monkeypatch)
    assert len(normal) == 2 * (75 + 20 - 1), "the duplicate and the image out of order are dropped"
    assert len({m.faces[0].landmarks_image.tobytes() for m in normal if m.faces}) > 100
    assert replay(0.5, monkeypatch) == normal
    assert replay(2.0, monkeypatch) == normal
