"""Vertices of received messages: encodings and image coordinates."""

from __future__ import annotations

import numpy as np
import pytest
from support.synthetic_model import random_params, synthetic_model

pytest.importorskip("tddfa_msgs", reason="tddfa_msgs is not built: run through `make test`")

from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header

from tddfa_msgs.msg import FaceMesh
from tddfa_ros.face import TrackedFace
from tddfa_ros.nodes.convert.messages import face_mesh_message, points_from
from tddfa_ros.nodes.convert.vertices import image_vertices, metric_vertices
from tddfa_ros.types import Intrinsics


@pytest.fixture
def face() -> TrackedFace:
    model = synthetic_model()
    return TrackedFace(
        box=np.array([210.0, 110.0, 300.0, 240.0]),
        confidence=0.875,
        params=random_params(model, np.random.default_rng(3)),
        roi=np.array([480.5, 90.25, 620.5, 230.25]),  # off axis
        model=model,
        intrinsics=Intrinsics.from_fov(640, 480),
        id="f7",
        stamp=12.25,
    )


def sent(face: TrackedFace, **chosen: object) -> FaceMesh:
    message = face_mesh_message(face, Header(frame_id="camera"), **chosen)  # type: ignore[arg-type]
    received = deserialize_message(serialize_message(message), FaceMesh)
    assert isinstance(received, FaceMesh)
    return received


def test_float16_halves_the_bytes_and_keeps_the_shape(face: TrackedFace) -> None:
    whole, half = sent(face), sent(face, encoding="float16")
    assert len(half.vertices) == 0
    assert len(half.vertices_float16) == len(whole.vertices) == 3 * len(face.model.mean)
    saved = len(serialize_message(whole)) - len(serialize_message(half))
    assert saved == pytest.approx(2 * len(whole.vertices), abs=8)
    error = metric_vertices(half) - face.vertices_metric
    assert 0 < np.abs(error).max() < 0.07e-3
    np.testing.assert_array_equal(metric_vertices(whole), face.vertices_metric)


def test_image_vertices_follow_from_the_message(face: TrackedFace) -> None:
    assert np.shares_memory(image_vertices(m := sent(face)), np.asarray(m.vertices_image))
    plain = sent(face, image_vertices=False)
    assert len(plain.vertices_image) == 0
    np.testing.assert_allclose(image_vertices(plain), face.vertices, atol=0.01)
    half = sent(face, image_vertices=False, encoding="float16")
    np.testing.assert_allclose(image_vertices(half), face.vertices, atol=0.05)


def test_message_without_vertices(face: TrackedFace) -> None:
    message = sent(face, vertices=False, image_vertices=False)
    assert metric_vertices(message).shape == image_vertices(message).shape == (0, 3)
    assert len(points_from(message.landmarks)) == 68
