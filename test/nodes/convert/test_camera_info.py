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
from tddfa_ros.geometry import lens
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
    return lens.project(POINTS, camera)


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
def test_binning_averages_neighboring_pixels(bx: int, by: int) -> None:
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


@pytest.mark.parametrize(("model", "count"), [("equidistant", 5), ("plumb_bob", 3), ("rational_polynomial", 7)])  # fmt: skip
def test_rejects_other_numbers_of_coefficients(model: str, count: int) -> None:
    with pytest.raises(CameraError, match=f"'{model}' cannot have {count}"):
        intrinsics_from_message(info(d=[0.1] * count, distortion_model=model))


@pytest.mark.parametrize("values", [[0.01, -0.02, 0.003, 0.001], [0.0] * 4, [0.0] * 5, []])
def test_equidistant_is_a_fisheye_also_without_coefficients(values: list[float]) -> None:
    camera = read(info(d=values, distortion_model="equidistant"))
    assert camera.distortion_model == "equidistant"
    d = np.array([*values, 0, 0, 0, 0][:4], dtype=np.float64)
    expected = cv2.fisheye.projectPoints(POINTS[:, None], np.zeros(3), np.zeros(3), camera.k, d)[0]
    np.testing.assert_allclose(project(camera), expected[:, 0], atol=1e-6)
    again = read(camera_info_message(camera, Header()))
    np.testing.assert_allclose(project(again), expected[:, 0], atol=1e-6)


@pytest.mark.parametrize("model", ["thin_prism", "Kannala\x1b[31m\nBrandt", "Equidistant"])
@pytest.mark.parametrize("values", [[0.0] * 4, [0.1] * 4])
def test_rejects_unknown_distortion_models_in_one_line(model: str, values: list[float]) -> None:
    with pytest.raises(CameraError, match="is not supported; supported are plumb_bob") as error:
        intrinsics_from_message(info(d=values, distortion_model=model))
    assert str(error.value).isprintable()


@pytest.mark.parametrize("model", ["", "none", "plumb_bob", "rational_polynomial"])
def test_zero_coefficients_are_a_pinhole(model: str) -> None:
    assert not read(info(d=[0.0] * 5, distortion_model=model)).distorted


@pytest.mark.parametrize(("k", "d"), [(1e12, 0.0), (1e-9, 0.0), (900.0, 1e6)])
def test_rejects_absurd_calibration(k: float, d: float) -> None:
    with pytest.raises(CameraError, match="not plausible"):
        intrinsics_from_message(info(k=[k, 0, 640, 0, k, 360, 0, 0, 1], d=[d, 0.0, 0.0, 0.0]))


def test_rectified_images_of_a_stereo_camera_use_p() -> None:
    """P of the right camera: another focal length, an offset principal point and a baseline; checked by rectifying with OpenCV."""
    message = info()
    message.p = [820.0, 0, 700.5, -98.4, 0, 820, 341.25, 0, 0, 0, 1, 0]
    camera = intrinsics_from_message(message, rectified=True)
    assert camera is not None
    raw = read(message)
    p = np.reshape(message.p, (3, 4))[:, :3]
    expected = cv2.undistortPoints(project(raw)[:, None], raw.k, raw.d, P=p)[:, 0]
    np.testing.assert_allclose(project(camera), expected, atol=0.01)
    assert not camera.distorted


def test_roi_and_binning_of_rectified_images() -> None:
    message = info(binning_x=2, binning_y=2)
    message.p = [820.0, 0, 700.5, -98.4, 0, 820, 341.25, 0, 0, 0, 1, 0]
    message.roi.x_offset, message.roi.y_offset = 200, 100
    message.roi.width, message.roi.height = 640, 480
    camera = intrinsics_from_message(message, rectified=True)
    assert camera is not None
    assert (camera.width, camera.height) == (320, 240)
    whole = intrinsics_from_message(info(p=message.p), rectified=True)
    assert whole is not None
    np.testing.assert_allclose(project(camera) * 2 + 0.5 + (200, 100), project(whole), atol=1e-9)


def test_rectified_images_without_p() -> None:
    with pytest.raises(CameraError, match="P, their camera matrix, is zero"):
        intrinsics_from_message(info(), rectified=True)
    assert intrinsics_from_message(CameraInfo(width=640, height=480), rectified=True) is None


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
