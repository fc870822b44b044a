"""Publishers of the topics ``humans/faces/...`` (REP-155), created and destroyed with each face."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from typing import Any

from geometry_msgs.msg import TransformStamped
from hri_msgs.msg import (
    Expression,
    FacialActionUnits,
    FacialLandmarks,
    IdsList,
    NormalizedRegionOfInterest2D,
    SoftBiometrics,
)
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from tddfa_ros.nodes.face_publisher import OUTPUT_QOS, TF_QOS

IMAGE_TOPICS = ("cropped", "aligned", "softbiometrics")
"""Topics that need the image."""


class FaceTopics:
    """Publishers of the present faces.

    Thread-safe: workers publish while the executor thread creates and destroys publishers; messages of a removed face are dropped.

    Args:
        node: node to create the publishers on.
        expressions: whether to publish ``facs`` and ``expression``.
        attributes: whether to publish ``softbiometrics``.
    """

    def __init__(self, node: Node, *, expressions: bool, attributes: bool) -> None:
        self._node = node
        self._expressions = expressions
        self._attributes = attributes
        self._lock = threading.Lock()
        self._faces: dict[str, dict[str, Any]] = {}
        self._tracked = node.create_publisher(IdsList, "humans/faces/tracked", OUTPUT_QOS)
        self._tf = node.create_publisher(TFMessage, "/tf", TF_QOS)

    @property
    def ids(self) -> list[str]:
        """Track IDs of the faces with publishers."""
        with self._lock:
            return list(self._faces)

    def follow(self, ids: Collection[str]) -> None:
        """Create the publishers of new faces and destroy those of removed faces, in the executor thread."""
        with self._lock:
            for gone in [face for face in self._faces if face not in ids]:
                for publisher in self._faces.pop(gone).values():
                    self._node.destroy_publisher(publisher)
            for new in ids:
                if new not in self._faces:
                    self._faces[new] = self._open(new)

    def publish_tracked(self, ids: Sequence[str], header: Header) -> None:
        """Publish the track IDs of the present faces."""
        self._tracked.publish(IdsList(header=header, ids=list(ids)))

    def publish_frames(self, transforms: Sequence[TransformStamped]) -> None:
        """Publish frames on /tf, if it has subscribers."""
        if transforms and self._tf.get_subscription_count():
            self._tf.publish(TFMessage(transforms=transforms))

    def wanted(self, face: str, topic: str) -> bool:
        """Return whether a topic of a face has subscribers."""
        with self._lock:
            publisher = self._faces.get(face, {}).get(topic)
            return publisher is not None and publisher.get_subscription_count() > 0

    @property
    def any_wanted(self) -> bool:
        """Whether any topic has subscribers, /tf included."""
        if self.gaze_wanted or self._tracked.get_subscription_count() > 0:
            return True
        with self._lock:
            opened = [publisher for topics in self._faces.values() for publisher in topics.values()]
            return any(publisher.get_subscription_count() > 0 for publisher in opened)

    @property
    def images_wanted(self) -> bool:
        """Whether a topic that needs the image has subscribers."""
        return any(self.wanted(face, topic) for face in self.ids for topic in IMAGE_TOPICS)

    @property
    def gaze_wanted(self) -> bool:
        """Whether /tf or the landmarks of a face have subscribers."""
        return self._tf.get_subscription_count() > 0 or any(
            self.wanted(face, "landmarks") for face in self.ids
        )

    def publish(self, face: str, topic: str, message: Any) -> None:
        """Publish on a topic of a face, unless the face was removed."""
        with self._lock:
            publisher = self._faces.get(face, {}).get(topic)
            if publisher is not None:
                publisher.publish(message)

    def _open(self, face: str) -> dict[str, Any]:
        node, qos = self._node, OUTPUT_QOS
        opened = {
            "roi": node.create_publisher(
                NormalizedRegionOfInterest2D, f"humans/faces/{face}/roi", qos
            ),
            "landmarks": node.create_publisher(
                FacialLandmarks, f"humans/faces/{face}/landmarks", qos
            ),
            "cropped": node.create_publisher(Image, f"humans/faces/{face}/cropped", qos),
            "aligned": node.create_publisher(Image, f"humans/faces/{face}/aligned", qos),
        }
        if self._expressions:
            opened["facs"] = node.create_publisher(
                FacialActionUnits, f"humans/faces/{face}/facs", qos
            )
            opened["expression"] = node.create_publisher(
                Expression, f"humans/faces/{face}/expression", qos
            )
        if self._attributes:
            opened["softbiometrics"] = node.create_publisher(
                SoftBiometrics, f"humans/faces/{face}/softbiometrics", qos
            )
        return opened
