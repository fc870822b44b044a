"""Source, perception and smoothing in three processes on a real portrait: are the numbers those of a real head?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from support.faces import model_parameters

pytest.importorskip("rclpy", reason="no ROS 2 here: run through `make test`")
pytest.importorskip("tddfa_msgs", reason="tddfa_msgs is not built: run through `make test`")

from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo
from tf2_msgs.msg import TFMessage

from tddfa_msgs.msg import FaceMesh, FaceMeshArray, FaceTopology
from tddfa_ros.nodes.convert.vertices import image_vertices

pytestmark = pytest.mark.ros

ENOUGH = 15
"""Images with a face to look at."""


def key(message: Any) -> tuple[int, int]:
    return message.header.stamp.sec, message.header.stamp.nanosec


def points(values: Any) -> np.ndarray:
    return np.asarray(values, np.float64).reshape(-1, 3)


def axes(orientation: Any) -> np.ndarray:
    """Columns: x, y and z of the face in the camera's optical frame (x right, y down, z forward)."""
    q = [orientation.x, orientation.y, orientation.z, orientation.w]
    assert np.linalg.norm(q) == pytest.approx(1.0, abs=1e-6)
    return Rotation.from_quat(q).as_matrix()


def test_demo_head_is_metric_and_upright(graph: Any, astronaut_path: Any) -> None:
    meshes = graph.collect(FaceMeshArray, "face_mesh", 50)
    transforms = graph.collect(TFMessage, "/tf", 50)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    topologies = graph.collect(FaceTopology, "face_mesh/topology", latched)
    perception = model_parameters() | {"publish_face_mesh": False, "regression.device": "cpu"}
    processes = [
        graph.start("smoothing_node", parameters=model_parameters(perception=False)),
        graph.start("face_node", parameters=perception),
        graph.start("image_source_node", parameters={"source": "demo", "rate": 15.0}),
    ]

    def found() -> list[tuple[Any, Any, Any]]:
        """Messages, their calibrated faces, and the transforms of these."""
        frames = {(*key(t), t.child_frame_id): t for m in list(transforms) for t in m.transforms}
        return [
            (m, face, frames[(*key(m), f"face_{face.id}")])
            for m in list(meshes)
            for face in m.faces
            if face.scale_source == FaceMesh.SCALE_CALIBRATED
            and (*key(m), f"face_{face.id}") in frames
        ]

    graph.wait_until(lambda: topologies and len(found()) >= ENOUGH, 120)
    topology = topologies[0]
    for message, face, transform in found():
        assert face.topology_id == topology.topology_id
        vertices, landmarks = points(face.vertices), points(face.landmarks)
        assert len(vertices) == len(image_vertices(face)) == topology.vertex_count
        check_size_and_place(message.camera_info, face, vertices, landmarks)
        check_pose(face, transform, landmarks)
    for process in processes:
        assert process.stop() == 0, process.output
        assert "Traceback" not in process.output
        assert "[ERROR]" not in process.output


def check_size_and_place(
    camera: CameraInfo, face: Any, vertices: np.ndarray, landmarks: np.ndarray
) -> None:
    """An adult's head within arm's reach, where the image shows it."""
    assert np.isfinite(vertices).all()
    assert 0.3 < landmarks[:, 2].mean() < 1.5
    width = np.linalg.norm(landmarks[36] - landmarks[45])
    assert 0.07 < width < 0.115, "between the outer corners of the eyes"
    nose, ears = landmarks[30], landmarks[[0, 16]]
    assert nose[2] < ears[:, 2].mean() - 0.03, "the nose is nearer than the ears"
    k = np.asarray(camera.k).reshape(3, 3)
    projected = landmarks @ k.T
    error = projected[:, :2] / projected[:, 2:] - points(face.landmarks_image)[:, :2]
    assert np.hypot(*error.T).mean() < 0.05 * np.ptp(points(face.landmarks_image)[:, 0])


def check_pose(face: Any, transform: Any, landmarks: np.ndarray) -> None:
    """The head is upright and looks at the camera; /tf says the same."""
    pose = face.head_pose.pose
    out, left, up = axes(pose.orientation).T
    assert out[2] < -0.7, "x leaves the face toward the camera"
    assert left[0] > 0.7, "her left is on the right of the image"
    assert up[1] < -0.7, "z is up"
    # The axes against the points themselves: chin to brows, right eye to left eye.
    assert np.dot(up, landmarks[27] - landmarks[8]) > 0.07
    assert np.dot(left, landmarks[45] - landmarks[36]) > 0.06
    assert np.dot(out, landmarks[30] - landmarks[[0, 16]].mean(axis=0)) > 0.03
    position = np.array([pose.position.x, pose.position.y, pose.position.z])
    np.testing.assert_allclose(position, landmarks[27], atol=5e-3)

    assert transform.header.frame_id == face.header.frame_id == "camera_optical_frame"
    moved = transform.transform.translation
    np.testing.assert_array_equal([moved.x, moved.y, moved.z], position)
    np.testing.assert_array_equal(
        axes(transform.transform.rotation), axes(face.head_pose.pose.orientation)
    )
