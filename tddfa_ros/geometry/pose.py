"""The weak-perspective pose: reading it, writing it, applying it, and its angles.

Frames (docs/architecture.md): the *model* frame is in metres, x to the person's left, y up, z out of the face; the
*crop* frame has y up and 120 px to the side; crop and image *pixels* have y down. Throughout, ``R`` without further
words is the rotation of ``pose``: crop frame (y up) <- model. A face that looks straight at the camera has ``R = I``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

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
"""Rotation from the model frame to the REP-155 face frame (x out of the face, y to the person's left, z up)."""

CAMERA_FROM_CROP: DoubleArray = np.diag([1.0, -1.0, -1.0])
"""Rotation from the crop frame's axes (y up, z to the viewer) to the camera optical frame (y down, z forward)."""

_GIMBAL = 1 - 1e-7
_FIRST_PIXEL = (
    1.0  # 3DDFA_V2 counts crop pixels from 1: its reconstruction subtracts 1 from x and z.
)


class Similarity(NamedTuple):
    """A weak-perspective pose in the image: ``x, y, z = t + scale * diag(1, -1, 1) R head``.

    ``scale`` px per metre; ``rotation`` (3, 3) crop frame (y up) <- model; ``translation`` (3,) px: where the model's
    origin appears (x right, y down), and its relative depth (nearer = larger). Independent of the ROI, so this is
    what a filter over time works on.
    """

    scale: float
    rotation: DoubleArray
    translation: DoubleArray


def axes_3ddfa_v2(pose: RealArray) -> DoubleArray:
    """3DDFA_V2's "rotation" (..., 3, 3): rows r1, r2 of ``pose`` (..., 3, 4) normalised, r3 = r1 x r2.

    A regressed pose has rows that are only nearly perpendicular, so this is only nearly a rotation.
    """
    rows = np.asarray(pose, dtype=np.float64)[..., :2, :3]
    rows = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return _with_third_row(rows[..., 0, :], rows[..., 1, :])


def decompose(pose: RealArray) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """Split ``pose`` (..., 3, 4) = ``[s*R | t]`` into scale (...), rotation (..., 3, 3) and translation (..., 3).

    As 3DDFA_V2: ``s = (|r1| + |r2|) / 2``, the third axis is ``r1 x r2`` and the third row of ``pose`` plays no part.
    Unlike it, r1 and r2 are made exactly perpendicular by turning both by the same amount, so R is in SO(3).
    It is NaN where a row is zero or the two are parallel.
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
    """Pose (..., 3, 4) float32 ``[s*R | t]``, the inverse of :func:`decompose`."""
    linear = np.asarray(scale, dtype=np.float64)[..., None, None] * rotation
    column = np.asarray(translation, dtype=np.float64)[..., None]
    return np.concatenate([linear, column], axis=-1).astype(np.float32)


def to_crop(head: FloatArray, pose: RealArray) -> FloatArray:
    """Place heads (..., N, 3), metres, in crop pixels (..., N, 3) by ``pose`` (..., 3, 4).

    Formula of 3DDFA_V2: ``V = s*R head + t``; pixel ``(V.x - 1, 120 - V.y)``, ``z = V.z - 1``, nearer = larger.
    The 3x3 part is used as it is, not made orthogonal.
    """
    linear, offset = _crop_affine(pose)
    return _apply(head, linear, offset)


def to_image(head: FloatArray, pose: RealArray, roi: RealArray) -> FloatArray:
    """Place heads (..., N, 3), metres, in image pixels (..., N, 3): :func:`crop_to_image` of :func:`to_crop`."""
    linear, offset = _crop_affine(pose)
    factor, origin = _roi_affine(roi)
    return _apply(head, linear * factor[..., :, None], offset * factor + origin)


def crop_to_image(points: RealArray, roi: RealArray) -> FloatArray:
    """Map crop pixels (..., N, 2 or 3) of the 120-px frame to image pixels; z scales by the mean of both factors."""
    return _map_axes(points, *_roi_affine(roi))


def image_to_crop(points: RealArray, roi: RealArray) -> FloatArray:
    """Inverse of :func:`crop_to_image`."""
    factor, origin = _roi_affine(roi)
    return _map_axes(points, 1 / factor, -origin / factor)


def image_pose(pose: RealArray, roi: RealArray) -> Similarity:
    """Pose (3, 4) in the crop frame of ``roi`` (4,) as a similarity in the image."""
    scale, rotation, _ = decompose(pose)
    _, offset = _crop_affine(pose)
    factor, origin = _roi_affine(roi)
    return Similarity(float(scale * factor[2]), rotation, offset * factor + origin)


def crop_pose(similarity: Similarity, roi: RealArray) -> FloatArray:
    """Inverse of :func:`image_pose`: the pose (3, 4) float32 in the crop frame of ``roi`` (4,), exact for a square."""
    factor, origin = _roi_affine(roi)
    x, y, z = (np.asarray(similarity.translation, dtype=np.float64) - origin) / factor
    t = np.array([x + _FIRST_PIXEL, CROP_FRAME - y, z + _FIRST_PIXEL])
    return compose(similarity.scale / factor[2], similarity.rotation, t)


def yaw_pitch_roll(rotation: RealArray) -> DoubleArray:
    """Yaw, pitch, roll (..., 3) in degrees of a face against one that looks straight into the camera.

    REP-103's intrinsic Z-Y'-X'' angles of the face frame: yaw > 0 turns to the person's own left (the nose moves right
    in the picture), pitch > 0 looks down, roll > 0 leans to the person's own right shoulder.

    Args:
        rotation: (..., 3, 3) crop frame <- model. For a metric pose pass ``CAMERA_FROM_CROP @ R(camera <- model)``.

    A profile is an ordinary angle here; only a face that looks straight up or down (pitch = +-90) is a gimbal lock,
    where roll is taken to be 0.
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
    """Rotation (..., 3, 3), crop frame <- model, of yaw, pitch, roll (..., 3): inverse of :func:`yaw_pitch_roll`."""
    yaw, pitch, roll = np.moveaxis(np.radians(np.asarray(degrees, dtype=np.float64)), -1, 0)
    return _about(1, yaw) @ _about(0, pitch) @ _about(2, roll)


