"""``sensor_msgs/CameraInfo`` to :class:`~tddfa_ros.types.Intrinsics` and back."""

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
"""Numbers of distortion coefficients that OpenCV's (and so this package's) pinhole camera takes."""

_ASPECT_TOLERANCE = 0.02


def intrinsics_from_message(
    info: CameraInfo, width: int | None = None, height: int | None = None
) -> Intrinsics | None:
    """The camera model that applies to the pictures which come with a CameraInfo.

    ``K`` belongs to the full sensor. A region of interest shifts it, then binning shrinks it, as sensor_msgs defines.

    Args:
        info: the message; a size of zero, which some drivers send, means "whatever the pictures have".
        width, height: size of the pictures, px. Where they were resized behind the camera's back, the model is resized
            too. None: as the message says.

    Returns:
        None for an uncalibrated camera: ``K[0] == 0`` by REP-104.

    Raises:
        CameraError: NaN or infinite values, a focal length that is not positive, a distortion model that is not
            OpenCV's, or pictures of another aspect ratio than the calibration's.
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
    """The same camera after its pictures were resized to ``width`` x ``height`` px.

    Raises:
        CameraError: the aspect ratio changed by more than 2 %: such pictures were cropped, nobody knows how.
    """
    old = (intrinsics.width, intrinsics.height)
    if 0 in old or old == (width, height):
        return replace(intrinsics, width=width, height=height)
    sx, sy = width / old[0], height / old[1]
    if abs(sx / sy - 1) > _ASPECT_TOLERANCE:
        raise CameraError(
            f"the calibration is for {old[0]}x{old[1]} pictures and does not fit {width}x{height}: "
            "the aspect ratio differs"
        )
    return replace(intrinsics, width=width, height=height, k=_scaled(intrinsics.k, sx, sy))


def camera_info_message(intrinsics: Intrinsics | None, header: Header, **size: int) -> CameraInfo:
    """A camera model as a message, rectification being the identity.

    Args:
        intrinsics: None for an uncalibrated camera: all matrices stay zero (REP-104).
        header: of the picture.
        size: ``width`` and ``height`` in px; needed without intrinsics only.
    """
    if intrinsics is None:
        return CameraInfo(header=header, **size)
    # OpenCV's order is ROS's; a model is named by how many coefficients it has.
    coefficients = intrinsics.d if intrinsics.d.size else np.zeros(5)
    message = CameraInfo(header=header, width=intrinsics.width, height=intrinsics.height)
    message.distortion_model = "plumb_bob" if coefficients.size <= 5 else "rational_polynomial"
    message.d = [float(value) for value in coefficients]
    message.k = intrinsics.k.ravel()
    message.r = np.eye(3).ravel()
    message.p = np.column_stack([intrinsics.k, np.zeros(3)]).ravel()
    return message


def _scaled(k: DoubleArray, sx: float, sy: float) -> DoubleArray:
    """Resize a camera matrix; pixel centres lie at whole numbers, so the picture's edge is at -0.5."""
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
            f"the distortion model '{model}' is not supported; send rectified pictures with their camera_info"
        )
    if values.size not in _LENGTHS:
        raise CameraError(f"the distortion model '{model}' cannot have {values.size} coefficients")
    return values
