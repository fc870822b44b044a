"""Camera model of the images: the latest usable CameraInfo, else an assumed field of view."""

from __future__ import annotations

from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from tddfa_ros.errors import CameraError
from tddfa_ros.nodes.convert.camera_info import (
    camera_info_message,
    intrinsics_from_message,
    scale_intrinsics,
)
from tddfa_ros.nodes.ros.throttle import ThrottledLog
from tddfa_ros.types import Intrinsics

GRACE_IMAGES = 15
"""Images without CameraInfo before the assumed field of view is logged; at startup images may arrive first."""


class CameraState:
    """Keeps the latest usable CameraInfo.

    Args:
        log: log of the node.
        topic: resolved name of the CameraInfo topic, for messages.
        assumed_fov_deg: horizontal field of view without calibration, degrees.

    Attributes:
        assumed_fov_deg: as above; may be changed at any time.
    """

    def __init__(self, log: ThrottledLog, topic: str, assumed_fov_deg: float) -> None:
        self.assumed_fov_deg = assumed_fov_deg
        self._log = log
        self._topic = topic
        self._calibrated: Intrinsics | None = None
        self._assuming = True
        self._uncalibrated_images = 0
        self._broken = False
        self._reason = f"no camera calibration on {topic}"

    def update(self, info: CameraInfo) -> None:
        """Store a CameraInfo; an unusable one is logged once and replaced by the assumed field of view."""
        try:
            intrinsics = intrinsics_from_message(info)
        except CameraError as error:
            self._calibrated, self._reason, self._broken = None, f"{self._topic}: {error}", True
            return
        self._broken = False
        if intrinsics is None:
            self._calibrated = None
            self._reason = f"{self._topic} is not calibrated (K is zero)"
            return
        self._calibrated = intrinsics

    def model_for(self, width: int, height: int, header: Header) -> tuple[Intrinsics, CameraInfo]:
        """Return the camera model of an image, as intrinsics and as a CameraInfo message.

        The message describes the image itself: its size, without binning and region of interest. For an image resized after the
        calibration the intrinsics are scaled; for one with another aspect ratio the field of view is assumed.

        Args:
            width: width of the image, px.
            height: height of the image, px.
            header: header of the image.
        """
        calibrated = self._calibrated
        if calibrated is not None:
            try:
                intrinsics = scale_intrinsics(calibrated, width, height)
            except CameraError as error:
                self._reason = f"{self._topic}: {error}"
            else:
                self._assuming = False
                # Not the received message: binning and region of interest are already applied to the intrinsics.
                return intrinsics, camera_info_message(intrinsics, header)
        self._log_assumed()
        intrinsics = Intrinsics.from_fov(width, height, self.assumed_fov_deg)
        return intrinsics, camera_info_message(intrinsics, header)

    @property
    def description(self) -> str:
        """One-line description for diagnostics."""
        if not self._assuming:
            return f"calibrated ({self._topic})"
        return f"assumed field of view {self.assumed_fov_deg:g} deg: {self._reason}"

    def _log_assumed(self) -> None:
        self._assuming = True
        self._uncalibrated_images += 1
        if self._uncalibrated_images < GRACE_IMAGES and self._reason.startswith("no "):
            return
        message = (
            f"{self._reason}: using the assumed horizontal field of view of {self.assumed_fov_deg:g} "
            "degrees for metric values"
        )
        if self._broken:
            self._log.error("camera_info", message)
        else:
            self._log.once(f"assumed:{self._reason}", message)
