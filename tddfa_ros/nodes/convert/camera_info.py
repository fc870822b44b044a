"""Convert ``sensor_msgs/CameraInfo`` to :class:`~tddfa_ros.types.Intrinsics` and back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from tddfa_ros.errors import CameraError
from tddfa_ros.geometry.lens import check_lens
from tddfa_ros.types import DISTORTION_MODELS, EQUIDISTANT, DoubleArray, Intrinsics

_LENGTHS = {
    "plumb_bob": (4, 5, 8, 12, 14),
    "rational_polynomial": (4, 5, 8, 12, 14),
    EQUIDISTANT: (4,),
}
"""Numbers of distortion coefficients of each model; the first two are OpenCV's pinhole polynomial."""

_ASPECT_TOLERANCE = 0.02


def intrinsics_from_message(
    info: CameraInfo,
    width: int | None = None,
    height: int | None = None,
    *,
    rectified: bool = False,
) -> Intrinsics | None:
    """Convert a CameraInfo message to the intrinsics of its images.

    ``K`` and ``D`` describe raw images, ``P`` rectified ones, which have no distortion. The fourth column of ``P``, the baseline of a
    stereo camera, is not applied: positions are relative to the camera that took the image. ``K`` and ``P`` refer to the full
    sensor; the region of interest shifts them, then binning scales them (sensor_msgs/CameraInfo).

    Args:
        info: the message; a size of zero, sent by some drivers, is replaced by that of the images.
        width: width of the images, px; the intrinsics are scaled to images resized after the calibration. None = that of the message.
        height: height of the images, px; as the width.
        rectified: whether the images are rectified.

    Returns:
        The intrinsics; None for an uncalibrated camera (``K[0] == 0``, REP-104).

    Raises:
        CameraError: a value is not finite or absurd, a focal length is not positive, the distortion model is not supported, ``P``
            of rectified images is zero, or the aspect ratio of the images differs from that of the calibration.
    """
    k = np.array(info.k, dtype=np.float64).reshape(3, 3)
    model, coefficients = "plumb_bob", np.zeros(0)
    if rectified:
        uncalibrated = k[0, 0] == 0
        k = np.array(info.p, dtype=np.float64).reshape(3, 4)[:, :3].copy()
        if k[0, 0] == 0:
            if uncalibrated:
                return None
            raise CameraError("the images are rectified, but P, their camera matrix, is zero")
    elif k[0, 0] == 0:
        return None
    else:
        model, coefficients = _distortion(info)
    k[2] = (0.0, 0.0, 1.0)
    size = np.array([info.width, info.height], dtype=np.float64)
    roi = info.roi
    if roi.width and roi.height:
        k[:2, 2] -= (roi.x_offset, roi.y_offset)
        size = np.array([roi.width, roi.height], dtype=np.float64)
    binning = np.maximum([info.binning_x, info.binning_y], 1)
    shrunk = size // binning
    k = _scaled(k, 1 / binning[0], 1 / binning[1])
    intrinsics = Intrinsics(int(shrunk[0]), int(shrunk[1]), k, coefficients, distortion_model=model)
    if width is not None and height is not None:
        intrinsics = scale_intrinsics(intrinsics, width, height)
    check_lens(intrinsics)
    return intrinsics


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
    message = CameraInfo(header=header, width=intrinsics.width, height=intrinsics.height)
    # ROS uses OpenCV's order. Of the pinhole polynomials, the number of coefficients determines the model.
    coefficients = intrinsics.d.tolist()
    if intrinsics.distortion_model == EQUIDISTANT:
        message.distortion_model = EQUIDISTANT
        coefficients += [0.0] * (4 - len(coefficients))
    else:
        message.distortion_model = "rational_polynomial" if len(coefficients) > 5 else "plumb_bob"
        coefficients = coefficients or [0.0] * 5
    message.d = coefficients
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


def _distortion(info: CameraInfo) -> tuple[str, DoubleArray]:
    """Return the distortion model and its coefficients; a pinhole camera has none."""
    values: Any = np.array(info.d, dtype=np.float64)
    model = info.distortion_model
    zero = not values.any()  # NaN is not zero
    if model == "" or (model == "none" and zero):
        model = "plumb_bob"
    if model not in DISTORTION_MODELS:
        raise CameraError(
            f"the distortion model {model!r} is not supported; supported are {', '.join(DISTORTION_MODELS)}, "
            "and rectified images of any camera (image_is_rectified)"
        )
    if zero:
        return model if model == EQUIDISTANT else "plumb_bob", np.zeros(0)
    if values.size not in _LENGTHS[model]:
        raise CameraError(f"the distortion model {model!r} cannot have {values.size} coefficients")
    return model, values
