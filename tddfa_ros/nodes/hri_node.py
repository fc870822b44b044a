"""``hri_node``: publish face_landmarks as the topics ``humans/faces/...`` of REP-155 (ROS4HRI)."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from rclpy.clock import Clock, ClockType

from tddfa_msgs.msg import FaceLandmarksArray
from tddfa_ros.attributes.estimate import AttributeEstimator
from tddfa_ros.attributes.expressions import has_action_units
from tddfa_ros.errors import CameraError, ConfigError
from tddfa_ros.geometry.roi import crop
from tddfa_ros.model_store.store import default_store
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.nodes.convert.images import image_message, to_bgr
from tddfa_ros.nodes.convert.messages import expression_coefficients, stamp_seconds
from tddfa_ros.nodes.face_publisher import OUTPUT_QOS
from tddfa_ros.nodes.gaze_input import GazeInput, ImagePairs, Pair
from tddfa_ros.nodes.hri.memory import Estimates, Presence
from tddfa_ros.nodes.hri.values import aligned, soft_biometrics
from tddfa_ros.nodes.options import HriNodeOptions
from tddfa_ros.nodes.ros.demand import CHECK_PERIOD, OnDemand
from tddfa_ros.nodes.ros.mailbox import Worker
from tddfa_ros.nodes.ros.overrides import TopicNode
from tddfa_ros.nodes.ros.parameters import Parameters
from tddfa_ros.nodes.ros.runner import run
from tddfa_ros.nodes.ros.throttle import ThrottledLog
from tddfa_ros.types import ImageBGR

try:
    from tddfa_ros.nodes.hri.messages import (
        FACE_MESSAGES,
        HriFace,
        gaze_transform,
        soft_biometrics_message,
    )
    from tddfa_ros.nodes.hri.topics import FaceTopics
except ModuleNotFoundError as missing:
    if missing.name is None or missing.name.partition(".")[0] != "hri_msgs":
        raise
    HAS_HRI_MSGS = False
else:
    HAS_HRI_MSGS = True

SILENCE = 1.0
"""Time without a message after which all faces are removed, seconds: the camera or face_node has ended."""


class HriNode(TopicNode):
    """Publishes smoothed faces as ROS4HRI topics; subscribes to images only while a topic that needs them has subscribers.

    Raises:
        ConfigError: ``hri_msgs`` is not installed.
    """

    def __init__(self, **kwargs: Any) -> None:
        if not HAS_HRI_MSGS:
            raise ConfigError(
                f"hri_node needs hri_msgs, which is not installed: sudo apt install "
                f"ros-{os.environ.get('ROS_DISTRO', '<distro>')}-hri-msgs "
                "(without a ROS installation: TDDFA_EXTRAS=hri make setup)"
            )
        super().__init__("hri_node", **kwargs)
        self._log = ThrottledLog(self.get_logger())
        self._settings = Parameters(self, HriNodeOptions(), self._apply)
        options = self._settings.config
        store = default_store()
        self._model = MorphableModel.load(store.path(store.morphable_model(options.regression())))
        self._arkit = has_action_units(dict.fromkeys(self._model.expression_names, 0.0))
        self._estimator = AttributeEstimator(device=options.device) if options.attributes else None
        self._topics = FaceTopics(self, expressions=self._arkit, attributes=options.attributes)
        self._estimates = Estimates()
        self._presence = Presence(options.timeout)
        self._last: tuple[float, Any] = (0.0, None)
        self._worker = Worker(self._publish_faces, self._on_error, "faces")
        self._image_worker = Worker(self._publish_images, self._on_error, "images")
        self._gaze = GazeInput() if options.gaze else None
        self._images = ImagePairs(
            self, options.image_transport, options.image_buffer, self._images_wanted, self._on_late
        )
        self._faces = OnDemand(
            self,
            "face_landmarks",
            lambda: not options.lazy or self._topics.any_wanted,
            self._subscribe,
            self._clear,
        )
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._silence = self.create_timer(CHECK_PERIOD, self._check_silence, clock=clock)

    def close(self) -> None:
        """Stop the worker threads."""
        self._worker.stop()
        self._image_worker.stop()

    def _on_faces(self, message: FaceLandmarksArray) -> None:
        self._last = time.monotonic(), message.header
        seen = [face.id for face in message.faces]
        present = self._presence.update(seen, stamp_seconds(message.header.stamp))
        self._topics.follow(present)
        image = self._images.image_of(message)
        self._worker.put((message, present, image))
        if image is not None:
            self._image_worker.put((image, message))

    def _on_late(self, pair: Pair) -> None:
        self._image_worker.put(pair)
        if self._gaze is not None:
            self._gaze.late(pair)

    def _subscribe(self) -> list[Any]:
        return [
            self.create_subscription(
                FaceLandmarksArray, "face_landmarks", self._on_faces, OUTPUT_QOS
            )
        ]

    def _clear(self) -> None:
        """Remove all faces after the subscription was closed: nobody listens."""
        self._presence.clear()
        self._topics.follow([])

    def _images_wanted(self) -> bool:
        return self._topics.images_wanted or (
            self._settings.config.gaze and self._topics.gaze_wanted
        )

    def _check_silence(self) -> None:
        """Remove all faces when messages stop."""
        heard, header = self._last
        if self._topics.ids and time.monotonic() - heard > max(self._presence.timeout, SILENCE):
            self._presence.clear()
            self._on_faces(FaceLandmarksArray(header=header))

    def _publish_faces(self, seen: tuple[FaceLandmarksArray, list[str], Any | None]) -> None:
        """Publish the faces of a message, in the worker thread."""
        message, present, image = seen
        self._topics.publish_tracked(present, message.header)
        faces = self._seen(message)
        if self._gaze is not None:
            found = self._gaze.update(message, image)
            faces = [face.with_gaze(*found[face.id]) for face in faces]
        self._topics.publish_frames([gaze_transform(face) for face in faces])
        for face in faces:
            for topic, build in FACE_MESSAGES.items():
                if self._topics.wanted(face.id, topic):
                    self._topics.publish(face.id, topic, build(face))

    def _publish_images(self, pair: tuple[Any, FaceLandmarksArray]) -> None:
        """Publish the topics that need the image, in the worker thread."""
        received, message = pair
        faces = self._seen(message)
        shown = [(f, t) for f in faces for t in ("cropped", "aligned") if self._wanted(f, t)]
        now, rate = stamp_seconds(message.header.stamp), self._settings.config.attributes_rate
        self._estimates.keep(self._topics.ids)
        due = [
            f
            for f in faces
            if self._wanted(f, "softbiometrics") and self._estimates.due(f.id, now, rate)
        ]
        if not shown and not due:
            return
        image = to_bgr(received)
        size = self._settings.config.crop_size
        for face, topic in shown:
            if topic == "cropped":
                part = crop(image, face.roi, size)
            else:
                part = aligned(image, face.roi, face.landmarks, size)
            self._topics.publish(face.id, topic, image_message(part, message.header))
        self._estimate(image, due, now)

    def _estimate(self, image: ImageBGR, faces: Sequence[HriFace], now: float) -> None:
        """Estimate and publish age and gender presentation of faces."""
        if self._estimator is None or not faces:
            return
        found = self._estimator.estimate_rois(image, np.stack([face.roi for face in faces]))
        for face, age, feminine in zip(faces, found["age"], found["feminine"], strict=True):
            values = soft_biometrics(self._estimates.add(face.id, now, age, float(feminine)))
            message = soft_biometrics_message(values, face.header)
            self._topics.publish(face.id, "softbiometrics", message)

    def _seen(self, message: FaceLandmarksArray) -> list[HriFace]:
        """Convert a message to faces.

        Raises:
            CameraError: the message has no image size.
            ModelError: the message has the expressions of another morphable model.
        """
        width, height = message.camera_info.width, message.camera_info.height
        if message.faces and not (width and height):
            raise CameraError(
                "received faces without the size of their image: camera_info is empty"
            )
        names = self._model.expression_names
        seen = []
        for face in message.faces:
            values = expression_coefficients(face, self._model).tolist()
            coefficients = dict(zip(names, values, strict=True)) if self._arkit else {}
            seen.append(HriFace.of(face, coefficients, width, height))
        return seen

    def _wanted(self, face: HriFace, topic: str) -> bool:
        return self._topics.wanted(face.id, topic)

    def _apply(self, options: HriNodeOptions) -> None:
        """Take over parameters set at run time."""
        self._images.matcher.size = options.image_buffer
        self._presence.timeout = options.timeout

    def _on_error(self, error: Exception) -> None:
        if self.context.ok():  # during shutdown publishers are destroyed while the workers run
            self._log.exception("publishing faces", error)


def main() -> None:
    """Console script ``hri_node``."""
    sys.exit(run(HriNode))


if __name__ == "__main__":
    main()
