"""Labels of the detector, derived from 68 landmarks so that `tddfa_ros.geometry.roi.roi_from_box` of a box is the ROI of the landmarks."""

from __future__ import annotations

import numpy as np

from tddfa_ros.geometry.roi import BOX_GROWTH, BOX_SHIFT
from tddfa_ros.types import DoubleArray, RealArray

ASPECT = 1.25
"""Height by width of the box of an upright face; the median of CenterFace on frontal faces."""

POINTS = 5
"""Right eye (left in the image of a frontal face), left eye, tip of the nose, corners of the mouth: the order of RetinaFace, SCRFD and YuNet."""

MIRRORED_POINTS = (1, 0, 2, 4, 3)
"""Order of the five points in a mirrored image."""


def box_from_landmarks(landmarks: RealArray) -> DoubleArray:
    """Compute the box (..., 4) ``x0, y0, x1, y1`` of landmarks (..., 68, 2 or 3), px.

    The ROI of a box has the side ``BOX_GROWTH`` times its mean side and lies ``BOX_SHIFT`` mean sides lower; this is the inverse. The ratio of
    the sides does not affect the ROI: it is :data:`ASPECT` for an upright face, its inverse for one that lies on its side.
    """
    xy = np.asarray(landmarks, dtype=np.float64)[..., :2]
    low, high = xy.min(axis=-2), xy.max(axis=-2)
    mean_side = (high - low).max(axis=-1) * np.sqrt(2) / BOX_GROWTH
    center = (low + high) / 2
    center[..., 1] -= BOX_SHIFT * mean_side
    down = xy[..., 48:68, :].mean(axis=-2) - xy[..., 36:48, :].mean(axis=-2)
    upright = (
        down[..., 1] ** 2 - down[..., 0] ** 2
    )  # cos of twice the roll, times the squared length
    ratio = ASPECT ** (upright / np.maximum((down**2).sum(axis=-1), 1e-9))
    width = 2 * mean_side / (1 + ratio)
    half = np.stack([width, 2 * mean_side - width], axis=-1) / 2
    return np.concatenate([center - half, center + half], axis=-1)


def five_points(landmarks: RealArray) -> DoubleArray:
    """Return the five points (..., 5, 2) of landmarks (..., 68, 2 or 3), px, in the order of :data:`POINTS`."""
    xy = np.asarray(landmarks, dtype=np.float64)[..., :2]
    eyes = [xy[..., eye, :].mean(axis=-2) for eye in (slice(36, 42), slice(42, 48))]
    return np.stack([*eyes, xy[..., 30, :], xy[..., 48, :], xy[..., 54, :]], axis=-2)
