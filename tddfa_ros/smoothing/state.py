"""Filter state of a face in the image (without identity), and differences of two states.

A pose in the crop frame changes with the ROI and cannot be filtered over time. :class:`StateCodec` converts it to the image frame
(rotation, position and face size in px, independent of the ROI) and back.

Filters work on *differences* (D,), one value per degree of freedom, all of similar magnitude:

    0:3    rotation, radians, rotation vector in the head's own axes
    3:6    translation x, y (down), z, in face sizes
    6      logarithm of the face size
    7:16   shear: residual of the regressed 3x3 matrix from scale times rotation, row-major, in units of the scale
    16:    expression coefficients
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tddfa_ros.smoothing import quaternion
from tddfa_ros.smoothing.quaternion import Matrix, Quaternion
from tddfa_ros.types import CROP_FRAME, POSE_SIZE, DoubleArray, FloatArray, ParamLayout

ROTATION = slice(0, 3)
TRANSLATION = slice(3, 6)
SCALE = 6
SHEAR = slice(7, 16)
EXPRESSION = 16
"""Index of the first expression coefficient of a difference."""

_LINEAR_EXPRESSION = EXPRESSION - TRANSLATION.start
_FIRST_PIXEL = 1.0  # origin of the crop frame, see docs/architecture.md


class FaceState(NamedTuple):
    """State of a face in the image, without identity.

    Attributes:
        rotation: unit quaternion, crop axes (y up) <- model.
        linear: (13 + E,) float64: translation x, y (down), z, px; log of the face size, px; 9 shear values; expression.
    """

    rotation: Quaternion
    linear: DoubleArray

    @property
    def size(self) -> float:
        """Face size, px: square root of width times height of the mean head's 68 landmarks in frontal view."""
        return math.exp(self.linear[3])


def difference(a: FaceState, b: FaceState) -> DoubleArray:
    """Compute the difference (D,) from ``a`` to ``b``, laid out as in the module docstring."""
    out = np.empty(3 + a.linear.size)
    out[0:3] = quaternion.between(a.rotation, b.rotation)
    np.subtract(b.linear, a.linear, out=out[3:])
    out[3:6] /= a.size
    return out


def displaced(state: FaceState, delta: DoubleArray) -> FaceState:
    """Displace a state by a difference (D,); the inverse of :func:`difference`."""
    linear = delta[3:].copy()
    linear[:3] *= state.size
    linear += state.linear
    return FaceState(quaternion.turned(state.rotation, delta[:3].tolist()), linear)


class StateCodec:
    """Converts parameters in a ROI to :class:`FaceState` and back.

    Args:
        layout: layout of the parameter vectors.
        extent: size of the mean head in model units; times the scale of a pose it is the face size in px.
    """

    def __init__(self, layout: ParamLayout, extent: float) -> None:
        self.layout = layout
        self._log_extent = math.log(extent)

    def encode(self, params: FloatArray, roi: FloatArray) -> FaceState | None:
        """Convert parameters (P,) in the crop frame of ``roi`` (4,); None when they are not finite or have no rotation."""
        corners = usable_roi(roi)
        if corners is None or not math.isfinite(float(np.add.reduce(params))):
            return None
        x0, y0, fx, fy = corners
        fz = (fx + fy) / 2
        a, b, c, tx, d, e, f, ty, g, h, i, tz = params[:POSE_SIZE].tolist()
        fitted = _similarity(((a, b, c), (d, e, f), (g, h, i)))
        if fitted is None:
            return None
        scale, rotation, shear = fitted
        linear = np.empty(_LINEAR_EXPRESSION + self.layout.expression)
        linear[:_LINEAR_EXPRESSION] = (
            x0 + (tx - _FIRST_PIXEL) * fx,
            y0 + (CROP_FRAME - ty) * fy,
            (tz - _FIRST_PIXEL) * fz,
            math.log(scale * fz) + self._log_extent,
            *shear,
        )
        linear[_LINEAR_EXPRESSION:] = params[self.layout.expression_slice]
        return FaceState(quaternion.from_matrix(rotation), linear)

    def decode(self, state: FaceState, shape: DoubleArray, roi: FloatArray) -> FloatArray | None:
        """Convert a state and identity ``shape`` (S,) to parameters (P,) float32 in the crop frame of ``roi`` (4,); None if unusable."""
        corners = usable_roi(roi)
        if corners is None:
            return None
        x0, y0, fx, fy = corners
        fz = (fx + fy) / 2
        x, y, z, log_size, *shear = state.linear[:_LINEAR_EXPRESSION].tolist()
        (a, b, c), (d, e, f), (g, h, i) = _sheared(
            math.exp(log_size - self._log_extent) / fz, quaternion.to_matrix(state.rotation), shear
        )
        tx = (x - x0) / fx + _FIRST_PIXEL
        ty = CROP_FRAME - (y - y0) / fy
        tz = z / fz + _FIRST_PIXEL
        params = np.empty(self.layout.size, dtype=np.float32)
        params[:POSE_SIZE] = (a, b, c, tx, d, e, f, ty, g, h, i, tz)
        params[self.layout.shape_slice] = shape
        params[self.layout.expression_slice] = state.linear[_LINEAR_EXPRESSION:]
        return params


