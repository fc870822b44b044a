"""Regions of interest (ROI): squares ``x0, y0, x1, y1``, image px, and the network's input crops."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ImageError
from tddfa_ros.types import CROP_FRAME, DoubleArray, ImageBGR, RealArray, check_image

BOX_GROWTH = 1.58
"""3DDFA_V2: side of the ROI in units of the detector box's mean side."""

BOX_SHIFT = 0.14
"""3DDFA_V2: downward shift of the ROI from the detector box, in units of its mean side."""

_MAX_SIDE = 1e5  # px; beyond it OpenCV's fixed-point sampling overflows, and no face is that large


def roi_from_box(box: RealArray) -> DoubleArray:
    """Compute the square ROI (..., 4) of detector boxes (..., 4 or more: ``x0, y0, x1, y1, ...``) by 3DDFA_V2's rule.

    Raises:
        ImageError: a box is not finite or has no area.
    """
    b = np.asarray(box, dtype=np.float64)[..., :4]
    sides = b[..., 2:] - b[..., :2]
    if not (np.isfinite(b).all() and (sides > 0).all()):
        raise ImageError("a face box has no area or contains NaN")
    mean_side = sides.mean(axis=-1)
    center = (b[..., 2:] + b[..., :2]) / 2
    center[..., 1] += BOX_SHIFT * mean_side
    # 3DDFA_V2 truncates the side to whole px; kept for equal results.
    return _square(center, np.trunc(BOX_GROWTH * mean_side))


def roi_from_landmarks(landmarks: RealArray) -> DoubleArray:
    """Compute the square ROI (..., 4) of landmarks (..., n, 2 or 3), image px: 3DDFA_V2's box side times sqrt(2).

    Raises:
        ImageError: the landmarks are not finite or coincide.
    """
    xy = np.asarray(landmarks, dtype=np.float64)[..., :2]
    low, high = xy.min(axis=-2), xy.max(axis=-2)
    side = (high - low).max(axis=-1) * math.sqrt(2)
    if not (np.isfinite(side).all() and (side > 0).all()):
        raise ImageError("face landmarks have no extent or contain NaN")
    return _square((low + high) / 2, side)


def crop(image: ImageBGR, roi: RealArray, size: int = int(CROP_FRAME)) -> ImageBGR:
    """Sample a ROI as a (size, size, 3) crop; crop px u is image px ``x0 + u * (x1 - x0) / size``.

    Bilinear interpolation with sub-pixel edges (3DDFA_V2 rounds them, which adds jitter); zero outside the image. A ROI of at
    least twice the crop size is area-averaged first, to avoid aliasing of large faces.

    Raises:
        ImageError: the image is not (H, W, 3) uint8, or the ROI is not finite, empty or larger than 100,000 px.
    """
    check_image(image)
    x0, y0, x1, y1 = checked_roi(roi)
    step_x, step_y = (x1 - x0) / size, (y1 - y0) / size
    height, width = image.shape[:2]
    if x0 > width or y0 > height or x1 < -1 or y1 < -1:
        return np.zeros((size, size, 3), dtype=np.uint8)
    block = int(min(step_x, step_y))
    if block >= 2:
        image, left, top = _reduce(image, (x0, y0, x1, y1), block)
        center = (block - 1) / 2
        x0, y0 = (x0 - left - center) / block, (y0 - top - center) / block
        step_x, step_y = step_x / block, step_y / block
    matrix = np.array([[step_x, 0, x0], [0, step_y, y0]], dtype=np.float64)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    sampled = cv2.warpAffine(
        image, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=0
    )
    return np.asarray(sampled, dtype=np.uint8)


def crop_batch(image: ImageBGR, rois: RealArray, size: int = int(CROP_FRAME)) -> NDArray[np.uint8]:
    """Sample crops (n, size, size, 3) of rois (n, 4); see :func:`crop`."""
    rois = np.asarray(rois, dtype=np.float64).reshape(-1, 4)
    crops = np.empty((len(rois), size, size, 3), dtype=np.uint8)
    for out, roi in zip(crops, rois, strict=True):
        out[...] = crop(image, roi, size)
    return crops


def _square(center: DoubleArray, side: DoubleArray) -> DoubleArray:
    half = np.asarray(side)[..., None] / 2
    return np.concatenate([center - half, center + half], axis=-1)


def rows_of_four(values: RealArray, what: str) -> DoubleArray:
    """Convert boxes or ROIs (n, 4 or more) to (n, 4) float64; an empty sequence is n = 0.

    Raises:
        ImageError: the array has another shape; the message calls it ``what``.
    """
    rows = np.asarray(values, dtype=np.float64)
    if rows.size == 0:
        return np.zeros((0, 4))
    if rows.ndim != 2 or rows.shape[1] < 4:
        raise ImageError(
            f"{what} must be an array (n, 4) of x0, y0, x1, y1, not of shape {rows.shape}"
        )
    return rows[:, :4]


def checked_roi(roi: RealArray) -> tuple[float, float, float, float]:
    """Return a ROI as numbers.

    Raises:
        ImageError: it is not finite, empty or larger than 100,000 px.
    """
    values = np.asarray(roi, dtype=np.float64).ravel().tolist()
    if len(values) != 4 or not all(math.isfinite(v) for v in values):
        raise ImageError(f"a region of interest needs four finite numbers, got {values}")
    x0, y0, x1, y1 = values
    if not (0 < x1 - x0 <= _MAX_SIDE and 0 < y1 - y0 <= _MAX_SIDE):
        raise ImageError(f"the region of interest {values} is empty or too large")
    return x0, y0, x1, y1


def _reduce(
    image: ImageBGR, roi: tuple[float, float, float, float], block: int
) -> tuple[ImageBGR, int, int]:
    """Average blocks of block x block px over the part of the image that the ROI covers; return it with its left and top."""
    height, width = image.shape[:2]
    left, top = max(0, math.floor(roi[0]) - block), max(0, math.floor(roi[1]) - block)
    right, bottom = min(width, math.ceil(roi[2]) + block), min(height, math.ceil(roi[3]) + block)
    part = image[top : max(bottom, top + 1), left : max(right, left + 1)]
    pad_x, pad_y = -part.shape[1] % block, -part.shape[0] % block
    if pad_x or pad_y:
        part = np.asarray(
            cv2.copyMakeBorder(part, 0, pad_y, 0, pad_x, cv2.BORDER_CONSTANT, value=0),
            dtype=np.uint8,
        )
    size = (part.shape[1] // block, part.shape[0] // block)
    reduced = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    return np.asarray(reduced, dtype=np.uint8), left, top