def angles_3ddfa_v2(rotation: RealArray) -> DoubleArray:
    """3DDFA_V2's yaw, pitch, roll (..., 3) in degrees: yaw > 0 nose to image left, pitch > 0 down, roll > 0 eye line
    rises to image right.

    ``yaw = asin R20, pitch = atan2(R21, R22), roll = atan2(R10, R00)``; at ``|R20| > 0.998`` it locks with roll = 0.
    Another order of axes than ours (roll outermost), so signs alone do not convert. Pass :func:`axes_3ddfa_v2` of a pose
    for exactly its numbers.
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
    """Rotation (..., 3, 3) of 3DDFA_V2's yaw, pitch, roll (..., 3) in degrees."""
    yaw, pitch, roll = np.moveaxis(np.radians(np.asarray(degrees, dtype=np.float64)), -1, 0)
    return _about(2, roll) @ _about(1, -yaw) @ _about(0, pitch)


def angles_300w_lp(rotation: RealArray) -> DoubleArray:
    """Yaw, pitch, roll (..., 3) in degrees as 300W-LP and AFLW2000-3D label them (``Pose_Para`` holds pitch first).

    ``R = Rx(-pitch) Ry(-yaw) Rz(-roll)``: yaw as 3DDFA_V2, pitch and roll with the opposite sign, and again another
    order of axes (Zhu et al., Face Alignment Across Large Poses, CVPR 2016).
    """
    r = np.asarray(rotation, dtype=np.float64)
    yaw = np.arcsin(np.clip(-r[..., 0, 2], -1, 1))
    pitch = np.arctan2(r[..., 1, 2], r[..., 2, 2])
    roll = np.arctan2(r[..., 0, 1], r[..., 0, 0])
    return np.degrees(np.stack([yaw, pitch, roll], axis=-1))


def rotation_from_300w_lp(degrees: RealArray) -> DoubleArray:
    """Rotation (..., 3, 3) of 300W-LP's yaw, pitch, roll (..., 3) in degrees."""
    yaw, pitch, roll = np.moveaxis(np.radians(np.asarray(degrees, dtype=np.float64)), -1, 0)
    return _about(0, -pitch) @ _about(1, -yaw) @ _about(2, -roll)


def _orthogonal(unit: DoubleArray) -> DoubleArray:
    """Rotation (..., 3, 3) whose first rows are nearest to two unit vectors (..., 2, 3), each turned by as much."""
    # The sum and the difference of two unit vectors are perpendicular, whatever their angle.
    sides = np.stack([unit[..., 0, :] + unit[..., 1, :], unit[..., 0, :] - unit[..., 1, :]])
    sides /= np.sqrt(2 * np.einsum("...j,...j->...", sides, sides))[..., None]
    return _with_third_row(sides[0] + sides[1], sides[0] - sides[1])


def _with_third_row(r1: DoubleArray, r2: DoubleArray) -> DoubleArray:
    """Matrix (..., 3, 3) of the rows r1, r2 and r1 x r2 (``numpy.cross`` takes five times as long)."""
    out = np.empty((*r1.shape[:-1], 3, 3))
    out[..., 0, :], out[..., 1, :] = r1, r2
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        out[..., 2, i] = r1[..., j] * r2[..., k] - r1[..., k] * r2[..., j]
    return out


def _about(axis: int, angle: RealArray) -> DoubleArray:
    """Right-handed rotation (..., 3, 3) by ``angle`` (...) radians about coordinate axis 0, 1 or 2."""
    vector = np.zeros((*np.shape(angle), 3))
    vector[..., axis] = angle
    return exp(vector)


def _crop_affine(pose: RealArray) -> tuple[DoubleArray, DoubleArray]:
    """Linear part (..., 3, 3) and offset (..., 3) that take the head to crop pixels."""
    p = np.asarray(pose, dtype=np.float64)
    flip = np.array([1.0, -1.0, 1.0])
    offset = p[..., :, 3] * flip + np.array([-_FIRST_PIXEL, CROP_FRAME, -_FIRST_PIXEL])
    return p[..., :, :3] * flip[:, None], offset


def _roi_affine(roi: RealArray) -> tuple[DoubleArray, DoubleArray]:
    """Factors (..., 3) and origin (..., 3) that take crop pixels x, y, z to image pixels."""
    r = np.asarray(roi, dtype=np.float64)
    sides = (r[..., 2:4] - r[..., 0:2]) / CROP_FRAME
    factor = np.concatenate([sides, sides.mean(axis=-1, keepdims=True)], axis=-1)
    return factor, np.concatenate([r[..., 0:2], np.zeros_like(r[..., :1])], axis=-1)


def _apply(points: FloatArray, linear: DoubleArray, offset: DoubleArray) -> FloatArray:
    out: FloatArray = np.matmul(points, np.swapaxes(linear, -1, -2).astype(np.float32))
    out += offset.astype(np.float32)[..., None, :]
    return out


def _map_axes(points: RealArray, factor: DoubleArray, origin: DoubleArray) -> FloatArray:
    n = np.shape(points)[-1]
    mapped = np.asarray(points, dtype=np.float64) * factor[..., None, :n] + origin[..., None, :n]
    return mapped.astype(np.float32)
