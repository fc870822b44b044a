"""Parameter space of 3DDFA and 3DDFA_V2, and its linear map to the space of this package's morphable model.

3DDFA's 62 numbers are ``[s*R | t]`` in px per micrometer about the Basel Face Model's own origin, 40 identity coefficients in units whose
standard deviations go up to 10^6, and 10 expression coefficients. Here a model is in meters, its origin is the mean of its landmarks, and a
coefficient of 1 is one standard deviation.
"""

from __future__ import annotations

import numpy as np

from tddfa_ros.types import POSE_SIZE, FloatArray

SPACE = "3ddfa_v2"
"""The name that networks and models of this space carry (`MorphableModel.parameter_space`)."""

METERS = 1e-6
"""The Basel Face Model's unit."""


def from_space(origin: FloatArray, coefficient_std: FloatArray) -> FloatArray:
    """Return the matrix (62, 62) float32 from 3DDFA's parameters (62,) to those of the model.

    Args:
        origin: (3,) the model's origin in the Basel Face Model's frame, micrometers.
        coefficient_std: (50,) standard deviations of identity and expression.

    With ``V = L u + t`` and ``u = origin + head / METERS``: the pose of the head is ``L / METERS`` and ``t + L origin``.
    """
    matrix = np.diag(np.concatenate([np.ones(POSE_SIZE), 1 / coefficient_std.astype(np.float64)]))
    for row in range(3):
        linear, offset = np.arange(3) + 4 * row, 4 * row + 3
        matrix[linear, linear] = 1 / METERS
        matrix[offset, linear] = origin
    return matrix.astype(np.float32)
