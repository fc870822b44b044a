"""Camera model of the images: the latest usable CameraInfo, else an assumed field of view."""

from __future__ import annotations

import re
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from tddfa_ros.errors import CameraError
from tddfa_ros.nodes.convert.camera_info import (
    camera_info_message,
    intrinsics_from_message,
    scale_intrinsics,
)
from tddfa_ros.nodes.face_publisher import LATCHED_QOS
from tddfa_ros.nodes.ros.demand import OnDemand
from tddfa_ros.nodes.ros.image_input import SENSOR_QOS
from tddfa_ros.nodes.ros.overrides import TopicNode
from tddfa_ros.nodes.ros.throttle import ThrottledLog
from tddfa_ros.types import Intrinsics

GRACE_IMAGES = 15
"""Images without CameraInfo before the assumed field of view is logged; at startup images may arrive first."""

_RECTIFIED = re.compile(r"(?:^|[/_.-])rect(?:ified)?(?:$|[/_.-])")


class CameraInfoInput:
    """Receives ``camera_info`` from drivers that publish it with every image and from those that latch it once.

    A transient-local subscription does not match volatile publishers, and both sides log a warning about that; it exists only while there
    is a transient-local publisher.

    Args:
        node: node to subscribe on.
        camera: receives the messages; a repeated CameraInfo is ignored.
    """

    def __init__(self, node: TopicNode, camera: CameraState) -> None:
        self._node, self._camera = node, camera
        self._topic = node.resolve_topic_name("camera_info")
        self._volatile = self._subscribe(SENSOR_QOS)
        self._latched = OnDemand(
            node, self._topic, self._is_latched, lambda: [self._subscribe(LATCHED_QOS)]
        )

    def close(self) -> None:
        """Unsubscribe."""
        self._latched.stop()
        self._node.destroy_subscription(self._volatile)

    def _subscribe(self, qos: QoSProfile) -> Any:
        return self._node.create_subscription(CameraInfo, "camera_info", self._camera.update, qos)

    def _is_latched(self) -> bool:
        publishers = self._node.get_publishers_info_by_topic(self._topic)
        durabilities = [publisher.qos_profile.durability for publisher in publishers]
        return DurabilityPolicy.TRANSIENT_LOCAL in durabilities


def named_rectified(name: str) -> bool:
    """Return whether a topic or frame_id names rectified images: ``rect`` or ``rectified`` is one of its words."""
    return _RECTIFIED.search(name.lower()) is not None


