"""Unit quaternions as tuples of four Python floats, in ROS's order x, y, z, w.

A filter handles one rotation per face and frame. Plain floats take a few microseconds for it, the vectorized functions of
:mod:`tddfa_ros.geometry.rotation` about a hundred. The tests validate both against SciPy.
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
    """Compute the Hamilton product: the rotation ``b`` followed by the rotation ``a``."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def exp(vector: Sequence[float]) -> Quaternion:
    """Convert a rotation vector (3,), rad, to a quaternion."""
    x, y, z = vector
    angle = math.sqrt(x * x + y * y + z * z)
    k = math.sin(angle / 2) / angle if angle > 1e-9 else 0.5
    return (x * k, y * k, z * k, math.cos(angle / 2))


def log(q: Quaternion) -> Vector:
    """Convert a quaternion to the shorter rotation vector, rad, of length in [0, pi]."""
    x, y, z, w = q if q[3] >= 0 else (-q[0], -q[1], -q[2], -q[3])
    sine = math.sqrt(x * x + y * y + z * z)
    k = 2 * math.atan2(sine, w) / sine if sine > 1e-9 else 2.0
    return (x * k, y * k, z * k)


def between(a: Quaternion, b: Quaternion) -> Vector:
    """Compute the rotation vector from ``a`` to ``b``, in the axes of ``a``: ``b = a * exp(between(a, b))``."""
    return log(product((-a[0], -a[1], -a[2], a[3]), b))


def turned(q: Quaternion, vector: Sequence[float]) -> Quaternion:
    """Compute ``q * exp(vector)``, normalized so that rounding errors do not accumulate over a track."""
    return _unit(product(q, exp(vector)))


def from_matrix(r: Matrix) -> Quaternion:
    """Convert a rotation matrix to a quaternion by Shepperd's method (largest component first, which avoids cancellation)."""
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
    """Convert a unit quaternion to a rotation matrix."""
    x, y, z, w = q
    return (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )


def mean(rotations: Sequence[Quaternion], weights: Sequence[float]) -> Quaternion:
    """Compute the weighted chordal mean: the dominant eigenvector of the sum of w * q q^T.

    Invariant to the sign of each q, unlike an average of components (Markley et al., Averaging Quaternions, 2007, eq. 13).
    """
    q = np.asarray(rotations)
    _, vectors = np.linalg.eigh((q.T * np.asarray(weights)) @ q)
    x, y, z, w = vectors[:, -1].tolist()
    return (x, y, z, w)


def _unit(q: Quaternion) -> Quaternion:
    x, y, z, w = q
    n = 1 / math.sqrt(x * x + y * y + z * z + w * w)
    return (x * n, y * n, z * n, w * n)