def usable_roi(roi: FloatArray) -> tuple[float, float, float, float] | None:
    """Return x0, y0 and the image px per crop px in x and y; None when the ROI is empty or not finite."""
    x0, y0, x1, y1 = roi.tolist()
    fx, fy = (x1 - x0) / CROP_FRAME, (y1 - y0) / CROP_FRAME
    if not math.isfinite(x0 + y0 + fx + fy) or fx <= 0 or fy <= 0:
        return None
    return x0, y0, fx, fy


def _similarity(m: Matrix) -> tuple[float, Matrix, tuple[float, ...]] | None:
    """Decompose a 3x3 matrix into scale, rotation and shear (9,): ``m = scale * rotation * (I + shear)``.

    As in :func:`tddfa_ros.geometry.pose.decompose`, the first two rows define the rotation, both rotated by the same angle to be
    perpendicular. The shear keeps the residual, so that smoothing preserves the regressed matrix.
    """
    (m0, m1, m2), (m3, m4, m5), (m6, m7, m8) = m
    l1 = math.sqrt(m0 * m0 + m1 * m1 + m2 * m2)
    l2 = math.sqrt(m3 * m3 + m4 * m4 + m5 * m5)
    if l1 < 1e-12 or l2 < 1e-12:
        return None
    # |n1 + n2|^2 = 2 + 2 n1.n2 and |n1 - n2|^2 = 2 - 2 n1.n2, and both are perpendicular.
    cosine = (m0 * m3 + m1 * m4 + m2 * m5) / (l1 * l2)
    if abs(cosine) > 1 - 1e-9:
        return None
    u, v = 0.5 / math.sqrt(1 + cosine), 0.5 / math.sqrt(1 - cosine)
    p1, q1, p2, q2 = (u + v) / l1, (u - v) / l2, (u - v) / l1, (u + v) / l2
    a, b, c = p1 * m0 + q1 * m3, p1 * m1 + q1 * m4, p1 * m2 + q1 * m5
    d, e, f = p2 * m0 + q2 * m3, p2 * m1 + q2 * m4, p2 * m2 + q2 * m5
    g, h, i = b * f - c * e, c * d - a * f, a * e - b * d
    scale = (l1 + l2) / 2
    k = 1 / scale
    shear = (
        k * (a * m0 + d * m3 + g * m6) - 1,
        k * (a * m1 + d * m4 + g * m7),
        k * (a * m2 + d * m5 + g * m8),
        k * (b * m0 + e * m3 + h * m6),
        k * (b * m1 + e * m4 + h * m7) - 1,
        k * (b * m2 + e * m5 + h * m8),
        k * (c * m0 + f * m3 + i * m6),
        k * (c * m1 + f * m4 + i * m7),
        k * (c * m2 + f * m5 + i * m8) - 1,
    )
    return scale, ((a, b, c), (d, e, f), (g, h, i)), shear


def _sheared(scale: float, r: Matrix, shear: Sequence[float]) -> Matrix:
    """Compute ``scale * r * (I + shear)``."""
    a, b, c, d, e, f, g, h, i = shear
    (x, y, z), (u, v, w), (p, q, s) = r
    a, e, i = 1 + a, 1 + e, 1 + i
    return (
        (
            scale * (x * a + y * d + z * g),
            scale * (x * b + y * e + z * h),
            scale * (x * c + y * f + z * i),
        ),
        (
            scale * (u * a + v * d + w * g),
            scale * (u * b + v * e + w * h),
            scale * (u * c + v * f + w * i),
        ),
        (
            scale * (p * a + q * d + s * g),
            scale * (p * b + q * e + s * h),
            scale * (p * c + q * f + s * i),
        ),
    )
