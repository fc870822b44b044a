"""Metric scale of a head: from a prior of human sizes, a known interpupillary distance, or measured depth.

One image determines a head up to its size: a head of ``factor`` times the size at ``factor`` times the distance looks the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tddfa_ros.types import DoubleArray, RealArray

HEAD_SIZE_SIGMA = 0.12
"""Relative standard deviation of the true head size given the regressed one; the distance has the same. Networks regress nearly the same
size for everybody, so that it covers adults, whose interpupillary distances differ by 6 %, and children of 3 to 10 years, who appear 20 %
too far away."""

SPAN_SIGMA = 0.035
"""Relative standard deviation of the scale when the interpupillary distance is known: error of the regressed distance of the eyes."""

DEPTH_SIGMA = 0.01
"""Relative standard deviation of the scale by measured depth: error of the sensor, and of the regressed shape along the ray."""

MIN_DEPTH_POINTS = 20
"""Fewest points with a measured depth."""

_MIN_INLIERS = 0.4  # of the points with depth; with fewer, most of the face is covered
_OUTLIER = 3.0  # standard deviations
_MIN_SPREAD = 0.002  # relative; below it, deviations are not outliers
_MAX_SPREAD = 0.08  # relative; above it, the points do not lie on a face
_INDEPENDENT = 10.0  # independent points among those of a face


class HeadScale(NamedTuple):
    """Metric size of a head relative to the regressed one.

    Attributes:
        factor: true size over regressed size.
        sigma: relative standard deviation of ``factor``.
        measured: whether the distance was measured by a depth sensor, so that it does not depend on the focal length.
    """

    factor: float
    sigma: float
    measured: bool = False


SIZE_PRIOR = HeadScale(1.0, HEAD_SIZE_SIGMA)
"""Scale of a head of which only the regressed shape is known."""


def eye_span(landmarks: RealArray) -> float:
    """Distance of the eyes, m: between the centers of the lids of landmarks (68, 3), m."""
    points = np.asarray(landmarks, dtype=np.float64)
    return float(np.linalg.norm(points[36:42].mean(axis=0) - points[42:48].mean(axis=0)))


def scale_from_interpupillary_distance(landmarks: RealArray, distance: float) -> HeadScale:
    """Compute the scale at which the eyes of landmarks (68, 3), m, are ``distance`` m apart; that of the prior for a head without extent."""
    span = eye_span(landmarks)
    return HeadScale(distance / span, SPAN_SIGMA) if span > 1e-4 else SIZE_PRIOR


def scale_from_depth(points: RealArray, pixels: RealArray, depth: RealArray) -> HeadScale | None:
    """Fit the scale of a head to measured depth, robust against hair, hands, background and holes.

    The mode of the ratios of measured to expected depth (half-sample mode: the densest half) is refined by averaging the ratios
    within three standard deviations, estimated by the median absolute deviation.

    Args:
        points: (n, 3) visible points of the head, m, camera optical frame, at scale 1.
        pixels: (n, 2) the same points, px of the depth image.
        depth: (h, w) depth along the optical axis, m, aligned to the image; 0 or NaN = not measured.

    Returns:
        The scale; None when too few points have a depth, or they do not agree.
    """
    height, width = depth.shape
    columns, rows = np.rint(np.asarray(pixels, dtype=np.float64)).T.astype(np.int64)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    measured = np.asarray(depth[rows[inside], columns[inside]], dtype=np.float64)
    expected = np.asarray(points, dtype=np.float64)[inside, 2]
    valid = np.isfinite(measured) & (measured > 0) & (expected > 0)
    if valid.sum() < MIN_DEPTH_POINTS:
        return None
    ratios = measured[valid] / expected[valid]
    factor, inlying = _mode(ratios)
    for _ in range(5):
        spread = max(1.4826 * float(np.median(np.abs(inlying - factor))) / factor, _MIN_SPREAD)
        inlying = ratios[np.abs(ratios - factor) <= _OUTLIER * spread * factor]
        if spread > _MAX_SPREAD or len(inlying) < max(MIN_DEPTH_POINTS, _MIN_INLIERS * len(ratios)):
            return None
        factor = float(inlying.mean())
    sigma = float(np.hypot(inlying.std() / factor / np.sqrt(_INDEPENDENT), DEPTH_SIGMA))
    return HeadScale(factor, sigma, measured=True)


def _mode(values: DoubleArray) -> tuple[float, DoubleArray]:
    """Return the median of the shortest interval with half of the values (n,), and these values."""
    ordered = np.sort(values)
    half = (len(ordered) + 1) // 2
    widths = ordered[half - 1 :] - ordered[: len(ordered) - half + 1]
    start = int(np.argmin(widths))
    densest = ordered[start : start + half]
    return float(np.median(densest)), densest
