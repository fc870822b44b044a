"""Gaze of the faces of ``face_landmarks``, estimated in the images with the same stamps while somebody needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tddfa_msgs.msg import FaceLandmarks, FaceLandmarksArray
from tddfa_ros.gaze.direction import Gaze, gaze_of_eyes
from tddfa_ros.gaze.eyes import Eye, eyes_from_landmarks
from tddfa_ros.gaze.track import GazeTracks, SmoothedGaze
from tddfa_ros.geometry.pose import FACE_FROM_MODEL
from tddfa_ros.geometry.rotation import rotation_from_quaternion
from tddfa_ros.nodes.convert.images import to_bgr
from tddfa_ros.nodes.convert.messages import points_from, stamp_ns, stamp_seconds
from tddfa_ros.nodes.ros.demand import OnDemand
from tddfa_ros.nodes.ros.image_input import StampMatcher, image_topic, subscribe_images
from tddfa_ros.nodes.ros.overrides import TopicNode

IMAGES, FACES = 0, 1

Pair = tuple[Any, FaceLandmarksArray]


class ImagePairs:
    """Subscribes to images on demand, and pairs them with the faces found in them.

    Args:
        node: node of the subscription.
        transport: "raw" or "compressed".
        size: number of images kept until their faces arrive.
        wanted: returns whether images are needed.
        late: called in the executor thread with a pair whose image arrived after the faces.
    """

    def __init__(
        self,
        node: TopicNode,
        transport: str,
        size: int,
        wanted: Callable[[], bool],
        late: Callable[[Pair], None],
    ) -> None:
        self.matcher = StampMatcher(size)
        self._late = late
        self._images = OnDemand(
            node,
            image_topic(node, transport),
            wanted,
            lambda: [subscribe_images(node, transport, self._on_image)],
            self.matcher.clear,
        )

    def image_of(self, message: FaceLandmarksArray) -> Any | None:
        """Return the image message of faces; None if it has not arrived, or images are not needed."""
        if not self._images.active:
            return None
        pair = self.matcher.add(FACES, stamp_ns(message.header.stamp), message)
        return None if pair is None else pair[0]

    def _on_image(self, message: Any) -> None:
        pair = self.matcher.add(IMAGES, stamp_ns(message.header.stamp), message)
        if pair is not None:
            self._late(pair)


class GazeInput:
    """Smoothed gaze of the faces of each message. A late image improves the gaze of the next message."""

    def __init__(self) -> None:
        self._tracks = GazeTracks()
        self._late: Pair | None = None

    def late(self, pair: Pair) -> None:
        """Keep a pair whose image arrived after its faces."""
        self._late = pair

    def update(
        self, message: FaceLandmarksArray, image: Any | None
    ) -> Mapping[str, tuple[SmoothedGaze, Gaze | None]]:
        """Estimate the gaze of the faces of a message, in a worker thread.

        Args:
            message: the faces.
            image: the image message they were found in; None = it has not arrived.

        Returns:
            By track ID the smoothed gaze, and the estimate in this image.

        Raises:
            ImageError: the image cannot be decoded.
        """
        late, self._late = self._late, None
        if image is not None:
            found = self._estimate(image, message)
        else:
            found = {}
            if late is not None:
                self._estimate(*late)
        self._tracks.keep([face.id for face in message.faces])
        now = stamp_seconds(message.header.stamp)
        return {f.id: (self._tracks.at(f.id, now), found.get(f.id)) for f in message.faces}

    def _estimate(self, image: Any, message: FaceLandmarksArray) -> dict[str, Gaze]:
        if not message.faces:
            return {}
        pixels = to_bgr(image)
        now = stamp_seconds(message.header.stamp)
        found = {}
        for face in message.faces:
            found[face.id] = gaze_of_eyes(pixels, eyes_of_message(face))
            self._tracks.update(face.id, now, found[face.id])
        return found


def eyes_of_message(face: FaceLandmarks) -> tuple[Eye, Eye]:
    """Return the person's own left and right eye of a face message."""
    turn = face.head_pose.pose.orientation
    camera_from_face = rotation_from_quaternion(np.array([turn.x, turn.y, turn.z, turn.w]))
    head = points_from(face.landmarks) @ camera_from_face @ FACE_FROM_MODEL
    return eyes_from_landmarks(points_from(face.landmarks_image), head)
