"""CameraInfo to intrinsics and back, against projection of points rather than against the formulas themselves."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("sensor_msgs", reason="no ROS 2 here: run through `make test`")

from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from tddfa_ros.errors import CameraError
from tddfa_ros.nodes.convert.camera_info import (
    camera_info_message,
    intrinsics_from_message,
    scale_intrinsics,
)
from tddfa_ros.types import Intrinsics

POINTS = np.array([[0.0, 0, 1], [0.3, -0.2, 1], [-0.4, 0.25, 1.3], [0.1, 0.3, 0.9]])


def info(**changes: Any) -> CameraInfo:
    made = CameraInfo(width=1280, height=720, distortion_model="plumb_bob")
    made.k = [900.0, 0, 650, 0, 910, 350, 0, 0, 1]
    made.d = [0.1, -0.2, 0.001, -0.002, 0.05]
    for name, value in changes.items():
        setattr(made, name, value)
    return deserialize_message(serialize_message(made), CameraInfo)


def project(camera: Intrinsics) -> Any:
    zero = np.zeros(3)
    return cv2.projectPoints(POINTS, zero, zero, camera.k, camera.d)[0].reshape(-1, 2)


def read(message: CameraInfo, *size: int) -> Intrinsics:
    found = intrinsics_from_message(message, *size)
    assert found is not None
    return found


def test_calibration_without_roi_and_binning() -> None:
    camera = read(info())
    assert (camera.width, camera.height, camera.assumed) == (1280, 720, False)
    np.testing.assert_array_equal(camera.k, [[900, 0, 650], [0, 910, 350], [0, 0, 1]])
    np.testing.assert_array_equal(camera.d, [0.1, -0.2, 0.001, -0.002, 0.05])


def test_zero_k_is_an_uncalibrated_camera() -> None:
    assert intrinsics_from_message(CameraInfo(width=640, height=480)) is None
    assert intrinsics_from_message(CameraInfo()) is None


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", ["k", "d"])
@pytest.mark.parametrize("index", [0, 2, 4])
def test_invalid_launch_numbers(place: str, index: int, bad: float) -> None:
    message = info()
    getattr(message, place)[index] = bad
    with pytest.raises(CameraError, match="NaN or infinity") as error:
        intrinsics_from_message(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("index", [0, 4])
def test_rejects_negative_focal_length(index: int) -> None:
    message = info()
    message.k[index] = -900.0
    with pytest.raises(CameraError, match="focal length"):
        intrinsics_from_message(message)


def test_zero_fx_is_uncalibrated_zero_fy_is_error() -> None:
    assert intrinsics_from_message(info(k=[0.0, 0, 650, 0, 910, 350, 0, 0, 1])) is None
    with pytest.raises(CameraError, match="focal length"):
        intrinsics_from_message(info(k=[900.0, 0, 650, 0, 0, 350, 0, 0, 1]))


@pytest.mark.parametrize("bx", [0, 1, 2, 4])
@pytest.mark.parametrize("by", [0, 1, 2])
def test_binning_averages_neighbouring_pixels(bx: int, by: int) -> None:
    binned = read(info(binning_x=bx, binning_y=by))
    bx, by = max(bx, 1), max(by, 1)
    assert (binned.width, binned.height) == (1280 // bx, 720 // by)
    # Binned pixel i covers the pixels b*i .. b*i + b - 1, whose middle is b*i + (b - 1) / 2.
    back = project(binned) * (bx, by) + ((bx - 1) / 2, (by - 1) / 2)
    np.testing.assert_allclose(back, project(read(info())), atol=1e-9)


def test_roi_shifts_principal_point() -> None:
    message = info()
    message.roi.x_offset, message.roi.y_offset = 200, 100
    message.roi.width, message.roi.height = 640, 480
    camera = read(message)
    assert (camera.width, camera.height) == (640, 480)
    np.testing.assert_allclose(project(camera) + (200, 100), project(read(info())), atol=1e-9)


def test_binning_applies_after_roi() -> None:
    message = info(binning_x=2, binning_y=2)
    message.roi.x_offset, message.roi.y_offset = 200, 100
    message.roi.width, message.roi.height = 640, 480
    camera = read(message)
    assert (camera.width, camera.height) == (320, 240)
    back = project(camera) * 2 + 0.5 + (200, 100)
    np.testing.assert_allclose(back, project(read(info())), atol=1e-9)


def test_roi_without_size_is_full_image() -> None:
    message = info()
    message.roi.x_offset = 200
    assert read(message).k[0, 2] == 650


@pytest.mark.parametrize("size", [(640, 360), (1920, 1080), (1280, 720)])
def test_intrinsics_of_resized_images(size: tuple[int, int]) -> None:
    camera = read(info(), *size)
    assert (camera.width, camera.height) == size
    factor = size[0] / 1280
    back = (project(camera) + 0.5) / factor - 0.5
    np.testing.assert_allclose(back, project(read(info())), atol=1e-9)


def test_scaled_intrinsics_match_resized_image() -> None:
    """A dot drawn where the large camera sees a point is found where the small camera sees it."""
    large, small = read(info()), read(info(), 320, 180)
    x, y = project(large)[2].round().astype(int)
    full = np.zeros((720, 1280), np.float32)
    cv2.circle(full, (int(x), int(y)), 20, 1.0, -1)
    shrunk = cv2.resize(full, (320, 180), interpolation=cv2.INTER_AREA)
    moments = cv2.moments(shrunk)
    center = np.array([moments["m10"], moments["m01"]]) / moments["m00"]
    shift = (project(large)[2] - (x, y)) / 4
    np.testing.assert_allclose(project(small)[2] - shift, center, atol=0.05)


def test_rejects_images_of_other_aspect_ratio() -> None:
    with pytest.raises(CameraError, match=r"1280x720 .* 640x480 px images: the aspect ratio"):
        intrinsics_from_message(info(), 640, 480)
    # A row more or less, as some resizers leave, is no other shape.
    assert read(info(), 640, 359).height == 359


def test_camera_info_without_size() -> None:
    camera = read(info(width=0, height=0), 640, 480)
    assert (camera.width, camera.height) == (640, 480)
    assert camera.k[0, 0] == 900
    assert scale_intrinsics(read(info(width=0, height=0)), 640, 480).k[0, 2] == 650


@pytest.mark.parametrize("count", [4, 5, 8, 12, 14])
def test_distortion_that_opencv_knows(count: int) -> None:
    model = "plumb_bob" if count <= 5 else "rational_polynomial"
    values = [0.01 * (i + 1) for i in range(count)]
    assert list(read(info(d=values, distortion_model=model)).d) == values
    assert list(read(info(d=values, distortion_model="")).d) == values


@pytest.mark.parametrize(("model", "count"), [("equidistant", 4), ("plumb_bob", 3), ("rational_polynomial", 7)])  # fmt: skip
def test_distortion_that_it_does_not(model: str, count: int) -> None:
    with pytest.raises(CameraError, match=model):
        intrinsics_from_message(info(d=[0.1] * count, distortion_model=model))
    # Nothing but zeros distorts nothing, whatever it is called.
    assert read(info(d=[0.0] * count, distortion_model=model)).d.size == 0


@pytest.mark.parametrize("count", [0, 4, 5, 8, 14])
def test_round_trip(count: int) -> None:
    before = Intrinsics(1280, 720, read(info()).k, 0.01 * np.arange(1, count + 1))
    header = Header(frame_id="camera")
    message = camera_info_message(before, header)
    assert message.header == header
    after = read(deserialize_message(serialize_message(message), CameraInfo))
    assert (after.width, after.height, after.assumed) == (1280, 720, False)
    np.testing.assert_array_equal(after.k, before.k)
    np.testing.assert_array_equal(after.d, before.d)
    # What image_proc and RViz's Camera display need besides.
    np.testing.assert_array_equal(np.reshape(message.r, (3, 3)), np.eye(3))
    np.testing.assert_array_equal(np.reshape(message.p, (3, 4))[:, :3], before.k)
    assert message.p[3] == message.p[7] == message.p[11] == 0


def test_uncalibrated_camera_info() -> None:
    message = camera_info_message(None, Header(), width=640, height=480)
    assert (message.width, message.height) == (640, 480)
    assert not np.any(message.k)
    assert intrinsics_from_message(message) is None
