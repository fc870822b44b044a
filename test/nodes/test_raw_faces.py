"""Faces handed over within a process have the values of faces received in a message."""

from __future__ import annotations

import numpy as np
import pytest
from support.synthetic_model import random_params, synthetic_model

pytest.importorskip("tddfa_msgs", reason="tddfa_msgs is not built: run through `make test`")

from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header

from tddfa_msgs.msg import FaceMeshArray
from tddfa_ros.errors import ModelError
from tddfa_ros.face import TrackedFace
from tddfa_ros.geometry.scale import HeadScale
from tddfa_ros.nodes.convert.camera_info import camera_info_message
from tddfa_ros.nodes.face_publisher import face_mesh_array
from tddfa_ros.nodes.raw_faces import RawFaces, received_faces
from tddfa_ros.smoothing.smoother import FaceSmoother
from tddfa_ros.types import Intrinsics

CAMERA = Intrinsics(640, 480, np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]]))
SCALES = [None, HeadScale(0.93, 0.035), HeadScale(1.07, 0.01, measured=True)]


def tracked(index: int, scale: HeadScale | None) -> TrackedFace:
    rng = np.random.default_rng(index)
    model = synthetic_model()
    params = random_params(model, np.random.default_rng(3))
    shift = rng.uniform(-3, 3, 4)
    return TrackedFace(
        box=np.array([210.0, 110.0, 300.0, 240.0]) + shift,
        confidence=0.7,
        params=params + rng.normal(0, 1e-3, len(params)).astype(np.float32),
        roi=np.array([180.5, 90.25, 340.5, 250.25]) + shift[0],
        model=model,
        intrinsics=CAMERA,
        crop_sigma=rng.uniform(0.3, 2.0, 68).astype(np.float32),
        scale=scale,
        id="f7",
        stamp=12 + index / 30,
        age=4 + index,
    )


@pytest.mark.parametrize("scale", SCALES)
def test_hand_over_gives_the_same_smoothed_messages(scale: HeadScale | None) -> None:
    header = Header(frame_id="camera")
    info = camera_info_message(CAMERA, header)
    direct, by_message = FaceSmoother(), FaceSmoother()
    for index in range(8):
        face = tracked(index, scale)
        header.stamp.sec, header.stamp.nanosec = 12, round(index / 30 * 1e9)
        raw = face_mesh_array([face], header, info, vertices=False, image_vertices=False)
        ours = direct(received_faces(RawFaces(header, info, [face]), face.model))
        received = deserialize_message(serialize_message(raw), FaceMeshArray)
        theirs = by_message(received_faces(received, face.model))
        a, b = (face_mesh_array(faces, header, info).faces[0] for faces in (ours, theirs))
        assert (a.id, a.confidence, a.scale_source) == (b.id, b.confidence, b.scale_source)
        np.testing.assert_array_equal(a.box, b.box)
        np.testing.assert_array_equal(a.roi, b.roi)
        np.testing.assert_allclose(a.params, b.params, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(a.head_pose.covariance, b.head_pose.covariance)
        np.testing.assert_allclose(a.vertices, b.vertices, atol=1e-5)
        np.testing.assert_allclose(a.vertices_image, b.vertices_image, atol=1e-3)


def test_faces_of_another_model_are_refused() -> None:
    face = tracked(0, None)
    faces = RawFaces(Header(), camera_info_message(CAMERA, Header()), [face])
    with pytest.raises(ModelError, match="set the same model or morphable_model"):
        received_faces(faces, synthetic_model(rows=20))
