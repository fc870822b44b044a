"""Lens models: project points to pixels with distortion, and pixels back to viewing rays.

``plumb_bob`` and ``rational_polynomial`` are OpenCV's pinhole polynomial (``cv2.projectPoints``). ``equidistant`` is the fisheye model
of ``cv2.fisheye`` (Kannala & Brandt, 2006): a point at the angle theta off axis is imaged at the radius
``f theta (1 + k1 theta^2 + k2 theta^4 + k3 theta^6 + k4 theta^8)``, so that it differs from a pinhole even when all k are zero.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import CameraError
from tddfa_ros.types import EQUIDISTANT, DoubleArray, Intrinsics, RealArray

_cv2: Any = cv2  # the type stubs cover only one major version of OpenCV

MAX_ANGLE = math.radians(85.0)
"""Largest angle off axis of a viewing ray: a plane at depth 1 cannot represent 90 degrees."""

_STEP = 1e-5  # normalized coordinates, for derivatives
_MAX_ERROR = 0.5  # px; a ray that is projected further from its pixel does not exist
_STRETCH = (
    0.25,
    10.0,
)  # ratio of undistorted to distorted radius; 7.7 at MAX_ANGLE of a fisheye lens


class Rays(NamedTuple):
    """Viewing rays of pixels.

    Attributes:
        uv: (2, n) undistorted normalized image coordinates (depth 1).
        derivative: (2, 2, n) derivative of the pixel by ``uv``, px: what a small error of a ray is in the image.
        kept: (m,) mask of the pixels that have a ray.
    """

    uv: DoubleArray
    derivative: DoubleArray
    kept: NDArray[np.bool_]


def project(points: RealArray, intrinsics: Intrinsics) -> DoubleArray:
    """Project points (n, 3), camera optical frame, m, in front of the camera, to px (n, 2) with distortion and skew."""
    p = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    return _to_pixels(_distort(p[:, :2] / p[:, 2:], intrinsics), intrinsics)


def viewing_rays(pixels: RealArray, intrinsics: Intrinsics) -> Rays:
    """Compute the viewing rays of pixels (n, 2).

    Outside the image a distortion polynomial may not be invertible, and a fisheye lens sees behind the plane of depth 1; such
    pixels have no ray and are left out.
    """
    fx, skew, cx, fy, cy = pinhole(intrinsics)
    seen = np.asarray(pixels, dtype=np.float64)
    v = (seen[:, 1] - cy) / fy
    normalized = np.stack([(seen[:, 0] - cx - skew * v) / fx, v], axis=1)
    if not intrinsics.distorted:
        uv = normalized
        kept = np.ones(len(uv), dtype=bool)
        derivative = np.zeros((2, 2, len(uv)))
        derivative[0, 0], derivative[0, 1], derivative[1, 1] = fx, skew, fy
        return Rays(uv.T, derivative, kept)
    with np.errstate(all="ignore"):
        uv = _undistort(normalized, intrinsics)
        again = _distort(np.nan_to_num(uv, nan=1e6, posinf=1e6, neginf=1e6), intrinsics)
        kept = (np.abs(again - normalized) * (fx, fy)).max(axis=1) < _MAX_ERROR
    uv = uv[kept]
    sides = []
    for step in ((_STEP, 0.0), (0.0, _STEP)):
        ahead = _to_pixels(_distort(uv + step, intrinsics), intrinsics)
        behind = _to_pixels(_distort(uv - step, intrinsics), intrinsics)
        sides.append((ahead - behind).T / (2 * _STEP))
    return Rays(uv.T, np.stack(sides, axis=1), kept)


def pinhole(intrinsics: Intrinsics) -> tuple[float, float, float, float, float]:
    """Return focal length x, skew, center x, focal length y and center y, px, of a camera matrix.

    Raises:
        CameraError: the matrix has another form.
    """
    (fx, skew, cx), (zero, fy, cy), (zero_x, zero_y, w) = intrinsics.k.tolist()
    if not w > 0 or zero or zero_x or zero_y:
        raise CameraError("the camera matrix is not of the form [fx s cx; 0 fy cy; 0 0 1]")
    return fx / w, skew / w, cx / w, fy / w, cy / w


def check_lens(intrinsics: Intrinsics) -> None:
    """Require distortion coefficients that describe a lens: most of the image must have viewing rays, at plausible angles.

    Raises:
        CameraError: less than half of the image has rays, or they are far from those without distortion.
    """
    if not intrinsics.distorted or not (intrinsics.width and intrinsics.height):
        return
    x = (np.arange(9) + 0.5) / 9 * intrinsics.width - 0.5
    y = (np.arange(9) + 0.5) / 9 * intrinsics.height - 0.5
    pixels = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    rays = viewing_rays(pixels, intrinsics)
    fx, skew, cx, fy, cy = pinhole(intrinsics)
    v = (pixels[rays.kept, 1] - cy) / fy
    u = (pixels[rays.kept, 0] - cx - skew * v) / fx
    stretch = (np.hypot(*rays.uv) + 1e-3) / (np.hypot(u, v) + 1e-3)
    plausible = (stretch > _STRETCH[0]) & (stretch < _STRETCH[1])
    limit = 0.25 if intrinsics.distortion_model == EQUIDISTANT else 0.5  # a circle in a rectangle
    if plausible.sum() < limit * len(pixels):
        raise CameraError(
            f"the distortion coefficients [{', '.join(f'{value:g}' for value in intrinsics.d)}] do not describe a lens: "
            "most of the image has no viewing rays"
        )


def _to_pixels(uv: DoubleArray, intrinsics: Intrinsics) -> DoubleArray:
    fx, skew, cx, fy, cy = pinhole(intrinsics)
    return np.stack([fx * uv[:, 0] + skew * uv[:, 1] + cx, fy * uv[:, 1] + cy], axis=1)


def _distort(uv: DoubleArray, intrinsics: Intrinsics) -> DoubleArray:
    """Distort normalized coordinates (n, 2)."""
    if not intrinsics.distorted or not len(uv):
        return uv
    if intrinsics.distortion_model == EQUIDISTANT:
        radius = np.hypot(uv[:, 0], uv[:, 1])
        theta = np.arctan(radius)
        factor = np.divide(
            _fisheye(theta, intrinsics.d), radius, out=np.ones_like(radius), where=radius > 1e-12
        )
        return uv * factor[:, None]
    flat = np.concatenate([uv, np.ones((len(uv), 1))], axis=1)
    still = np.zeros(3)
    distorted, _ = cv2.projectPoints(flat, still, still, np.eye(3), _padded(intrinsics.d))
    return np.asarray(distorted, dtype=np.float64).reshape(-1, 2)


def _undistort(uv: DoubleArray, intrinsics: Intrinsics) -> DoubleArray:
    """Invert :func:`_distort`; the result is not checked."""
    if intrinsics.distortion_model == EQUIDISTANT:
        radius = np.hypot(uv[:, 0], uv[:, 1])
        theta = _fisheye_angle(radius, intrinsics.d)
        theta = np.where(theta < MAX_ANGLE, theta, np.nan)
        factor = np.divide(np.tan(theta), radius, out=np.ones_like(radius), where=radius > 1e-12)
        return uv * factor[:, None]
    # OpenCV's default of five iterations is too few for wide lenses.
    points, camera, coefficients = uv[:, None], np.eye(3), _padded(intrinsics.d)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 40, 1e-9)
    if hasattr(_cv2, "undistortPointsIter"):  # OpenCV 4; undistortPoints replaces it in OpenCV 5
        solved = _cv2.undistortPointsIter(points, camera, coefficients, None, None, criteria)
    else:
        solved = _cv2.undistortPoints(points, camera, coefficients, criteria=criteria)
    return np.asarray(solved, dtype=np.float64).reshape(-1, 2)


def _fisheye(theta: DoubleArray, d: DoubleArray) -> DoubleArray:
    """Compute the image radius, focal lengths, of angles off axis, rad (Kannala & Brandt, 2006, as in ``cv2.fisheye``)."""
    square = theta * theta
    total = np.zeros_like(theta)
    for coefficient in d[::-1].tolist():
        total = (total + coefficient) * square
    return theta * (1 + total)


def _fisheye_angle(radius: DoubleArray, d: DoubleArray) -> DoubleArray:
    """Invert :func:`_fisheye` by Newton's method; NaN where it has no slope."""
    theta = np.minimum(radius, math.pi / 2)
    powers = np.arange(2, 2 * len(d) + 2, 2)
    for _ in range(20):
        slope = 1 + sum(
            (power + 1) * k * theta**power
            for power, k in zip(powers.tolist(), d.tolist(), strict=True)
        )
        slope = np.where(slope > 1e-3, slope, np.nan)
        theta = np.clip(theta - (_fisheye(theta, d) - radius) / slope, 0.0, math.pi)
    return np.asarray(theta)


def _padded(d: DoubleArray) -> DoubleArray:
    """Pad distortion coefficients with zeros to a length that OpenCV accepts."""
    length = next(n for n in (4, 5, 8, 12, 14) if len(d) <= n)
    return np.concatenate([d, np.zeros(length - len(d))])
