"""Outputs of ``face_node``: faces for ``smoothing_node``, or the topics of smoothed faces without one."""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from tddfa_msgs.msg import FaceMeshArray
from tddfa_ros.face import TrackedFace
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.nodes.face_publisher import OUTPUT_QOS, FacePublisher, face_mesh_array
from tddfa_ros.nodes.options import FaceNodeOptions
from tddfa_ros.nodes.raw_faces import RawFaces, RawFacesTopic


class FaceOutputs:
    """Publishes the tracked faces of each image, only to those who subscribe.

    Args:
        node: node to create the publishers on.
        model: morphable model of the faces.
        options: which fields and topics to publish.
        in_process: hands the faces to a ``smoothing_node`` in this process; None = there is none.
    """

    def __init__(
        self,
        node: Node,
        model: MorphableModel,
        options: FaceNodeOptions,
        in_process: RawFacesTopic | None = None,
    ) -> None:
        self._node = node
        self._options = options
        self._in_process = in_process
        self._raw = node.create_publisher(FaceMeshArray, "face_mesh_raw", OUTPUT_QOS)
        self._publisher: FacePublisher | None = None
        if options.publish_face_mesh:
            self._publisher = FacePublisher(node, model, options)

    @property
    def wanted(self) -> bool:
        """Whether an output has a subscriber."""
        return (
            self._raw.get_subscription_count() > 0
            or (self._in_process is not None and self._in_process.subscribed)
            or (self._publisher is not None and self._publisher.wanted)
        )

    def configure(self, options: FaceNodeOptions) -> None:
        """Take over options set at run time."""
        self._options = options
        if self._publisher is not None:
            self._publisher.options = options

    def close(self) -> None:
        """Destroy the publishers."""
        self._node.destroy_publisher(self._raw)
        if self._publisher is not None:
            self._publisher.close()

    def publish(
        self, faces: Sequence[TrackedFace], header: Header, camera_info: CameraInfo
    ) -> None:
        """Publish the faces of one image, including an empty list; see :meth:`FacePublisher.publish`."""
        if self._in_process is not None:
            self._in_process.publish(RawFaces(header, camera_info, faces))
        if self._publisher is not None:
            self._publisher.publish(faces, header, camera_info)
        if self._raw.get_subscription_count():
            options = self._options
            dense = options.raw_vertices
            self._raw.publish(
                face_mesh_array(
                    faces,
                    header,
                    camera_info,
                    vertices=dense,
                    image_vertices=dense and options.publish_image_vertices,
                    encoding=options.vertices_encoding,
                )
            )
