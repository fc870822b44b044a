"""Geometry of stored crops: framing by landmarks, cutting a rotated and scaled view with its pose, mirroring."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.geometry.pose import to_crop
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.regression.maps import CELL
from tddfa_ros.training.cache import CACHE_SIDE
from tddfa_ros.training.data.frames import IGNORE
from tddfa_ros.types import CROP_FRAME, POSE_SIZE, DoubleArray, FloatArray, ImageBGR

RealLike = float | DoubleArray
"""A number or an array of numbers (...)."""


def about_landmarks(
    points: FloatArray, roll: RealLike, zoom: RealLike, shift: DoubleArray
) -> tuple[DoubleArray, DoubleArray]:
    """Return zoom (...) and shift (..., 2) for :func:`reframe` that frame landmarks by their ROI, modified by ``zoom`` and ``shift``.

    Args:
        points: (..., L, 2) px of the stored 120-px crop; the ROI is the box of the rotated landmarks, enlarged sqrt(2) times.
        roll: (...) rotation that :func:`reframe` applies, rad.
        zoom: (...) magnification relative to that ROI.
        shift: (..., 2) px of 120.
    """
    cos, sin = np.cos(roll), np.sin(roll)
    matrix = np.stack([np.stack([cos, -sin], axis=-1), np.stack([sin, cos], axis=-1)], axis=-2)
    turned = (points - (CROP_FRAME - 1) / 2) @ matrix
    low, high = turned.min(axis=-2), turned.max(axis=-2)
    scale = zoom * CROP_FRAME / ((high - low).max(axis=-1) * np.sqrt(2))
    return np.asarray(scale), np.asarray(shift - scale[..., None] * (low + high) / 2)


def landmark_frame(model: MorphableModel, params: FloatArray) -> tuple[RealLike, DoubleArray]:
    """Return zoom and shift for :func:`reframe` that frame a face by its landmarks, as tracking does; 1 and 0 without a face (params all 0)."""
    if not params.any():
        return 1.0, np.zeros(2)
    return about_landmarks(landmark_pixels(model, params), 0.0, 1.0, np.zeros(2))


def landmark_pixels(model: MorphableModel, params: FloatArray) -> FloatArray:
    """Return the 68 landmarks (..., 68, 2) of params (..., P) in px of the 120-px crop."""
    pose = model.layout.split(params)[0]
    return to_crop(model.head_landmarks(params), pose)[..., :2]


def reframe(
    image: ImageBGR,
    params: FloatArray,
    roll: RealLike,
    zoom: RealLike,
    shift: DoubleArray,
    border: tuple[int, int, int] | None = (0, 0, 0),
    size: int = int(CROP_FRAME),
) -> tuple[ImageBGR, FloatArray]:
    """Cut a rotated, scaled and shifted crop, and transform the pose with it: ``V' = zoom * Rz(roll) (V - c) + c + shift``.

    Args:
        image: (192, 192, 3) stored crop.
        params: (P,), pose in the 120-px frame of the stored crop.
        roll: rad, counterclockwise in the image.
        zoom: magnification.
        shift: (2,) px of 120, x right, y down.
        border: BGR outside the stored crop; None: the edge is repeated.
        size: side of the result, px. The pose stays in the 120-px frame.

    Returns:
        Crop (size, size, 3) uint8 and its params (P,).
    """
    crop = cv2.warpAffine(
        image,
        crop_affine(roll, zoom, shift, size),
        (size, size),
        flags=cv2.INTER_AREA if float(zoom) * size < 0.9 * CROP_FRAME else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE if border is None else cv2.BORDER_CONSTANT,
        borderValue=border or 0,
    )
    return np.asarray(crop, dtype=np.uint8), reframe_params(params, roll, zoom, shift)


def reframe_params(
    params: FloatArray, roll: RealLike, zoom: RealLike, shift: DoubleArray
) -> FloatArray:
    """Transform the pose of params (..., P) as :func:`reframe` transforms the image, with roll and zoom (...) and shift (..., 2)."""
    middle = (CROP_FRAME - 1) / 2
    zoom = np.asarray(zoom, dtype=np.float64)
    cos, sin, zero = zoom * np.cos(roll), zoom * np.sin(roll), np.zeros_like(zoom)
    rows = ((cos, -sin, zero), (sin, cos, zero), (zero, zero, zoom))
    turn = np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
    # the middle of the crop in V's frame: x = px + 1, y = 120 - py
    center = np.array([middle + 1, CROP_FRAME - middle, 0.0])
    out = np.array(params, dtype=np.float32)
    pose = out[..., :POSE_SIZE].reshape(*out.shape[:-1], 3, 4).astype(np.float64)
    moved = turn @ pose
    move = np.stack([shift[..., 0], -shift[..., 1], np.zeros_like(shift[..., 0])], axis=-1)
    moved[..., 3] += center - turn @ center + move
    out[..., :POSE_SIZE] = moved.reshape(*out.shape[:-1], POSE_SIZE)
    return out


def reframe_parsing(
    parsing: NDArray[np.uint8], roll: RealLike, zoom: RealLike, shift: DoubleArray, size: int
) -> NDArray[np.uint8]:
    """Return class ids (S/4, S/4) at the centers of the network's cells, in the view of :func:`reframe`.

    The center of cell i is pixel 4 i + 1.5 of the crop. Cells outside the stored crop get :data:`IGNORE`.
    """
    to_cells = crop_affine(roll, zoom, shift, size) / CELL
    to_cells[:, 2] -= (CELL - 1) / (2 * CELL)
    cells = cv2.warpAffine(
        parsing,
        to_cells,
        (size // CELL, size // CELL),
        flags=cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=IGNORE,
    )
    return np.asarray(cells, dtype=np.uint8)


def crop_affine(roll: RealLike, zoom: RealLike, shift: DoubleArray, size: int) -> DoubleArray:
    """Return the matrices (..., 2, 3) from px of the stored crop to px of the new one; pixel centers are at integers.

    Pixel u of the 120-px crop is u * size / 120 of this one, as in :func:`tddfa_ros.geometry.roi.crop`.
    """
    zoom = np.asarray(zoom, dtype=np.float64)
    cos, sin = zoom * np.cos(roll), zoom * np.sin(roll)
    # y points down, so a counterclockwise rotation has the opposite sign
    linear = np.stack([np.stack([cos, sin], axis=-1), np.stack([-sin, cos], axis=-1)], axis=-2)
    middle = (CROP_FRAME - 1) / 2
    offset = middle + np.asarray(shift) - linear @ np.full(2, (CACHE_SIDE - 1) / 2)
    return np.asarray(size / CROP_FRAME * np.concatenate([linear, offset[..., None]], axis=-1))


class ParamMirror:
    """Map parameters (..., P) to those of the mirrored crop.

    Identity coefficients are mapped by least squares from the mirrored basis to the basis; for the default model, whose components are
    symmetric or antisymmetric, this only changes signs. Expressions are swapped by name (Left <-> Right).
    """

    def __init__(self, model: MorphableModel) -> None:
        partner = _partners(model.mean.astype(np.float64))
        count = model.layout.shape
        mirrored = (model.shape_basis[partner] * np.array([-1, 1, 1], np.float32)[:, None]).reshape(
            -1, count
        )
        basis = model.shape_basis.reshape(-1, count)
        self._shape = np.linalg.lstsq(basis, mirrored, rcond=None)[0].T.astype(np.float32)
        names = list(model.expression_names)
        self._expression = np.array([names.index(_swap(name)) for name in names])

    def __call__(self, params: FloatArray) -> FloatArray:
        out = np.array(params, dtype=np.float32)
        pose = out[..., :POSE_SIZE].reshape(*out.shape[:-1], 3, 4)
        pose[..., 0, 1:] *= -1
        pose[..., 1:, 0] *= -1
        pose[..., 0, 3] += CROP_FRAME + 1  # crop pixel x becomes 119 - x, and V.x is x + 1
        shape = slice(POSE_SIZE, POSE_SIZE + len(self._shape))
        out[..., shape] = out[..., shape] @ self._shape
        out[..., shape.stop :] = out[..., shape.stop :][..., self._expression]
        return out


def _swap(name: str) -> str:
    if name.endswith("Left"):
        return name[:-4] + "Right"
    if name.endswith("Right"):
        return name[:-5] + "Left"
    return name


def _partners(vertices: FloatArray) -> FloatArray:
    from scipy.spatial import cKDTree

    return np.asarray(cKDTree(vertices).query(vertices * [-1, 1, 1])[1])