class CameraState:
    """Keeps the latest CameraInfo and derives the camera model of each image.

    Args:
        log: log of the node.
        topic: resolved name of the CameraInfo topic, for messages.
        assumed_fov_deg: horizontal field of view without calibration, degrees.
        image_topic: resolved name of the image topic.
        image_is_rectified: ``true`` uses P of the CameraInfo, ``false`` K and D, ``auto`` decides by ``rect`` in the image topic or
            frame_id.

    Attributes:
        assumed_fov_deg: as above; may be changed at any time.
        image_is_rectified: as above; may be changed at any time.
    """

    def __init__(
        self,
        log: ThrottledLog,
        topic: str,
        assumed_fov_deg: float,
        image_topic: str = "",
        image_is_rectified: str = "auto",
    ) -> None:
        self.assumed_fov_deg = assumed_fov_deg
        self.image_is_rectified = image_is_rectified
        self._log = log
        self._topic = topic
        self._rectified_topic = named_rectified(image_topic)
        self._info: CameraInfo | None = None
        self._parsed: tuple[CameraInfo, bool, Intrinsics | None] | None = None
        self._uncalibrated_images = 0
        self._description = ""
        self._fault = ""

    def update(self, info: CameraInfo) -> None:
        """Store a CameraInfo; it is checked with the next image."""
        known = self._info
        if known is None or not _same(known, info):
            self._info = info

    def model_for(
        self, width: int, height: int, header: Header, frame_id: str | None = None
    ) -> tuple[Intrinsics, CameraInfo]:
        """Return the camera model of an image, as intrinsics and as a CameraInfo message.

        The message describes the image itself: its size, without binning and region of interest. For an image resized after the
        calibration the intrinsics are scaled. The field of view is assumed when the calibration is unusable, belongs to another
        frame, or to images of another aspect ratio.

        Args:
            width: width of the image, px.
            height: height of the image, px.
            header: header of the message.
            frame_id: frame_id of the image as received; None = that of the header.
        """
        frame_id = header.frame_id if frame_id is None else frame_id
        try:
            intrinsics, missing = self._calibrated(width, height, frame_id)
            self._fault = ""
        except CameraError as error:
            intrinsics, missing = None, ""
            self._fault = f"{self._topic}: {error}"
        if intrinsics is None:
            reason = self._fault or missing
            self._log_assumed(reason)
            self._description = f"assumed field of view {self.assumed_fov_deg:g} deg: {reason}"
            intrinsics = Intrinsics.from_fov(width, height, self.assumed_fov_deg)
        # Not the received message: binning and region of interest are already applied to the intrinsics.
        return intrinsics, camera_info_message(intrinsics, header)

    @property
    def description(self) -> str:
        """One-line description for diagnostics."""
        return self._description or f"no image yet ({self._topic})"

    @property
    def fault(self) -> str:
        """Why the calibration of the last image was refused; empty when it was used or there is none."""
        return self._fault

    def _calibrated(self, width: int, height: int, frame_id: str) -> tuple[Intrinsics | None, str]:
        """Return the calibrated intrinsics, or None and the reason.

        Raises:
            CameraError: the calibration cannot be used.
        """
        info = self._info
        if info is None:
            return None, f"no camera calibration on {self._topic}"
        own = info.header.frame_id
        if own and frame_id and own.lstrip("/") != frame_id.lstrip("/"):
            raise CameraError(
                f"its frame_id {own!r} differs from {frame_id!r} of the images, so that it may belong to another camera"
            )
        rectified = self.image_is_rectified == "true" or (
            self.image_is_rectified == "auto"
            and (self._rectified_topic or named_rectified(frame_id))
        )
        full = self._parse(info, rectified)
        if full is None:
            return None, f"{self._topic} is not calibrated (K is zero)"
        intrinsics = scale_intrinsics(full, width, height)
        notes = [self._topic, *(["rectified images"] if rectified else [])]
        if intrinsics.distorted:
            notes.append(intrinsics.distortion_model)
        if full.width and (full.width, full.height) != (width, height):
            notes.append(f"scaled from {full.width}x{full.height} to {width}x{height} px")
            self._log.once(
                f"scaled {full.width}x{full.height} {width}x{height}",
                f"{self._topic} is for {full.width}x{full.height} px, images have {width}x{height} px: the calibration is scaled",
            )
        self._description = f"calibrated ({', '.join(notes)})"
        return intrinsics, ""

    def _parse(self, info: CameraInfo, rectified: bool) -> Intrinsics | None:
        parsed = self._parsed
        if parsed is None or parsed[0] is not info or parsed[1] != rectified:
            parsed = info, rectified, intrinsics_from_message(info, rectified=rectified)
            self._parsed = parsed
        return parsed[2]

    def _log_assumed(self, reason: str) -> None:
        self._uncalibrated_images += 1
        if self._uncalibrated_images < GRACE_IMAGES and self._info is None:
            return
        message = (
            f"{reason}: using the assumed horizontal field of view of {self.assumed_fov_deg:g} "
            "degrees for metric values"
        )
        if self._fault:
            # One kind per sort of fault, whatever names and numbers it mentions.
            kind = re.sub(r"""'[^']*'|"[^"]*"|[\d.eE+-]+""", "#", reason)
            self._log.error(f"camera_info:{kind}", message)
        else:
            self._log.once(f"assumed:{reason}", message)


def _same(a: CameraInfo, b: CameraInfo) -> bool:
    """Compare two messages without their stamps; NaN differs from NaN."""
    return (
        (a.width, a.height, a.distortion_model, a.binning_x, a.binning_y)
        == (b.width, b.height, b.distortion_model, b.binning_x, b.binning_y)
        and a.header.frame_id == b.header.frame_id
        and a.roi == b.roi
        and a.k.tolist() == b.k.tolist()
        and a.p.tolist() == b.p.tolist()
        and list(a.d) == list(b.d)
    )
