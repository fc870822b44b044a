"""The camera model that goes with the next image: CameraInfo once it has come, an assumed field of view until then."""

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

PATIENCE = 15
"""Images without CameraInfo before the node says that it assumes a field of view: at the start both race."""


class CameraState:
    """Keeps the newest usable CameraInfo.

    Attributes:
        assumed_fov_deg: horizontal field of view, degrees, while there is no calibration; may be changed at any time.
    """

    def __init__(self, log: ThrottledLog, topic: str, assumed_fov_deg: float) -> None:
        self.assumed_fov_deg = assumed_fov_deg
        self._log = log
        self._topic = topic
        self._calibrated: Intrinsics | None = None
        self._assuming = True
        self._missed = 0
        self._broken = False
        self._reason = f"no camera calibration on {topic}"

    def update(self, info: CameraInfo) -> None:
        """Take a CameraInfo; an unusable one is logged once and leads to the assumed field of view."""
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
        """Camera model of an image of this size, as the core and as messages want it.

        The message describes the picture itself: its size, no binning, no region of interest. Pictures that were resized
        after the calibration get a resized model; those of another aspect ratio the assumed field of view.
        """
        calibrated = self._calibrated
        if calibrated is not None:
            try:
                intrinsics = scale_intrinsics(calibrated, width, height)
            except CameraError as error:
                self._reason = f"{self._topic}: {error}"
            else:
                self._assuming = False
                # Not the received message: its binning and region of interest are worked into these intrinsics.
                return intrinsics, camera_info_message(intrinsics, header)
        self._say_assumed()
        intrinsics = Intrinsics.from_fov(width, height, self.assumed_fov_deg)
        return intrinsics, camera_info_message(intrinsics, header)

    @property
    def description(self) -> str:
        """One line for diagnostics."""
        if not self._assuming:
            return f"calibrated ({self._topic})"
        return f"assumed field of view {self.assumed_fov_deg:g} deg: {self._reason}"

    def _say_assumed(self) -> None:
        self._assuming = True
        self._missed += 1
        if self._missed < PATIENCE and self._reason.startswith("no "):
            return
        sentence = (
            f"{self._reason}: metric values assume a horizontal field of view of "
            f"{self.assumed_fov_deg:g} degrees"
        )
        if self._broken:
            self._log.error("camera_info", sentence)
        else:
            self._log.once(f"assumed:{self._reason}", sentence)
