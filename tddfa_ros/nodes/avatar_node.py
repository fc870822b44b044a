"""``avatar_node``: convert face_landmarks to ARKit blend shapes, for ROS, OSC, Live Link Face and a web page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from sensor_msgs.msg import JointState
from std_msgs.msg import Header

from tddfa_msgs.msg import FaceLandmarks, FaceLandmarksArray
from tddfa_ros.avatar import ARKIT_NAMES, AvatarFrame, BlendShapes
from tddfa_ros.avatar.targets import Targets, open_receivers
from tddfa_ros.gaze.track import SmoothedGaze
from tddfa_ros.geometry.rotation import rotation_from_quaternion
from tddfa_ros.model_store.store import default_store
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.nodes.convert.messages import expression_coefficients, stamp_seconds
from tddfa_ros.nodes.face_publisher import OUTPUT_QOS
from tddfa_ros.nodes.gaze_input import GazeInput, ImagePairs, Pair
from tddfa_ros.nodes.options import AvatarNodeOptions
from tddfa_ros.nodes.ros.demand import OnDemand
from tddfa_ros.nodes.ros.mailbox import Worker
from tddfa_ros.nodes.ros.overrides import TopicNode
from tddfa_ros.nodes.ros.parameters import Parameters
from tddfa_ros.nodes.ros.runner import run
from tddfa_ros.nodes.ros.throttle import ThrottledLog

IMAGES_KEPT = 8
"""Images kept until their faces arrive."""


class AvatarNode(TopicNode):
    """Publishes ARKit blend shapes of smoothed faces and sends them to the configured avatar receivers."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("avatar_node", **kwargs)
        self._log = ThrottledLog(self.get_logger())
        options = Parameters(self, AvatarNodeOptions()).config
        store = default_store()
        self._model = MorphableModel.load(store.path(store.morphable_model(options.regression())))
        self._shapes = BlendShapes(self._model.expression_names, options.stretch)
        self._publisher = self.create_publisher(JointState, "face_blendshapes", OUTPUT_QOS)
        self._receivers = open_receivers(_targets(options), self._model, self.get_logger().info)
        self._worker: Worker[tuple[FaceLandmarksArray, Any]] = Worker(
            self._process, self._on_error, "avatar_node"
        )
        self._gaze = GazeInput() if options.gaze else None
        self._images = ImagePairs(
            self,
            options.image_transport,
            IMAGES_KEPT,
            lambda: options.gaze and self._wanted(),
            self._on_late,
        )
        self._faces = OnDemand(
            self,
            "face_landmarks",
            lambda: not options.lazy or self._wanted(),
            self._subscribe,
            self._worker.mailbox.clear,
        )

    def close(self) -> None:
        """Stop the worker, close the sockets and the web page."""
        self._worker.stop()
        for receiver in self._receivers:
            receiver.close()

    def _wanted(self) -> bool:
        """Whether somebody gets the blend shapes: subscribers, or receivers that do not say whether they listen."""
        return bool(self._receivers) or self._publisher.get_subscription_count() > 0

    def _subscribe(self) -> list[Any]:
        return [
            self.create_subscription(
                FaceLandmarksArray, "face_landmarks", self._on_faces, OUTPUT_QOS
            )
        ]

    def _on_faces(self, message: FaceLandmarksArray) -> None:
        self._worker.put((message, self._images.image_of(message)))

    def _on_late(self, pair: Pair) -> None:
        if self._gaze is not None:
            self._gaze.late(pair)

    def _process(self, received: tuple[FaceLandmarksArray, Any]) -> None:
        """Publish and send the blend shapes of a message, in the worker thread."""
        message, image = received
        gazes = {} if self._gaze is None else self._gaze.update(message, image)
        frames = [
            avatar_frame(
                face, self._model, self._shapes, gazes[face.id][0] if face.id in gazes else None
            )
            for face in message.faces
        ]
        for frame in frames:
            self._publisher.publish(blend_shape_message(frame, message.header))
        for receiver in self._receivers:
            receiver.send(frames)

    def _on_error(self, error: Exception) -> None:
        if self.context.ok():  # during shutdown publishers are destroyed while the worker runs
            self._log.exception("driving avatars", error)


def _targets(options: AvatarNodeOptions) -> Targets:
    return Targets(
        options.osc,
        options.livelink,
        options.subject,
        options.web_port if options.web else None,
        options.web_host,
        Path(options.three) if options.three else None,
        Path(options.rig) if options.rig else None,
    )


def avatar_frame(
    message: FaceLandmarks,
    model: MorphableModel,
    shapes: BlendShapes,
    gaze: SmoothedGaze | None = None,
) -> AvatarFrame:
    """Convert a face message to an avatar frame; see :meth:`BlendShapes.__call__` for ``gaze``.

    Raises:
        ModelError: the message has the expressions of another morphable model.
    """
    coefficients = expression_coefficients(message, model)
    point, turn = message.head_pose.pose.position, message.head_pose.pose.orientation
    return AvatarFrame.from_pose(
        stamp_seconds(message.header.stamp),
        message.id,
        shapes(coefficients, gaze),
        rotation_from_quaternion(np.array([turn.x, turn.y, turn.z, turn.w])),
        np.array([point.x, point.y, point.z]),
    )


def blend_shape_message(frame: AvatarFrame, header: Header) -> JointState:
    """Convert blend shapes to a joint state: names, values, and the face frame as ``frame_id``."""
    joints = JointState(name=list(ARKIT_NAMES), position=frame.blendshapes.astype(float).tolist())
    joints.header.stamp = header.stamp
    joints.header.frame_id = f"face_{frame.id}"
    return joints


def main() -> None:
    """Console script ``avatar_node``."""
    sys.exit(run(AvatarNode))


if __name__ == "__main__":
    main()
