"""Weak-perspective pose: decompose, compose, apply, and convert to and from angles.

Frames (docs/architecture.md): the *model* frame is in meters, x to the subject's left, y up, z out of the face; the *crop* frame has
y up and a side of 120 px; crop and image *pixels* have y down. ``R`` is the rotation of ``pose``, crop frame (y up) <- model. A
frontal face has ``R = I``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tddfa_ros.geometry.affine import transform
from tddfa_ros.geometry.rotation import (
    exp,
    log,
    nearest_rotation,
    quaternion,
    rotation_from_quaternion,
)
from tddfa_ros.types import CROP_FRAME, DoubleArray, FloatArray, RealArray

__all__ = [
    "CAMERA_FROM_CROP",
    "FACE_FROM_MODEL",
    "Similarity",
    "angles_3ddfa_v2",
    "angles_300w_lp",
    "axes_3ddfa_v2",
    "compose",
    "crop_pose",
    "crop_to_image",
    "decompose",
    "exp",
    "image_pose",
    "image_to_crop",
    "log",
    "nearest_rotation",
    "quaternion",
    "rotation_from_3ddfa_v2",
    "rotation_from_300w_lp",
    "rotation_from_quaternion",
    "rotation_from_yaw_pitch_roll",
    "to_crop",
    "to_image",
    "yaw_pitch_roll",
]

FACE_FROM_MODEL: DoubleArray = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]], dtype=np.float64)
"""Rotation from the model frame to the REP-155 face frame (x out of the face, y to the subject's left, z up)."""

CAMERA_FROM_CROP: DoubleArray = np.diag([1.0, -1.0, -1.0])
"""Rotation from the crop frame (y up, z to the viewer) to the camera optical frame (y down, z forward)."""

_GIMBAL = 1 - 1e-7
_FIRST_PIXEL = 1.0  # 3DDFA_V2 counts crop px from 1: its reconstruction subtracts 1 from x and z


class Similarity(NamedTuple):
    """Weak-perspective pose in the image, independent of the ROI: ``x, y, z = t + scale * diag(1, -1, 1) R head``.

    Attributes:
        scale: px per meter.
        rotation: (3, 3) crop frame (y up) <- model.
        translation: (3,) px: projection of the model's origin (x right, y down) and relative depth (nearer = larger).
    """

    scale: float
    rotation: DoubleArray
    translation: DoubleArray


def axes_3ddfa_v2(pose: RealArray) -> DoubleArray:
    """Compute 3DDFA_V2's "rotation" (..., 3, 3): normalized rows r1, r2 of ``pose`` (..., 3, 4), and r3 = r1 x r2.

    The rows of a regressed pose are only approximately perpendicular, so the result is only approximately a rotation.
    """
    rows = np.asarray(pose, dtype=np.float64)[..., :2, :3]
    rows = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return _with_third_row(rows[..., 0, :], rows[..., 1, :])


def decompose(pose: RealArray) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """Split ``pose`` (..., 3, 4) = ``[s*R | t]`` into scale (...), rotation (..., 3, 3) and translation (..., 3).

    As in 3DDFA_V2, ``s = (|r1| + |r2|) / 2``, the third axis is ``r1 x r2``, and the third row of ``pose`` is ignored. In addition,
    r1 and r2 are made perpendicular by rotating both by the same angle, so that R is in SO(3). R is NaN where a row is zero or
    both are parallel.
    """
    p = np.asarray(pose, dtype=np.float64)
    rows = p[..., :2, :3]
    lengths = np.sqrt(np.einsum("...ij,...ij->...i", rows, rows))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (
            np.asarray(lengths.mean(axis=-1)),
            _orthogonal(rows / lengths[..., None]),
            p[..., :, 3].copy(),
        )


def compose(scale: RealArray | float, rotation: RealArray, translation: RealArray) -> FloatArray:
    """Compose a pose (..., 3, 4) float32 ``[s*R | t]``; the inverse of :func:`decompose`."""
    linear = np.asarray(scale, dtype=np.float64)[..., None, None] * rotation
    column = np.asarray(translation, dtype=np.float64)[..., None]
    return np.concatenate([linear, column], axis=-1).astype(np.float32)


def to_crop(head: FloatArray, pose: RealArray) -> FloatArray:
    """Transform heads (..., N, 3), m, to crop px (..., N, 3) by ``pose`` (..., 3, 4).

    3DDFA_V2's formula: ``V = s*R head + t``, px ``(V.x - 1, 120 - V.y)``, ``z = V.z - 1``, nearer = larger. The 3x3 part is not
    orthogonalized.
    """
    linear, offset = _crop_affine(pose)
    return transform(head, linear, offset)


def to_image(head: FloatArray, pose: RealArray, roi: RealArray) -> FloatArray:
    """Transform heads (..., N, 3), m, to image px (..., N, 3): :func:`crop_to_image` of :func:`to_crop`."""
    linear, offset = _crop_affine(pose)
    factor, origin = _roi_affine(roi)
    return transform(head, linear * factor[..., :, None], offset * factor + origin)


def crop_to_image(points: RealArray, roi: RealArray) -> FloatArray:
    """Map crop px (..., N, 2 or 3) of the 120-px frame to image px; z scales by the mean of both factors."""
    return _map_axes(points, *_roi_affine(roi))


def image_to_crop(points: RealArray, roi: RealArray) -> FloatArray:
    """Map image px (..., N, 2 or 3) to crop px; the inverse of :func:`crop_to_image`."""
    factor, origin = _roi_affine(roi)
    return _map_axes(points, 1 / factor, -origin / factor)


def image_pose(pose: RealArray, roi: RealArray) -> Similarity:
    """Convert a pose (3, 4) in the crop frame of ``roi`` (4,) to a similarity in the image."""
    scale, rotation, _ = decompose(pose)
    _, offset = _crop_affine(pose)
    factor, origin = _roi_affine(roi)
    return Similarity(float(scale * factor[2]), rotation, offset * factor + origin)


def crop_pose(similarity: Similarity, roi: RealArray) -> FloatArray:
    """Convert a similarity to the pose (3, 4) float32 in the crop frame of ``roi`` (4,); the inverse of :func:`image_pose` for a square."""
    factor, origin = _roi_affine(roi)
    x, y, z = (np.asarray(similarity.translation, dtype=np.float64) - origin) / factor
    t = np.array([x + _FIRST_PIXEL, CROP_FRAME - y, z + _FIRST_PIXEL])
    return compose(similarity.scale / factor[2], similarity.rotation, t)


def yaw_pitch_roll(rotation: RealArray) -> DoubleArray:
    """Compute yaw, pitch, roll (..., 3), degrees, relative to a frontal face.

    Intrinsic Z-Y'-X'' angles of the face frame (REP-103): yaw > 0 turns to the subject's own left (the nose moves right in the
    image), pitch > 0 looks down, roll > 0 leans to the subject's own right shoulder. Profiles are regular; gimbal lock occurs only
    at pitch = +-90, where roll is set to 0.

    Args:
        rotation: (..., 3, 3) crop frame <- model. For a metric pose pass ``CAMERA_FROM_CROP @ R(camera <- model)``.
    """
    r = FACE_FROM_MODEL @ np.asarray(rotation, dtype=np.float64) @ FACE_FROM_MODEL.T
    sine = np.clip(-r[..., 2, 0], -1.0, 1.0)
    locked = np.abs(sine) > _GIMBAL
    yaw = np.where(
        locked,
        np.arctan2(-r[..., 0, 1], r[..., 1, 1]),
        np.arctan2(r[..., 1, 0], r[..., 0, 0]),
    )
    roll = np.where(locked, 0.0, np.arctan2(r[..., 2, 1], r[..., 2, 2]))
    return np.degrees(np.stack([yaw, np.arcsin(sine), roll], axis=-1))


def rotation_from_yaw_pitch_roll(degrees: RealArray) -> DoubleArray:
    """Compute the rotation (..., 3, 3), crop frame <- model, of yaw, pitch, roll (..., 3), degrees; the inverse of :func:`yaw_pitch_roll`."""
    yaw, pitch, roll = np.moveaxis(np.radians(np.asarray(degrees, dtype=np.float64)), -1, 0)
    return _about(1, yaw) @ _about(0, pitch) @ _about(2, roll)


def angles_3ddfa_v2(rotation: RealArray) -> DoubleArray:
    """Compute yaw, pitch, roll (..., 3), degrees, as defined by 3DDFA_V2.

    yaw > 0 turns the nose to image left, pitch > 0 looks down, roll > 0 raises the eye line at image right.
    ``yaw = asin R20, pitch = atan2(R21, R22), roll = atan2(R10, R00)``; for ``|R20| > 0.998`` roll is 0. The order of axes (roll
    outermost) differs from :func:`yaw_pitch_roll`, so a change of signs does not convert. Pass :func:`axes_3ddfa_v2` of a pose to
    reproduce 3DDFA_V2's values exactly.
    """
    r = np.asarray(rotation, dtype=np.float64)
    sine = r[..., 2, 0]
    locked, sign = np.abs(sine) > 0.998, np.sign(sine)
    yaw = np.where(locked, sign * np.pi / 2, np.arcsin(np.clip(sine, -1, 1)))
    pitch = np.where(
        locked,
        np.arctan2(-sign * r[..., 0, 1], -sign * r[..., 0, 2]),
        np.arctan2(r[..., 2, 1], r[..., 2, 2]),
    )
    roll = np.where(locked, 0.0, np.arctan2(r[..., 1, 0], r[..., 0, 0]))
    return np.degrees(np.stack([yaw, pitch, roll], axis=-1))


def rotation_from_3ddfa_v2(degrees: RealArray) -> DoubleArray:
    """Compute the rotation (..., 3, 3) of 3DDFA_V2's yaw, pitch, roll (..., 3), degrees."""
    yaw, pitch, roll = np.moveaxis(np.radians(np.asarray(degrees, dtype=np.float64)), -1, 0)
    return _about(2, roll) @ _about(1, -yaw) @ _about(0, pitch)


def angles_300w_lp(rotation: RealArray) -> DoubleArray:
    """Compute yaw, pitch, roll (..., 3), degrees, as labeled in 300W-LP and AFLW2000-3D (``Pose_Para`` starts with pitch).

    ``R = Rx(-pitch) Ry(-yaw) Rz(-roll)``: yaw as in 3DDFA_V2, pitch and roll with opposite sign, and another order of axes
    (Zhu et al., Face Alignment Across Large Poses, CVPR 2016).
    """
    r = np.asarray(rotation, dtype=np.float64)
    yaw = np.arcsin(np.clip(-r[..., 0, 2], -1, 1))
    pitch = np.arctan2(r[..., 1, 2], r[..., 2, 2])
    roll = np.arctan2(r[..., 0, 1], r[..., 0, 0])
    return np.degrees(np.stack([yaw, pitch, roll], axis=-1))


def rotation_from_300w_lp(degrees: RealArray) -> DoubleArray:
    """Compute the rotation (..., 3, 3) of 300W-LP's yaw, pitch, roll (..., 3), degrees."""
    yaw, pitch, roll = np.moveaxis(np.radians(np.asarray(degrees, dtype=np.float64)), -1, 0)
    return _about(0, -pitch) @ _about(1, -yaw) @ _about(2, -roll)


def _orthogonal(unit: DoubleArray) -> DoubleArray:
    """Compute the rotation (..., 3, 3) whose first rows are two unit vectors (..., 2, 3), both rotated by the same angle."""
    # The sum and the difference of two unit vectors are perpendicular.
    sides = np.stack([unit[..., 0, :] + unit[..., 1, :], unit[..., 0, :] - unit[..., 1, :]])
    sides /= np.sqrt(2 * np.einsum("...j,...j->...", sides, sides))[..., None]
    return _with_third_row(sides[0] + sides[1], sides[0] - sides[1])


def _with_third_row(r1: DoubleArray, r2: DoubleArray) -> DoubleArray:
    """Stack r1, r2 and r1 x r2 to (..., 3, 3); five times faster than ``numpy.cross``."""
    out = np.empty((*r1.shape[:-1], 3, 3))
    out[..., 0, :], out[..., 1, :] = r1, r2
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        out[..., 2, i] = r1[..., j] * r2[..., k] - r1[..., k] * r2[..., j]
    return out


def _about(axis: int, angle: RealArray) -> DoubleArray:
    """Compute the right-handed rotation (..., 3, 3) by ``angle`` (...), rad, about coordinate axis 0, 1 or 2."""
    vector = np.zeros((*np.shape(angle), 3))
    vector[..., axis] = angle
    return exp(vector)


def _crop_affine(pose: RealArray) -> tuple[DoubleArray, DoubleArray]:
    """Return the linear part (..., 3, 3) and offset (..., 3) from head coordinates to crop px."""
    p = np.asarray(pose, dtype=np.float64)
    flip = np.array([1.0, -1.0, 1.0])
    offset = p[..., :, 3] * flip + np.array([-_FIRST_PIXEL, CROP_FRAME, -_FIRST_PIXEL])
    return p[..., :, :3] * flip[:, None], offset


def _roi_affine(roi: RealArray) -> tuple[DoubleArray, DoubleArray]:
    """Return the factors (..., 3) and origin (..., 3) from crop px x, y, z to image px."""
    r = np.asarray(roi, dtype=np.float64)
    sides = (r[..., 2:4] - r[..., 0:2]) / CROP_FRAME
    factor = np.concatenate([sides, sides.mean(axis=-1, keepdims=True)], axis=-1)
    return factor, np.concatenate([r[..., 0:2], np.zeros_like(r[..., :1])], axis=-1)


def _map_axes(points: RealArray, factor: DoubleArray, origin: DoubleArray) -> FloatArray:
    n = np.shape(points)[-1]
    mapped = np.asarray(points, dtype=np.float64) * factor[..., None, :n] + origin[..., None, :n]
    return mapped.astype(np.float32)
