"""Covariance of metric head poses: landmark noise, size of the head, and an assumed focal length.

The constants are calibrated by ``benchmarks/covariance.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.geometry.scale import HeadScale
from tddfa_ros.types import DoubleArray

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


def landmark_noise(pixels: DoubleArray, predicted: DoubleArray | None) -> DoubleArray:
    """Return the standard deviations (n,), px, of x and y of the landmarks (n, L, 2), px, of n faces.

    Args:
        pixels: the landmarks.
        predicted: (n, L) standard deviations predicted by the network, px; None = LANDMARK_SIGMA.
    """
    sides = np.maximum.reduce(pixels, axis=1) - np.minimum.reduce(pixels, axis=1)
    face_size = np.maximum(np.sqrt(sides[:, 0] * sides[:, 1]), 1e-3)
    if predicted is None:
        return LANDMARK_SIGMA * face_size
    squares = np.einsum("nl,nl->n", predicted, predicted)
    sigma = PREDICTED_FACTOR * np.sqrt(squares / predicted.shape[1])
    # A prediction that is not finite or far off must not decide the covariance.
    limited = np.minimum(np.maximum(sigma, 0.002 * face_size), face_size)
    return np.where(np.isfinite(sigma), limited, face_size)


def pose_covariance(
    jacobian: DoubleArray,
    cost: DoubleArray,
    position: DoubleArray,
    scales: Sequence[HeadScale],
    assumed_focal: bool,
) -> DoubleArray:
    """Compute the covariances (n, 6, 6) of position, m, and rotation, rad, about the camera axes.

    Args:
        jacobian: (n, 6, 2L) derivative of the residuals of L landmarks, in standard deviations, by the pose of a head of scale 1.
        cost: (n,) sum of the squared residuals.
        position: (n, 3) of the head at scale 1, m.
        scales: metric scales of the n heads.
        assumed_focal: whether the focal length is assumed.
    """
    count = jacobian.shape[2] / 2
    factor = np.array([scale.factor for scale in scales])[:, None]
    measured = np.array([scale.measured for scale in scales])
    covariance = _inverse(jacobian @ jacobian.swapaxes(1, 2))
    grow = np.empty((len(cost), 6))
    grow[:, :3] = factor
    grow[:, 3:] = np.sqrt(1 + RESIDUAL_VARIANCE / (2 * count) * cost)[:, None]
    grow *= math.sqrt(count / INDEPENDENT_LANDMARKS)
    covariance *= grow[:, :, None] * grow[:, None, :]
    placed = factor * position
    if measured.any():  # landmark noise along the ray is in the factor too, and cancels
        ray = placed / np.linalg.norm(placed, axis=1, keepdims=True)
        across = np.tile(np.eye(6), (len(cost), 1, 1))
        across[:, :3, :3] -= measured[:, None, None] * ray[:, :, None] * ray[:, None, :]
        covariance = across @ covariance @ across
    along_ray = np.array([scale.sigma for scale in scales])[:, None] * placed
    covariance[:, :3, :3] += along_ray[:, :, None] * along_ray[:, None, :]
    if assumed_focal:
        change = ASSUMED_FOCAL_SIGMA * focal_direction(placed, measured)
        covariance += change[:, :, None] * change[:, None, :]
    return np.asarray((covariance + covariance.swapaxes(1, 2)) / 2)


def focal_direction(position: DoubleArray, measured: NDArray[np.bool_]) -> DoubleArray:
    """Derivatives (n, 6) of the poses at ``position`` (n, 3) by the log focal length; ray and face turn toward the axis.

    With a head of known size x and y stay and z grows; with a ``measured`` (n,) distance z stays, and x and y shrink.
    """
    out = np.zeros((len(position), 6))
    out[:, :2] = -position[:, :2] * measured[:, None]
    out[:, 2] = position[:, 2] * ~measured
    turn = position[:, 2] / np.einsum("nx,nx->n", position, position)
    out[:, 3], out[:, 4] = turn * position[:, 1], -turn * position[:, 0]
    return out


def _inverse(normal: DoubleArray) -> DoubleArray:
    """Invert matrices (n, 6, 6); pseudo-inverses where one is singular."""
    try:
        return np.asarray(np.linalg.inv(normal))
    except np.linalg.LinAlgError:
        if len(normal) == 1:
            return np.asarray(np.linalg.pinv(normal, hermitian=True))
    return np.concatenate([_inverse(matrix[None]) for matrix in normal])
