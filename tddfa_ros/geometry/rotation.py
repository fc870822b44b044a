"""SO(3) functions, vectorized over leading axes.

Own closed forms instead of ``scipy.spatial.transform``, which is slow to import and to call per face. The tests validate them
against SciPy.
"""

from __future__ import annotations

import numpy as np

from tddfa_ros.types import DoubleArray, RealArray


def nearest_rotation(matrix: RealArray) -> DoubleArray:
    """Compute the rotation (..., 3, 3) closest to ``matrix`` (..., 3, 3) in the Frobenius norm (orthogonal Procrustes)."""
    u, _, vt = np.linalg.svd(np.asarray(matrix, dtype=np.float64))
    vt[..., 2, :] *= np.sign(np.linalg.det(u @ vt))[..., None]
    return np.asarray(u @ vt)


def quaternion(rotation: RealArray) -> DoubleArray:
    """Convert a rotation (..., 3, 3) to a unit quaternion (..., 4), x, y, z, w with w >= 0, by Shepperd's method."""
    r = np.asarray(rotation, dtype=np.float64)
    d = np.stack([r[..., 0, 0], r[..., 1, 1], r[..., 2, 2]], axis=-1)
    trace = d.sum(axis=-1, keepdims=True)
    # Row k holds 4 * q_k * (x, y, z, w).
    outer = np.empty((*r.shape[:-2], 4, 4))
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        outer[..., i, i] = 1 + 2 * d[..., i] - trace[..., 0]
        outer[..., i, j] = outer[..., j, i] = r[..., j, i] + r[..., i, j]
        outer[..., i, 3] = outer[..., 3, i] = r[..., k, j] - r[..., j, k]
    outer[..., 3, 3] = 1 + trace[..., 0]
    best = np.argmax(np.diagonal(outer, axis1=-2, axis2=-1), axis=-1)
    q = np.take_along_axis(outer, best[..., None, None], axis=-2)[..., 0, :]
    q /= np.linalg.norm(q, axis=-1, keepdims=True)
    return np.where(q[..., 3:] < 0, -q, q)


def rotation_from_quaternion(q: RealArray) -> DoubleArray:
    """Convert a quaternion (..., 4), x, y, z, w, not necessarily normalized, to a rotation (..., 3, 3)."""
    q = np.asarray(q, dtype=np.float64)
    x, y, z, w = np.moveaxis(q / np.linalg.norm(q, axis=-1, keepdims=True), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def exp(vector: RealArray) -> DoubleArray:
    """Convert a rotation vector (..., 3), rad, to a rotation (..., 3, 3)."""
    v = np.asarray(vector, dtype=np.float64)
    half = np.linalg.norm(v, axis=-1, keepdims=True) / 2
    # numpy's sinc(x) is sin(pi x)/(pi x), so this is sin(half)/(2 half) without a division by zero.
    xyz = v * np.sinc(half / np.pi) / 2
    return rotation_from_quaternion(np.concatenate([xyz, np.cos(half)], axis=-1))


def log(rotation: RealArray) -> DoubleArray:
    """Convert a rotation to a rotation vector (..., 3), rad, of length in [0, pi]; the inverse of :func:`exp`, stable at 0 and pi."""
    q = quaternion(rotation)
    sine = np.linalg.norm(q[..., :3], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, q[..., 3:])
    factor = np.where(sine > 1e-12, angle / np.where(sine > 1e-12, sine, 1.0), 2.0)
    return np.asarray(q[..., :3] * factor)


def angle_between(a: RealArray, b: RealArray) -> DoubleArray:
    """Compute the angle (...), rad, of the rotation from ``a`` to ``b``, both (..., 3, 3)."""
    return np.asarray(np.linalg.norm(log(np.asarray(b) @ np.swapaxes(a, -1, -2)), axis=-1))
