"""Publishers of face_mesh, face_landmarks, face_mesh/topology and /tf."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any

from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from tddfa_msgs.msg import FaceLandmarksArray, FaceMeshArray, FaceTopology
from tddfa_ros.face import TrackedFace, reconstruct
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.nodes.convert.messages import (
    common_fields,
    face_landmarks_message,
    face_mesh_message,
    pose_message,
    topology_message,
)
from tddfa_ros.nodes.shared_options import FLOAT32, PublishOptions

OUTPUT_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
LATCHED_QOS = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
TF_QOS = QoSProfile(depth=100)
"""QoS of tf2_ros."""


class FacePublisher:
    """Outputs shared by ``face_node`` and ``smoothing_node``; messages are built only for topics with subscribers.

    Args:
        node: node to create the publishers on.
        model: morphable model of the meshes.
        options: which fields and topics to publish.

    Attributes:
        options: as above; may be replaced at any time.
    """

    def __init__(self, node: Node, model: MorphableModel, options: PublishOptions) -> None:
        self.options = options
        self._node = node
        self._mesh = node.create_publisher(FaceMeshArray, "face_mesh", OUTPUT_QOS)
        self._landmarks = node.create_publisher(FaceLandmarksArray, "face_landmarks", OUTPUT_QOS)
        self._topology = node.create_publisher(FaceTopology, "face_mesh/topology", LATCHED_QOS)
        # Absolute as in tf2_ros; remap /tf to separate the TF trees of several robots.
        self._tf = node.create_publisher(TFMessage, "/tf", TF_QOS)
        self._topology.publish(topology_message(model, node.get_clock().now().to_msg()))

    @property
    def wanted(self) -> bool:
        """Whether a per-image topic has a subscriber."""
        publishers = [self._mesh, self._landmarks, *([self._tf] if self.options.publish_tf else [])]
        return any(publisher.get_subscription_count() > 0 for publisher in publishers)

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in (self._mesh, self._landmarks, self._topology, self._tf):
            self._node.destroy_publisher(publisher)

    def publish(
        self, faces: Sequence[TrackedFace], header: Header, camera_info: CameraInfo
    ) -> None:
        """Publish the faces of one image, including an empty list.

        Args:
            faces: faces of the image, oldest track first.
            header: stamp and frame_id of the image.
            camera_info: camera model used for metric values.
        """
        options = self.options
        mesh = self._mesh.get_subscription_count() > 0
        landmarks = self._landmarks.get_subscription_count() > 0
        common = [common_fields(face, header) for face in faces] if mesh or landmarks else []
        # Small messages first: control loops depend on landmarks and poses.
        if landmarks:
            self._landmarks.publish(face_landmarks_array(faces, header, camera_info, common))
        if options.publish_tf and faces and self._tf.get_subscription_count():
            self._tf.publish(TFMessage(transforms=[transform(face, header) for face in faces]))
        if mesh:
            self._mesh.publish(
                face_mesh_array(
                    faces,
                    header,
                    camera_info,
                    vertices=options.publish_vertices,
                    image_vertices=options.publish_image_vertices,
                    encoding=options.vertices_encoding,
                    common=common,
                )
            )


def face_mesh_array(
    faces: Sequence[TrackedFace],
    header: Header,
    camera_info: CameraInfo,
    *,
    vertices: bool = True,
    image_vertices: bool = True,
    encoding: str = FLOAT32,
    common: Sequence[Mapping[str, Any]] | None = None,
) -> FaceMeshArray:
    """Convert the faces of one image to a message; see :func:`face_mesh_message`."""
    if vertices or image_vertices:
        reconstruct(faces)
    return FaceMeshArray(
        header=header,
        camera_info=camera_info,
        faces=[
            face_mesh_message(
                face,
                header,
                vertices=vertices,
                image_vertices=image_vertices,
                encoding=encoding,
                common=fields,
            )
            for face, fields in zip(faces, common or repeat(None), strict=False)
        ],
    )


def face_landmarks_array(
    faces: Sequence[TrackedFace],
    header: Header,
    camera_info: CameraInfo,
    common: Sequence[Mapping[str, Any]] | None = None,
) -> FaceLandmarksArray:
    """Convert the faces of one image to a message without parameters and vertices; see :func:`face_mesh_message`."""
    return FaceLandmarksArray(
        header=header,
        camera_info=camera_info,
        faces=[
            face_landmarks_message(face, header, fields)
            for face, fields in zip(faces, common or repeat(None), strict=False)
        ],
    )


def transform(face: TrackedFace, header: Header) -> TransformStamped:
    """Convert the head pose to the transform from the camera optical frame to ``face_<id>``."""
    pose = pose_message(face.head_pose)
    message = TransformStamped(header=header, child_frame_id=f"face_{face.id}")
    translation = message.transform.translation
    translation.x, translation.y, translation.z = (
        pose.position.x,
        pose.position.y,
        pose.position.z,
    )
    message.transform.rotation = pose.orientation
    return message
