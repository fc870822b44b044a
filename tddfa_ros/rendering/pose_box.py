"""Draw the pose box: a wireframe cube aligned with the head."""

from __future__ import annotations

from typing import Any, Protocol

import cv2
import numpy as np

from tddfa_ros.geometry.pose import FACE_FROM_MODEL, rotation_from_yaw_pitch_roll
from tddfa_ros.rendering.captions import face_size
from tddfa_ros.rendering.style import SUBPIXEL_DIGITS, line_scale, tint_of
from tddfa_ros.types import DoubleArray, FloatArray, ImageBGR, check_image


class PosedFace(Protocol):
    """The part of a face that the pose box uses."""

    @property
    def landmarks68(self) -> FloatArray: ...

    @property
    def yaw_pitch_roll(self) -> Any: ...


def draw_pose_box(
    image: ImageBGR, face: PosedFace, tint: tuple[int, int, int] | None = None
) -> ImageBGR:
    """Return a copy of the image with the pose box of a face drawn on it: the front bright, the back dim.

    Args:
        image: (H, W, 3) uint8 BGR.
        face: the face; nothing is drawn if its pose is NaN.
        tint: BGR; None = the overlay's color for the face's ID.

    Raises:
        ImageError: the image is not (H, W, 3) uint8.
    """
    check_image(image, "the image for a pose box")
    canvas: ImageBGR = image.copy()
    tint = tint_of(getattr(face, "id", "")) if tint is None else tint
    outline_pose_box(canvas, face, tint, line_scale(canvas))
    return canvas


def head_axes(yaw_pitch_roll: Any) -> DoubleArray:
    """Return the axes of the face frame in the image, (3, 3): row i = axis i as (right, down, toward the viewer).

    The face frame is that of TF: x out of the face, y to the person's left, z up.
    """
    rotation = rotation_from_yaw_pitch_roll(np.asarray(yaw_pitch_roll, dtype=np.float64))
    upright: DoubleArray = FACE_FROM_MODEL @ rotation.T  # row i: axis i, y up
    return upright * np.array([1, -1, 1])


def pose_box_corners(face: PosedFace) -> DoubleArray:
    """Return the corners (8, 2), image px: four of the back, then four of the front, each in order from the lower right of the face (its own)."""
    landmarks = face.landmarks68
    out, left, up = head_axes(face.yaw_pitch_roll)[:, :2]
    half = 0.42 * face_size(landmarks)
    center = landmarks[:, :2].mean(0)
    return np.array(
        [
            center + depth * out + half * (sl * left + su * up)
            for depth in (-1.2 * half, 0.7 * half)
            for sl, su in ((-1, -1), (1, -1), (1, 1), (-1, 1))
        ]
    )


def outline_pose_box(
    canvas: ImageBGR, face: PosedFace, tint: tuple[int, int, int], scale: float
) -> None:
    """Draw the box into ``canvas`` with lines of ``scale``."""
    if not np.isfinite(face.yaw_pitch_roll).all():
        return
    corners = np.round(pose_box_corners(face) * (1 << SUBPIXEL_DIGITS))
    corners = np.clip(corners, -(1 << 20), 1 << 20).astype(np.int32)
    thickness = max(1, round(scale))
    back, front = corners[:4], corners[4:]
    edges = [np.stack([a, b]) for a, b in zip(back, front, strict=True)]
    dim = tuple(int(0.6 * c) for c in tint)
    cv2.polylines(canvas, [back], True, dim, thickness, cv2.LINE_AA, SUBPIXEL_DIGITS)
    cv2.polylines(canvas, edges, False, dim, thickness, cv2.LINE_AA, SUBPIXEL_DIGITS)
    cv2.polylines(canvas, [front], True, tint, thickness + 1, cv2.LINE_AA, SUBPIXEL_DIGITS)
