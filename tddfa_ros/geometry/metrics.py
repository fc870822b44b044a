"""The arithmetic of the figures: errors of landmarks and rotations, separation of scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.geometry.rotation import angle_between, nearest_rotation
from tddfa_ros.types import DoubleArray, RealArray

INNER = 17
"""First landmark that is not on the jaw: NME51 leaves the jaw out, where 2D and 3D conventions differ."""

YAW_BINS = ("0-30", "30-60", "60-90")
"""Names of the ranges of |yaw|, degrees, that papers on AFLW2000-3D report: [0, 30], (30, 60] and beyond."""


def face_size(points: RealArray) -> DoubleArray:
    """Root of the area of the bounding box (...) of landmarks (..., n, 2 or 3), in their unit."""
    extent = np.ptp(np.asarray(points, dtype=np.float64)[..., :2], axis=-2)
    return np.asarray(np.sqrt(extent.prod(axis=-1)))


def nme(predicted: RealArray, truth: RealArray, first: int = 0) -> DoubleArray:
    """Mean distance of landmarks over sqrt(w * h) of the true box, % (n,), as papers on AFLW2000-3D compute it.

    Args:
        predicted, truth: (n, 68, 2) px.
        first: 17 for NME51; the box remains that of all 68.
    """
    distance = np.linalg.norm(np.asarray(predicted, dtype=np.float64) - truth, axis=2)
    return np.asarray(100 * distance[:, first:].mean(axis=1) / face_size(truth))


def yaw_groups(yaw_deg: RealArray) -> tuple[NDArray[np.bool_], ...]:
    """Which of n faces lie in each range of :data:`YAW_BINS`: three masks (n,)."""
    yaw = np.abs(yaw_deg)
    return yaw <= 30, (yaw > 30) & (yaw <= 60), yaw > 60


def yaw_bins(errors: RealArray, yaw_deg: RealArray) -> tuple[float, float, float]:
    """Mean of errors (n,) in each range of |yaw| (n,); NaN where a range is empty."""
    groups = yaw_groups(yaw_deg)
    low, middle, high = (float(errors[g].mean()) if g.any() else float("nan") for g in groups)
    return low, middle, high


def auc(positive: RealArray, negative: RealArray) -> float:
    """Area under the ROC curve: the chance that a positive scores higher than a negative, ties counting half.

    Mann and Whitney's U over the number of pairs. NaN when either group is empty.
    """
    if not len(positive) or not len(negative):
        return float("nan")
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left")
    not_above = np.searchsorted(ordered, positive, side="right")
    return float((below + not_above).mean() / (2 * len(ordered)))


def geodesic_deg(a: RealArray, b: RealArray) -> DoubleArray:
    """Angle (n,) of the rotation between rotations (n, 3, 3), degrees."""
    return np.degrees(angle_between(a, b))


def constant_tilt(found: RealArray, truth: RealArray) -> DoubleArray:
    """The rotation T (3, 3) of the head that makes ``truth @ T`` fit ``found`` (n, 3, 3) best.

    It is the difference between two notions of a head that looks straight ahead (chordal L2 mean of ``truth^T found``,
    Hartley et al., Rotation Averaging, IJCV 2013).
    """
    return nearest_rotation(np.mean(np.swapaxes(truth, -1, -2) @ found, axis=0))


def angle_difference(a_deg: RealArray, b_deg: RealArray) -> DoubleArray:
    """Absolute difference of angles in degrees, the short way round: 0 to 180."""
    return np.asarray(np.abs((np.asarray(a_deg, dtype=np.float64) - b_deg + 180) % 360 - 180))


def spread(track: RealArray) -> float:
    """Standard deviation of landmarks (t, n, 2) about their own means over time, in their unit; mean over landmarks."""
    return float(np.sqrt(np.var(track, axis=0).sum(axis=-1)).mean())


def jitter(track: RealArray) -> float:
    """Root mean square of what changes from frame to frame and is no steady motion, for landmarks (t, n, 2).

    Second differences over sqrt(6): a high pass that takes out constant velocity and leaves white noise its standard deviation
    (in 2D). Frames with NaN, and their neighbours, are left out; NaN when no three frames in a row are left.
    """
    x = np.asarray(track, dtype=np.float64)
    second = x[2:] - 2 * x[1:-1] + x[:-2]
    squares = (second**2).sum(axis=-1)
    squares = squares[np.isfinite(squares).all(axis=-1)]
    return float(np.sqrt(squares.mean() / 6)) if len(squares) else float("nan")
