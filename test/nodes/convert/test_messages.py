from __future__ import annotations

from array import array

import numpy as np
import pytest
from support.synthetic_model import random_params, synthetic_model

pytest.importorskip("tddfa_msgs", reason="tddfa_msgs is not built: run through `make test`")

from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header

from tddfa_msgs.msg import FaceLandmarks, FaceMesh, FaceMeshArray, FaceTopology
from tddfa_ros.errors import CameraError, ModelError
from tddfa_ros.face import TrackedFace
from tddfa_ros.geometry.rotation import rotation_from_quaternion
from tddfa_ros.geometry.scale import HeadScale
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.nodes.convert.camera_info import camera_info_message
from tddfa_ros.nodes.convert.messages import (
    SCALE_DEPTH,
    face_landmarks_message,
    face_mesh_message,
    float32_sequence,
    points_from,
    stamp_ns,
    stamp_seconds,
    topology_message,
    tracked_face,
    tracked_faces,
    uint8_sequence,
    uint32_sequence,
)
from tddfa_ros.nodes.face_publisher import face_landmarks_array, face_mesh_array, transform
from tddfa_ros.types import Intrinsics


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return synthetic_model()


@pytest.fixture
def face(model: MorphableModel) -> TrackedFace:
    params = random_params(model, np.random.default_rng(3))
    return TrackedFace(
        box=np.array([210.0, 110.0, 300.0, 240.0]),
        confidence=0.875,
        params=params,
        roi=np.array([180.5, 90.25, 340.5, 250.25]),
        model=model,
        intrinsics=Intrinsics.from_fov(640, 480),
        id="f7",
        stamp=12.25,
        age=4,
    )


@pytest.fixture
def header() -> Header:
    made = Header(frame_id="camera")
    made.stamp.sec, made.stamp.nanosec = 12, 250_000_000
    return made


def over_the_wire(message: FaceMesh) -> FaceMesh:
    return deserialize_message(serialize_message(message), type(message))


@pytest.mark.parametrize(
    ("make", "code", "dtype"),
    [
        (float32_sequence, "f", np.float32),
        (uint32_sequence, "I", np.uint32),
        (uint8_sequence, "B", np.uint8),
    ],
)
def test_sequences_keep_order_and_values(make, code: str, dtype: type) -> None:
    values = np.arange(24).reshape(4, 3, 2)
    made = make(np.asfortranarray(values))
    assert isinstance(made, array)
    assert made.typecode == code
    np.testing.assert_array_equal(np.asarray(made), values.ravel().astype(dtype))
    assert len(make(np.empty((0, 3)))) == 0


def test_read_only_and_strided_arrays_are_copied(model: MorphableModel) -> None:
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    values.setflags(write=False)
    made = float32_sequence(values[::2])
    made[0] = 99.0
    assert values[0, 0] == 0.0
    assert list(made[3:]) == [6.0, 7.0, 8.0]


def test_face_round_trips_through_message(
    face: TrackedFace, header: Header, model: MorphableModel
) -> None:
    message = over_the_wire(face_mesh_message(face, header))
    back = tracked_face(message, model, face.intrinsics)
    assert (back.id, back.stamp) == ("f7", 12.25)
    assert back.confidence == face.confidence
    np.testing.assert_array_equal(back.params, face.params)
    np.testing.assert_array_equal(back.roi, face.roi)
    np.testing.assert_array_equal(back.box, face.box)
    np.testing.assert_allclose(back.vertices, points_from(message.vertices_image), atol=1e-4)
    np.testing.assert_allclose(back.vertices_metric, points_from(message.vertices), atol=1e-5)


