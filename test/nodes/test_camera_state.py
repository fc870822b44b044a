from __future__ import annotations

import math
import time

import numpy as np
import pytest
from support.faces import calibration

pytest.importorskip("tddfa_msgs", reason="tddfa_msgs is not built: run through `make test`")

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from tddfa_ros.nodes.camera_state import (
    GRACE_IMAGES,
    CameraInfoInput,
    CameraState,
)
from tddfa_ros.nodes.convert.camera_info import intrinsics_from_message
from tddfa_ros.nodes.face_publisher import LATCHED_QOS
from tddfa_ros.nodes.ros.image_input import SENSOR_QOS
from tddfa_ros.nodes.ros.overrides import TopicNode
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
    received.header.frame_id = "/camera"
    camera.update(received)
    intrinsics, info = camera.model_for(640, 480, HEADER)
    assert not intrinsics.assumed
    assert info.header == HEADER
    assert received.header.frame_id == "/camera"
    assert info.k[0] == intrinsics.k[0, 0] == 555.0
    assert camera.description == "calibrated (/camera_info)"
    assert logger.lines == []


def test_calibration_of_other_aspect_ratio_is_ignored(camera: CameraState, logger: Logger) -> None:
    camera.update(calibration(1280, 720))
    assert camera.model_for(640, 480, HEADER)[0].assumed
    assert "1280x720" in logger.lines[0]
    assert "640x480" in logger.lines[0]
    assert camera.description.startswith("assumed")
    assert "aspect ratio" in camera.fault


def test_resized_images_scale_calibration(camera: CameraState, logger: Logger) -> None:
    camera.update(calibration(1280, 960, 1000.0))
    intrinsics, info = camera.model_for(640, 480, HEADER)
    assert not intrinsics.assumed
    assert (info.width, info.height) == (640, 480)
    assert info.k[0] == intrinsics.k[0, 0] == pytest.approx(500.0)
    assert info.k[2] == pytest.approx(319.5)
    assert logger.lines == [
        "I /camera_info is for 1280x960 px, images have 640x480 px: the calibration is scaled"
    ]
    assert camera.description == "calibrated (/camera_info, scaled from 1280x960 to 640x480 px)"


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
    assert "NaN" in camera.fault
    camera.update(calibration(640, 480))
    assert not camera.model_for(640, 480, HEADER)[0].assumed
    assert camera.fault == ""


def test_calibration_of_another_frame_is_refused(camera: CameraState, logger: Logger) -> None:
    depth = calibration(640, 480, 380.0)
    depth.header.frame_id = "depth_optical_frame"
    camera.update(depth)
    assert camera.model_for(640, 480, HEADER)[0].assumed
    assert len(logger.lines) == 1
    assert "'depth_optical_frame' differs from 'camera' of the images" in logger.lines[0]
    # Images without a frame_id get one for the output; they do not contradict the calibration.
    assert not camera.model_for(640, 480, HEADER, frame_id="")[0].assumed


def test_second_fault_is_named_within_the_throttle_period(
    camera: CameraState, logger: Logger
) -> None:
    nan, unknown = calibration(640, 480), calibration(640, 480)
    nan.k[4] = math.nan
    for i in range(5):
        camera.update(nan)
        camera.model_for(640, 480, HEADER)
        unknown.distortion_model = f"lens{i}"
        camera.update(unknown)
        camera.model_for(640, 480, HEADER)
    assert len(logger.lines) == 2
    assert "NaN" in logger.lines[0]
    assert "'lens0' is not supported" in logger.lines[1]


def rectified_calibration() -> CameraInfo:
    """Right camera of a stereo pair: P has another focal length, an offset principal point and a baseline."""
    info = calibration(640, 480, 600.0)
    info.d = [-0.3, 0.1, 0.0, 0.0, 0.0]
    info.p = [520.0, 0, 352.25, -62.4, 0, 520.0, 231.5, 0, 0, 0, 1.0, 0]
    return info


@pytest.mark.parametrize(
    ("topic", "frame", "option", "rectified"),
    [
        ("/right/image_raw", "right", "auto", False),
        ("/right/image_rect", "right", "auto", True),
        ("/right/image_rect_color/compressed", "right", "auto", True),
        ("/right/rectified/image", "right", "auto", True),
        ("/image_raw", "right_rect_optical_frame", "auto", True),
        ("/direct/image_raw", "rectangle", "auto", False),
        ("/right/image_rect", "right", "false", False),
        ("/right/image_raw", "right", "true", True),
    ],
)
def test_rectified_images_use_p(
    logger: Logger, topic: str, frame: str, option: str, rectified: bool
) -> None:
    camera = CameraState(ThrottledLog(logger), "/right/camera_info", 60.0, topic, option)
    camera.update(rectified_calibration())
    intrinsics, info = camera.model_for(640, 480, Header(frame_id=frame))
    expected = (520.0, 352.25, 231.5) if rectified else (600.0, 319.5, 239.5)
    assert (intrinsics.k[0, 0], intrinsics.k[0, 2], intrinsics.k[1, 2]) == expected
    assert intrinsics.distorted != rectified
    assert ("rectified images" in camera.description) == rectified
    again = intrinsics_from_message(info)  # what the next node makes of it
    assert again is not None
    np.testing.assert_array_equal(again.k, intrinsics.k)
    assert again.distorted != rectified


@pytest.mark.parametrize("latched", [True, False], ids=["latched", "volatile"])
def test_receives_latched_and_volatile_camera_info(camera: CameraState, latched: bool) -> None:
    """Some drivers publish CameraInfo once, transient local, before face_node starts; most publish it with every image."""
    context = rclpy.Context()
    rclpy.init(args=[], context=context)
    driver = Node("driver", context=context, namespace="camera_info_test")
    node = TopicNode("face", context=context, namespace="camera_info_test")
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    topic = "/camera_info_test/camera_info"
    try:
        publisher = driver.create_publisher(
            CameraInfo, "camera_info", LATCHED_QOS if latched else SENSOR_QOS
        )
        if latched:
            publisher.publish(calibration(640, 480, 555.0))
        received = CameraInfoInput(node, camera)
        end = time.monotonic() + 20.0
        while camera.model_for(640, 480, HEADER)[0].assumed and time.monotonic() < end:
            if not latched:
                publisher.publish(calibration(640, 480, 555.0))
            executor.spin_once(timeout_sec=0.1)
        assert camera.model_for(640, 480, HEADER)[0].k[0, 0] == 555.0
        # Incompatible subscriptions make drivers log a warning.
        durabilities = [
            s.qos_profile.durability for s in driver.get_subscriptions_info_by_topic(topic)
        ]
        assert durabilities.count(DurabilityPolicy.TRANSIENT_LOCAL) == latched
        received.close()
        end = time.monotonic() + 20.0
        while driver.count_subscribers(topic) and time.monotonic() < end:
            executor.spin_once(timeout_sec=0.1)
        assert not driver.count_subscribers(topic)
    finally:
        executor.shutdown()
        node.destroy_node()
        driver.destroy_node()
        context.try_shutdown()
