from __future__ import annotations

import math

import numpy as np
import pytest
from support.faces import calibration

pytest.importorskip("tddfa_msgs", reason="tddfa_msgs is not built: run through `make test`")

from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from tddfa_ros.nodes.camera_state import GRACE_IMAGES, CameraState
from tddfa_ros.nodes.convert.camera_info import intrinsics_from_message
from tddfa_ros.nodes.ros.throttle import ThrottledLog

HEADER = Header(frame_id="camera")


class Logger:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, line: str) -> None:
        self.lines.append(f"I {line}")

    def error(self, line: str) -> None:
        self.lines.append(f"E {line}")


@pytest.fixture
def logger() -> Logger:
    return Logger()


@pytest.fixture
def camera(logger: Logger) -> CameraState:
    return CameraState(ThrottledLog(logger), "/camera_info", 60.0)


def test_assumed_fov_is_logged_once_after_grace_period(camera: CameraState, logger: Logger) -> None:
    for i in range(3 * GRACE_IMAGES):
        intrinsics, info = camera.model_for(640, 480, HEADER)
        assert bool(logger.lines) == (i + 1 >= GRACE_IMAGES)
    assert intrinsics.assumed
    assert intrinsics.k[0, 0] == pytest.approx(320 / math.tan(math.radians(30)))
    assert (info.width, info.height, info.k[0]) == (640, 480, intrinsics.k[0, 0])
    assert len(logger.lines) == 1
    assert "no camera calibration on /camera_info" in logger.lines[0]
    assert "60 degrees" in logger.lines[0]


def test_camera_info_carries_image_header(camera: CameraState, logger: Logger) -> None:
    received = calibration(640, 480, 555.0)
    received.header.frame_id = "somewhere else"
    camera.update(received)
    intrinsics, info = camera.model_for(640, 480, HEADER)
    assert not intrinsics.assumed
    assert info.header == HEADER
    assert received.header.frame_id == "somewhere else"
    assert info.k[0] == intrinsics.k[0, 0] == 555.0
    assert camera.description == "calibrated (/camera_info)"
    assert logger.lines == []


def test_calibration_of_other_aspect_ratio_is_ignored(camera: CameraState, logger: Logger) -> None:
    camera.update(calibration(1280, 720))
    assert camera.model_for(640, 480, HEADER)[0].assumed
    assert "1280x720" in logger.lines[0]
    assert "640x480" in logger.lines[0]
    assert camera.description.startswith("assumed")


def test_resized_images_scale_calibration(camera: CameraState, logger: Logger) -> None:
    camera.update(calibration(1280, 960, 1000.0))
    intrinsics, info = camera.model_for(640, 480, HEADER)
    assert not intrinsics.assumed
    assert (info.width, info.height) == (640, 480)
    assert info.k[0] == intrinsics.k[0, 0] == pytest.approx(500.0)
    assert info.k[2] == pytest.approx(319.5)
    assert logger.lines == []


def test_binning_and_roi_are_applied_once(camera: CameraState) -> None:
    received = calibration(1600, 1200, 1000.0)
    received.binning_x = received.binning_y = 2
    received.roi.x_offset, received.roi.y_offset = 160, 120
    received.roi.width, received.roi.height = 1280, 960
    camera.update(received)
    intrinsics, info = camera.model_for(640, 480, HEADER)
    assert intrinsics.k[0, 0] == pytest.approx(500.0)
    assert (info.width, info.height, info.binning_x, info.roi.width) == (640, 480, 0, 0)
    # What the next node makes of the message is the same camera.
    again = intrinsics_from_message(info)
    assert again is not None
    assert (again.width, again.height) == (640, 480)
    np.testing.assert_allclose(again.k, intrinsics.k)


def test_calibration_without_size(camera: CameraState) -> None:
    camera.update(calibration(0, 0, 500.0))
    intrinsics, info = camera.model_for(640, 480, HEADER)
    assert (intrinsics.width, intrinsics.height, intrinsics.assumed) == (640, 480, False)
    assert (info.width, info.height) == (640, 480)


def test_uncalibrated_and_missing_camera_differ(camera: CameraState, logger: Logger) -> None:
    camera.update(CameraInfo(width=640, height=480))
    assert camera.model_for(640, 480, HEADER)[0].assumed
    assert logger.lines[0].startswith("I /camera_info is not calibrated")


def test_nan_calibration_is_logged_once_and_replaced(camera: CameraState, logger: Logger) -> None:
    broken = calibration(640, 480)
    broken.k[4] = math.nan
    for _ in range(10):
        camera.update(broken)
        assert camera.model_for(640, 480, HEADER)[0].assumed
    assert len(logger.lines) == 1
    assert logger.lines[0].startswith("E /camera_info: ")
    assert "NaN" in logger.lines[0]
    camera.update(calibration(640, 480))
    assert not camera.model_for(640, 480, HEADER)[0].assumed
