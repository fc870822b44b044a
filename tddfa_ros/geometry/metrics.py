"""Error metrics: NME of landmarks, rotation errors, jitter, AUC."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.geometry.rotation import angle_between, nearest_rotation
from tddfa_ros.types import DoubleArray, RealArray

INNER = 17
"""First landmark after the jaw; NME51 excludes the jaw, where 2D and 3D annotations differ."""

YAW_BINS = ("0-30", "30-60", "60-90")
"""Ranges of |yaw|, degrees, reported on AFLW2000-3D: [0, 30], (30, 60] and above."""


def face_size(points: RealArray) -> DoubleArray:
    """Compute the square root of the bounding box area (...) of landmarks (..., n, 2 or 3), in their unit."""
    extent = np.ptp(np.asarray(points, dtype=np.float64)[..., :2], axis=-2)
    return np.asarray(np.sqrt(extent.prod(axis=-1)))


def nme(predicted: RealArray, truth: RealArray, first: int = 0) -> DoubleArray:
    """Compute the normalized mean error (n,), %: mean landmark distance over sqrt(w * h) of the ground-truth box (AFLW2000-3D protocol).

    Args:
        predicted: (n, 68, 2) predicted landmarks, px.
        truth: (n, 68, 2) ground-truth landmarks, px.
        first: index of the first landmark, 17 for NME51; the box is always that of all 68.
    """
    distance = np.linalg.norm(np.asarray(predicted, dtype=np.float64) - truth, axis=2)
    return np.asarray(100 * distance[:, first:].mean(axis=1) / face_size(truth))


def yaw_groups(yaw_deg: RealArray) -> tuple[NDArray[np.bool_], ...]:
    """Compute masks (n,) of the faces in each range of :data:`YAW_BINS`."""
    yaw = np.abs(yaw_deg)
    return yaw <= 30, (yaw > 30) & (yaw <= 60), yaw > 60


def yaw_bins(errors: RealArray, yaw_deg: RealArray) -> tuple[float, float, float]:
    """Compute the mean of errors (n,) per range of |yaw| (n,), degrees; NaN for an empty range."""
    groups = yaw_groups(yaw_deg)
    low, middle, high = (float(errors[g].mean()) if g.any() else float("nan") for g in groups)
    return low, middle, high


def auc(positive: RealArray, negative: RealArray) -> float:
    """Compute the area under the ROC curve: Mann-Whitney U over the number of pairs; ties count half; NaN for an empty group."""
    if not len(positive) or not len(negative):
        return float("nan")
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left")
    not_above = np.searchsorted(ordered, positive, side="right")
    return float((below + not_above).mean() / (2 * len(ordered)))


def geodesic_deg(a: RealArray, b: RealArray) -> DoubleArray:
    """Compute the geodesic distance (n,) of rotations (n, 3, 3), degrees."""
    return np.degrees(angle_between(a, b))


def constant_tilt(found: RealArray, truth: RealArray) -> DoubleArray:
    """Compute the constant rotation T (3, 3) that best aligns ``truth @ T`` with ``found``, both (n, 3, 3).

    T is the offset between two definitions of the frontal head pose: the chordal L2 mean of ``truth^T found`` (Hartley et al.,
    Rotation Averaging, IJCV 2013).
    """
    return nearest_rotation(np.mean(np.swapaxes(truth, -1, -2) @ found, axis=0))


def angle_difference(a_deg: RealArray, b_deg: RealArray) -> DoubleArray:
    """Compute the absolute difference of angles, degrees, wrapped to 0..180."""
    return np.asarray(np.abs((np.asarray(a_deg, dtype=np.float64) - b_deg + 180) % 360 - 180))


def spread(track: RealArray) -> float:
    """Compute the standard deviation over time of landmarks (t, n, 2), in their unit; mean over landmarks."""
    return float(np.sqrt(np.var(track, axis=0).sum(axis=-1)).mean())


def jitter(track: RealArray) -> float:
    """Compute the RMS jitter of landmarks (t, n, 2): second differences over sqrt(6).

    This high-pass removes constant velocity and maps 2D white noise to its standard deviation. Frames with NaN and their
    neighbors are excluded; NaN when no three consecutive frames remain.
    """
    x = np.asarray(track, dtype=np.float64)
    second = x[2:] - 2 * x[1:-1] + x[:-2]
    squares = (second**2).sum(axis=-1)
    squares = squares[np.isfinite(squares).all(axis=-1)]
    return float(np.sqrt(squares.mean() / 6)) if len(squares) else float("nan")
