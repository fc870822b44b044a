"""Convert ``sensor_msgs/CameraInfo`` to :class:`~tddfa_ros.types.Intrinsics` and back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from tddfa_ros.errors import CameraError
from tddfa_ros.types import DoubleArray, Intrinsics

_PINHOLE = ("plumb_bob", "rational_polynomial", "")
_LENGTHS = (4, 5, 8, 12, 14)
"""Numbers of distortion coefficients supported by OpenCV's pinhole camera."""

_ASPECT_TOLERANCE = 0.02


def intrinsics_from_message(
    info: CameraInfo, width: int | None = None, height: int | None = None
) -> Intrinsics | None:
    """Convert a CameraInfo message to the intrinsics of its images.

    ``K`` refers to the full sensor; the region of interest shifts it, then binning scales it (sensor_msgs/CameraInfo).

    Args:
        info: the message; a size of zero, sent by some drivers, is replaced by that of the images.
        width: width of the images, px; the intrinsics are scaled to images resized after the calibration. None = that of the message.
        height: height of the images, px; as the width.

    Returns:
        The intrinsics; None for an uncalibrated camera (``K[0] == 0``, REP-104).

    Raises:
        CameraError: a value is not finite, a focal length is not positive, the distortion model is not supported, or the
            aspect ratio of the images differs from that of the calibration.
    """
    k = np.array(info.k, dtype=np.float64).reshape(3, 3)
    if k[0, 0] == 0:
        return None
    k[2] = (0.0, 0.0, 1.0)
    coefficients = _distortion(info)
    size = np.array([info.width, info.height], dtype=np.float64)
    roi = info.roi
    if roi.width and roi.height:
        k[:2, 2] -= (roi.x_offset, roi.y_offset)
        size = np.array([roi.width, roi.height], dtype=np.float64)
    binning = np.maximum([info.binning_x, info.binning_y], 1)
    shrunk = size // binning
    k = _scaled(k, 1 / binning[0], 1 / binning[1])
    intrinsics = Intrinsics(int(shrunk[0]), int(shrunk[1]), k, coefficients)
    if width is None or height is None:
        return intrinsics
    return scale_intrinsics(intrinsics, width, height)


def scale_intrinsics(intrinsics: Intrinsics, width: int, height: int) -> Intrinsics:
    """Scale intrinsics to images of ``width`` x ``height`` px.

    Raises:
        CameraError: the aspect ratio differs by more than 2 %, so that the images must have been cropped.
    """
    old = (intrinsics.width, intrinsics.height)
    if 0 in old or old == (width, height):
        return replace(intrinsics, width=width, height=height)
    sx, sy = width / old[0], height / old[1]
    if abs(sx / sy - 1) > _ASPECT_TOLERANCE:
        raise CameraError(
            f"the calibration is for {old[0]}x{old[1]} px and does not fit {width}x{height} px images: "
            "the aspect ratio differs"
        )
    return replace(intrinsics, width=width, height=height, k=_scaled(intrinsics.k, sx, sy))


def camera_info_message(intrinsics: Intrinsics | None, header: Header, **size: int) -> CameraInfo:
    """Convert intrinsics to a CameraInfo message with identity rectification.

    Args:
        intrinsics: the intrinsics; None for an uncalibrated camera, with zero matrices (REP-104).
        header: header of the image.
        size: ``width`` and ``height``, px; required without intrinsics only.
    """
    if intrinsics is None:
        return CameraInfo(header=header, **size)
    # ROS uses OpenCV's order; the number of coefficients determines the model.
    coefficients = intrinsics.d if intrinsics.d.size else np.zeros(5)
    message = CameraInfo(header=header, width=intrinsics.width, height=intrinsics.height)
    message.distortion_model = "plumb_bob" if coefficients.size <= 5 else "rational_polynomial"
    message.d = [float(value) for value in coefficients]
    message.k = intrinsics.k.ravel()
    message.r = np.eye(3).ravel()
    message.p = np.column_stack([intrinsics.k, np.zeros(3)]).ravel()
    return message


def _scaled(k: DoubleArray, sx: float, sy: float) -> DoubleArray:
    """Scale a camera matrix; pixel centers are at integers, so the image edge is at -0.5."""
    scaled = k.copy()
    scaled[0, :2] *= sx
    scaled[1, 1] *= sy
    scaled[0, 2] = (k[0, 2] + 0.5) * sx - 0.5
    scaled[1, 2] = (k[1, 2] + 0.5) * sy - 0.5
    return scaled


def _distortion(info: CameraInfo) -> DoubleArray:
    values: Any = np.array(info.d, dtype=np.float64)
    model = info.distortion_model
    if not values.any() and np.isfinite(values).all():
        return np.zeros(0)
    if model not in _PINHOLE:
        raise CameraError(
            f"the distortion model '{model}' is not supported: publish rectified images with their camera_info"
        )
    if values.size not in _LENGTHS:
        raise CameraError(f"the distortion model '{model}' cannot have {values.size} coefficients")
    return values