def test_message_fields(face: TrackedFace, header: Header) -> None:
    message = over_the_wire(face_mesh_message(face, header))
    assert message.header == header
    assert message.topology_id == face.model.topology_id
    assert message.scale_source == FaceMesh.SCALE_ASSUMED_FOV
    assert message.reprojection_error == pytest.approx(face.head_pose.reprojection_error, rel=1e-6)
    np.testing.assert_array_equal(message.expression, face.params[52:])
    np.testing.assert_array_equal(points_from(message.landmarks), face.landmarks_metric)
    np.testing.assert_array_equal(points_from(message.landmarks_image), face.landmarks68)
    pose = message.head_pose.pose
    q = [pose.orientation.x, pose.orientation.y, pose.orientation.z, pose.orientation.w]
    np.testing.assert_allclose(
        rotation_from_quaternion(np.array(q)), face.head_pose.rotation, atol=1e-9
    )
    np.testing.assert_array_equal(
        [pose.position.x, pose.position.y, pose.position.z], face.head_pose.position
    )
    np.testing.assert_allclose(
        np.reshape(message.head_pose.covariance, (6, 6)), face.head_pose.covariance
    )


def test_calibrated_camera_description(face: TrackedFace, header: Header) -> None:
    k = np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]])
    calibrated = face.replace(intrinsics=Intrinsics(640, 480, k))
    assert face_mesh_message(calibrated, header).scale_source == FaceMesh.SCALE_CALIBRATED
    assert face_landmarks_message(calibrated, header).scale_source == FaceLandmarks.SCALE_CALIBRATED


@pytest.mark.parametrize("measured", [True, False])
def test_scale_and_covariance_survive_the_message(
    face: TrackedFace, header: Header, model: MorphableModel, measured: bool
) -> None:
    """smoothing_node rebuilds faces from messages, without depth images and the network's uncertainty."""
    scaled = face.replace(
        scale=HeadScale(0.8, 0.02, measured), crop_sigma=np.full(68, 1.7, np.float32)
    )
    message = over_the_wire(face_mesh_message(scaled, header))
    assert message.scale_source == (SCALE_DEPTH if measured else FaceMesh.SCALE_ASSUMED_FOV)
    back = tracked_face(message, model, face.intrinsics)
    np.testing.assert_allclose(back.vertices_metric, scaled.vertices_metric, atol=1e-4)
    np.testing.assert_allclose(back.head_pose.position, scaled.head_pose.position, atol=1e-5)
    np.testing.assert_array_equal(back.head_pose.covariance, scaled.head_pose.covariance)
    assert (np.diag(back.head_pose.covariance) != np.diag(face.head_pose.covariance)).all()
    assert face_mesh_message(back, header).scale_source == message.scale_source


def test_unknown_covariance_is_estimated(
    face: TrackedFace, header: Header, model: MorphableModel
) -> None:
    message = face_mesh_message(face, header)
    message.head_pose.covariance = np.zeros(36)  # geometry_msgs: unknown
    back = tracked_face(message, model, face.intrinsics)
    assert (np.linalg.eigvalsh(back.head_pose.covariance) > 0).all()


def test_dense_arrays_are_optional(face: TrackedFace, header: Header) -> None:
    message = face_mesh_message(face, header, vertices=False, image_vertices=False)
    assert len(message.vertices) == len(message.vertices_image) == 0
    assert "head" not in vars(face), "the dense mesh was computed for nobody"


def test_landmarks_message_matches_mesh_message(face: TrackedFace, header: Header) -> None:
    mesh, light = face_mesh_message(face, header), face_landmarks_message(face, header)
    for name in ("id", "confidence", "header", "head_pose", "scale_source", "expression"):
        assert getattr(mesh, name) == getattr(light, name)
    for name in ("roi", "landmarks", "landmarks_image"):
        np.testing.assert_array_equal(getattr(mesh, name), getattr(light, name))


