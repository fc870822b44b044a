"""The topics ``humans/faces/...`` of REP-155: those of a face appear and vanish with it."""

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

PICTURES = ("cropped", "aligned", "softbiometrics")
"""Topics that take the picture itself."""


class FaceTopics:
    """Publishers of the faces that are there.

    Workers publish while the executor's thread opens and closes; what comes too late for a face is dropped.

    Args:
        node: that they belong to.
        expressions: whether faces have ``facs`` and ``expression``.
        attributes: whether they have ``softbiometrics``.
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
        """Names of the faces that have topics."""
        with self._lock:
            return list(self._faces)

    def follow(self, ids: Collection[str]) -> None:
        """Open the topics of faces that are new and close those of faces that are gone; in the executor's thread."""
        with self._lock:
            for gone in [face for face in self._faces if face not in ids]:
                for publisher in self._faces.pop(gone).values():
                    self._node.destroy_publisher(publisher)
            for new in ids:
                if new not in self._faces:
                    self._faces[new] = self._open(new)

    def publish_tracked(self, ids: Sequence[str], header: Header) -> None:
        """Say which faces a picture shows."""
        self._tracked.publish(IdsList(header=header, ids=list(ids)))

    def publish_frames(self, transforms: Sequence[TransformStamped]) -> None:
        """Frames of a picture's faces, if anybody listens."""
        if transforms and self._tf.get_subscription_count():
            self._tf.publish(TFMessage(transforms=transforms))

    def wanted(self, face: str, topic: str) -> bool:
        """Whether anybody subscribes to a topic of a face, named by its last part."""
        with self._lock:
            publisher = self._faces.get(face, {}).get(topic)
            return publisher is not None and publisher.get_subscription_count() > 0

    @property
    def pictures_wanted(self) -> bool:
        """Whether anybody subscribes to what takes the picture itself."""
        return any(self.wanted(face, topic) for face in self.ids for topic in PICTURES)

    def publish(self, face: str, topic: str, message: Any) -> None:
        """Publish about a face, unless it is gone."""
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
