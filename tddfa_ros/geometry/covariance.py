"""Covariance of a metric head pose: landmark noise, size of the head, and an assumed focal length.

The constants are calibrated by ``benchmarks/covariance.py``.
"""

from __future__ import annotations

import math

import numpy as np

from tddfa_ros.geometry.scale import HeadScale
from tddfa_ros.types import DoubleArray, RealArray

LANDMARK_SIGMA = 0.015
"""Standard deviation of a landmark coordinate without a prediction of the network, face sizes."""

PREDICTED_FACTOR = 1.3
"""True over predicted standard deviation of the landmarks of 300W-LP's held-out faces."""

INDEPENDENT_LANDMARKS = 3.2
"""Effective number of independent points among 68 landmarks: those of a morphable model err together."""

RESIDUAL_VARIANCE = 0.5
"""Growth of the variance of the rotation with the squared residuals, variances of the landmarks. Perspective that a network for weak
perspective does not know, near the camera and at the edge of a wide lens, is in the residuals, and in the error of the rotation."""

ASSUMED_FOCAL_SIGMA = 0.25
"""Relative standard deviation of an assumed focal length: fields of view of 48 to 75 degrees for an assumed 60."""


def landmark_noise(pixels: DoubleArray, predicted: RealArray | None) -> float:
    """Return the standard deviation, px, of x and y of landmarks (n, 2), px, from that predicted by the network (n,), if any."""
    width, height = np.ptp(pixels, axis=0).tolist()
    face_size = max(math.sqrt(width * height), 1e-3)
    if predicted is None:
        return LANDMARK_SIGMA * face_size
    sigma = PREDICTED_FACTOR * math.sqrt(float(np.mean(np.square(predicted, dtype=np.float64))))
    # A prediction that is not finite or far off must not decide the covariance.
    return min(max(sigma, 0.002 * face_size), face_size) if math.isfinite(sigma) else face_size


def pose_covariance(
    jacobian: DoubleArray,
    cost: float,
    position: DoubleArray,
    scale: HeadScale,
    assumed_focal: bool,
) -> DoubleArray:
    """Compute the covariance (6, 6) of position, m, and rotation, rad, about the camera axes.

    Args:
        jacobian: (6, 2n) derivative of the residuals of n landmarks, in standard deviations, by the pose of a head of scale 1.
        cost: sum of the squared residuals.
        position: (3,) of the head at scale 1, m.
        scale: metric scale of the head.
        assumed_focal: whether the focal length is assumed.
    """
    n = jacobian.shape[1] / 2
    normal = jacobian @ jacobian.T
    try:
        spread = np.linalg.inv(normal)
    except np.linalg.LinAlgError:
        spread = np.linalg.pinv(normal, hermitian=True)
    covariance = n / INDEPENDENT_LANDMARKS * spread
    turning = math.sqrt(1 + RESIDUAL_VARIANCE * cost / (2 * n))
    grow = np.array([scale.factor] * 3 + [turning] * 3)
    covariance *= grow[:, None] * grow
    placed = scale.factor * position
    if scale.measured:  # landmark noise along the ray is in the factor too, and cancels
        ray = placed / np.linalg.norm(placed)
        across = np.eye(6)
        across[:3, :3] -= ray[:, None] * ray
        covariance = across @ covariance @ across
    along_ray = scale.sigma * placed
    covariance[:3, :3] += along_ray[:, None] * along_ray
    if assumed_focal:
        change = ASSUMED_FOCAL_SIGMA * focal_direction(placed, scale.measured)
        covariance += change[:, None] * change
    return np.asarray((covariance + covariance.T) / 2)


def focal_direction(position: DoubleArray, measured: bool = False) -> DoubleArray:
    """Derivative (6,) of the pose by the log focal length; ray and face turn toward the axis.

    With a head of known size x and y stay and z grows; with a measured distance z stays, and x and y shrink.
    """
    ray = position / np.linalg.norm(position)
    turn = [ray[2] * ray[1], -ray[2] * ray[0], 0.0]
    shift = [-position[0], -position[1], 0.0] if measured else [0.0, 0.0, position[2]]
    return np.array([*shift, *turn])