def test_faces_use_camera_of_message(
    face: TrackedFace, header: Header, model: MorphableModel
) -> None:
    k = np.array([[600.0, 0, 320], [0, 610, 240], [0, 0, 1]])
    for intrinsics in (face.intrinsics, Intrinsics(640, 480, k, np.array([0.1, -0.05, 0, 0, 0]))):
        faces = [face.replace(intrinsics=intrinsics, id=name) for name in ("f1", "f2")]
        info = camera_info_message(intrinsics, header)
        back = tracked_faces(over_the_wire(face_mesh_array(faces, header, info)), model)
        assert [f.id for f in back] == ["f1", "f2"]
        np.testing.assert_allclose(back[0].intrinsics.k, intrinsics.k)
        np.testing.assert_allclose(back[0].intrinsics.d, intrinsics.d)
        assert back[0].intrinsics.assumed == intrinsics.assumed
        np.testing.assert_allclose(
            back[1].head_pose.position, faces[1].head_pose.position, atol=1e-6
        )
    assert len(face_landmarks_array(faces, header, info).faces) == 2


def test_empty_message_needs_no_camera(model: MorphableModel) -> None:
    assert tracked_faces(FaceMeshArray(), model) == []


def test_rejects_faces_without_camera(
    face: TrackedFace, header: Header, model: MorphableModel
) -> None:
    message = FaceMeshArray(header=header, faces=[face_mesh_message(face, header)])
    with pytest.raises(CameraError, match="camera_info"):
        tracked_faces(message, model)


def test_rejects_faces_of_other_model(face: TrackedFace, header: Header) -> None:
    other = synthetic_model(rows=20)
    with pytest.raises(ModelError, match=other.topology_id):
        tracked_face(face_mesh_message(face, header), other, face.intrinsics)


def test_rejects_parameter_vector_of_other_length(
    face: TrackedFace, header: Header, model: MorphableModel
) -> None:
    message = face_mesh_message(face, header)
    message.params = message.params[:-1]
    with pytest.raises(ModelError, match="103 parameters"):
        tracked_face(message, model, face.intrinsics)


def test_topology_describes_the_model(model: MorphableModel, header: Header) -> None:
    message = deserialize_message(
        serialize_message(topology_message(model, header.stamp)), FaceTopology
    )
    assert message.topology_id == model.topology_id
    assert message.vertex_count == len(model.mean)
    np.testing.assert_array_equal(np.reshape(message.triangles, (-1, 3)), model.triangles)
    np.testing.assert_array_equal(message.coarse_indices, model.coarse_indices)
    np.testing.assert_array_equal(
        np.reshape(message.coarse_triangles, (-1, 3)), model.coarse_triangles
    )
    np.testing.assert_array_equal(np.reshape(message.uv, (-1, 2)), model.uv.astype(np.float32))
    np.testing.assert_array_equal(message.landmark_triangles, model.landmark_triangles)
    np.testing.assert_allclose(
        np.reshape(message.landmark_weights, (68, 3)), model.landmark_weights, atol=1e-6
    )
    np.testing.assert_array_equal(message.regions, model.regions)
    assert message.region_names == list(model.region_names)
    assert message.expression_names == list(model.expression_names)
    assert (message.shape_size, message.license) == (40, "Apache-2.0")


def test_transform_is_the_head_pose(face: TrackedFace, header: Header) -> None:
    message = transform(face, header)
    assert (message.child_frame_id, message.header.frame_id) == ("face_f7", "camera")
    assert message.transform.translation.z == face.head_pose.position[2]
    q = message.transform.rotation
    np.testing.assert_allclose(
        rotation_from_quaternion(np.array([q.x, q.y, q.z, q.w])), face.head_pose.rotation, atol=1e-9
    )


def test_stamps_are_exact_in_nanoseconds(header: Header) -> None:
    header.stamp.sec, header.stamp.nanosec = 1_800_000_000, 123_456_789
    assert stamp_ns(header.stamp) == 1_800_000_000_123_456_789
    assert stamp_seconds(header.stamp) == pytest.approx(1_800_000_000.123456789, abs=1e-6)
