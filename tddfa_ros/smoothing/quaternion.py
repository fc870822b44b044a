"""Unit quaternions as tuples of four Python floats, in ROS's order x, y, z, w.

A filter turns one rotation per face and frame. Plain floats do that in a few microseconds, where the vectorised functions of
:mod:`tddfa_ros.geometry.rotation` spend a hundred on NumPy calls; the tests hold the two against each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

Quaternion: TypeAlias = tuple[float, float, float, float]
Vector: TypeAlias = tuple[float, float, float]
Matrix: TypeAlias = tuple[Vector, Vector, Vector]


def product(a: Quaternion, b: Quaternion) -> Quaternion:
    """Hamilton product: the rotation ``b`` followed by the rotation ``a``."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def exp(vector: Sequence[float]) -> Quaternion:
    """Rotation by ``|vector|`` radians about ``vector`` (3,)."""
    x, y, z = vector
    angle = math.sqrt(x * x + y * y + z * z)
    k = math.sin(angle / 2) / angle if angle > 1e-9 else 0.5
    return (x * k, y * k, z * k, math.cos(angle / 2))


def log(q: Quaternion) -> Vector:
    """Rotation vector of ``q``, radians, the shorter way round: length in [0, pi]."""
    x, y, z, w = q if q[3] >= 0 else (-q[0], -q[1], -q[2], -q[3])
    sine = math.sqrt(x * x + y * y + z * z)
    k = 2 * math.atan2(sine, w) / sine if sine > 1e-9 else 2.0
    return (x * k, y * k, z * k)


def between(a: Quaternion, b: Quaternion) -> Vector:
    """Rotation vector, in the axes of ``a``, that turns ``a`` into ``b``: ``b = a * exp(between(a, b))``."""
    return log(product((-a[0], -a[1], -a[2], a[3]), b))


def turned(q: Quaternion, vector: Sequence[float]) -> Quaternion:
    """``q * exp(vector)``, normalised so that rounding does not add up over a long track."""
    return _unit(product(q, exp(vector)))


def from_matrix(r: Matrix) -> Quaternion:
    """Quaternion of a rotation matrix, by Shepperd's method (the largest component first, so nothing cancels)."""
    (a, b, c), (d, e, f), (g, h, i) = r
    trace = a + e + i
    largest = max(trace, a, e, i)
    if largest == trace:
        q = (h - f, c - g, d - b, 1 + trace)
    elif largest == a:
        q = (1 + a - e - i, b + d, c + g, h - f)
    elif largest == e:
        q = (b + d, 1 + e - a - i, f + h, c - g)
    else:
        q = (c + g, f + h, 1 + i - a - e, d - b)
    return _unit(q)


def to_matrix(q: Quaternion) -> Matrix:
    """Rotation matrix of a unit quaternion."""
    x, y, z, w = q
    return (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )


def mean(rotations: Sequence[Quaternion], weights: Sequence[float]) -> Quaternion:
    """Weighted chordal mean: the largest eigenvector of the sum of w * q q^T.

    Blind to the sign of each q, unlike an average of components (Markley et al., Averaging Quaternions, 2007, eq. 13).
    """
    q = np.asarray(rotations)
    _, vectors = np.linalg.eigh((q.T * np.asarray(weights)) @ q)
    x, y, z, w = vectors[:, -1].tolist()
    return (x, y, z, w)


def _unit(q: Quaternion) -> Quaternion:
    x, y, z, w = q
    n = 1 / math.sqrt(x * x + y * y + z * z + w * w)
    return (x * n, y * n, z * n, w * n)
