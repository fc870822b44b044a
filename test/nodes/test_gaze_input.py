"""Gaze of the faces of a message, without a graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.gaze_scenes import renderer

pytest.importorskip("rclpy", reason="no ROS 2 here: run through `make test`")
pytest.importorskip("tddfa_msgs", reason="tddfa_msgs is not built: run through `make test`")

from std_msgs.msg import Header

from tddfa_msgs.msg import FaceLandmarksArray
from tddfa_ros.face import TrackedFace
from tddfa_ros.gaze.eyes import eyes_of
from tddfa_ros.gaze.track import UNKNOWN
from tddfa_ros.nodes.convert.images import image_message
from tddfa_ros.nodes.convert.messages import face_landmarks_message
from tddfa_ros.nodes.gaze_input import GazeInput, eyes_of_message
from tddfa_ros.types import Intrinsics


@pytest.fixture(scope="module")
def scene() -> Any:
    return renderer()(15.0, (18, 0))


def message(scene: Any, second: int) -> FaceLandmarksArray:
    face, header = scene.face, Header(frame_id="camera_optical_frame")
    header.stamp.sec = second
    side = int(face.roi[2])
    lens = Intrinsics.from_fov(side, side, 60.0)
    tracked = TrackedFace(face.box, 0.9, face.params, face.roi, face.model, lens, id="f1", stamp=float(second))  # fmt: skip
    return FaceLandmarksArray(header=header, faces=[face_landmarks_message(tracked, header)])


def test_eyes_of_a_message_are_those_of_the_face(scene: Any) -> None:
    """From the landmarks in the image and in meters, seen by another camera."""
    (face,) = message(scene, 1).faces
    for found, wanted in zip(eyes_of_message(face), eyes_of(scene.face), strict=True):
        np.testing.assert_allclose(found.rotation, wanted.rotation, atol=1e-3)
        np.testing.assert_allclose(found.contour, wanted.contour, atol=1e-3)
        np.testing.assert_allclose(found.center, wanted.center, atol=0.05)
        assert found.scale == pytest.approx(wanted.scale, rel=1e-3)


def test_gaze_of_image_and_late_image(scene: Any) -> None:
    gaze, (first, second, third) = GazeInput(), (message(scene, t) for t in (1, 2, 3))
    third.header.stamp.sec, third.header.stamp.nanosec = 2, 100_000_000
    smoothed, estimate = gaze.update(first, None)["f1"]
    assert smoothed is UNKNOWN and estimate is None
    smoothed, estimate = gaze.update(second, image_message(scene.image, second.header))["f1"]
    assert estimate is not None and smoothed.confidence > 0.2
    left, right = estimate.irises
    np.testing.assert_allclose([left.center, right.center], scene.irises, atol=1.3)
    held, estimate = gaze.update(third, None)["f1"]
    assert estimate is None
    np.testing.assert_allclose(held.yaw_pitch, smoothed.yaw_pitch)
    other = GazeInput()
    other.late((image_message(scene.image, second.header), second))
    late, estimate = other.update(third, None)["f1"]
    assert estimate is None
    np.testing.assert_allclose(late.yaw_pitch, smoothed.yaw_pitch)
