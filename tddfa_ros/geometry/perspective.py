"""Perspective poses of many point sets at once, by Levenberg-Marquardt on the reprojection error.

All arrays have the number n of faces as first axis: one pass over a handful of 68 landmarks costs NumPy as much as one over twenty.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.geometry.pose import CAMERA_FROM_CROP
from tddfa_ros.types import DoubleArray

_ITERATIONS = 15
_SMALL_GAIN = (
    1e-4  # relative cost; the remaining step is about 1 % of the standard deviation of the pose
)
_NEAREST = 0.02  # m; landmarks stay at least half of it in front of the camera
# A refinement beyond these limits has converged to a wrong minimum.
_MIN_COSINE = math.cos(math.radians(30))
_MAX_LOG_ZOOM = math.log(1.5)
_EYE2, _ONES9 = np.eye(2), np.ones(9)


class Observation(NamedTuple):
    """What n cameras see of L points each.

    Attributes:
        points: (n, 3, L) points of a rigid body, m.
        uv: (n, 2, L) their observed normalized image coordinates (depth 1).
        derivative: (n, 2, 2, L) or (n, 2, 2, 1) derivative of the pixel by ``uv``, standard deviations of a landmark.
    """

    points: DoubleArray
    uv: DoubleArray
    derivative: DoubleArray

    def of(self, chosen: NDArray[Any]) -> Observation:
        """Return the observation of some of the faces."""
        return type(self)(*(values[chosen] for values in self))


class Estimate(NamedTuple):
    """Poses of the points, with reprojection residuals, standard deviations, and their Jacobian.

    The unknowns are the position, then a small rotation about the camera axes.

    Attributes:
        rotation: (n, 3, 3) camera <- body.
        position: (n, 3), m.
        residual: (n, 2L).
        jacobian: (n, 6, 2L).
        cost: (n,) sum of the squared residuals; infinite for a pose that reaches behind the camera.
    """

    rotation: DoubleArray
    position: DoubleArray
    residual: DoubleArray
    jacobian: DoubleArray
    cost: DoubleArray

    def of(self, chosen: NDArray[Any]) -> Estimate:
        """Return the estimate of some of the faces."""
        return type(self)(*(values[chosen] for values in self))

    def updated(self, at: NDArray[np.intp], other: Estimate) -> Estimate:
        """Return the estimate with the faces ``at`` replaced by those of another estimate."""
        values = [array.copy() for array in self]
        for mine, theirs in zip(values, other, strict=True):
            mine[at] = theirs
        return Estimate(*values)


def weak_perspective(
    observed: Observation, rotation: DoubleArray
) -> tuple[DoubleArray, DoubleArray, NDArray[np.bool_]]:
    """Compute the poses of points that appear rotated by ``rotation`` (n, 3, 3), crop frame <- body, along their viewing ray.

    Their projection has the size and position of the observed points.

    Returns:
        Rotation (n, 3, 3) camera <- body, position (n, 3), and whether the points and their images have an extent (n,).
    """
    points, uv = observed.points, observed.uv
    mean = np.full((points.shape[2], 1), 1 / points.shape[2])  # a product is faster than `mean`
    shrink = 1 / np.sqrt(1 + np.einsum("nxl,nxl->nl", uv, uv))[:, :, None]
    to_ray = _axis_to_ray((uv @ shrink)[:, :, 0] / np.add.reduce(shrink, axis=1))
    # Seen by a camera that looks at the face: in the image plane itself, a face far off axis is stretched.
    seen = to_ray[:, :2].swapaxes(1, 2) @ uv + to_ray[:, 2, :, None]
    seen = seen[:, :2] / seen[:, 2:]
    turned = CAMERA_FROM_CROP @ rotation
    placed = turned @ points
    center, middle = placed @ mean, seen @ mean
    off_head = placed[:, :2] - center[:, :2]
    off_image = seen - middle
    extent, size = (np.einsum("nxl,nxl->n", off, off) for off in (off_head, off_image))
    usable = (extent > 1e-10) & (size > 1e-16)
    depth = np.sqrt(extent / np.where(usable, size, 1.0))
    # Keep every landmark in front of the camera, however close the face is.
    nearest = np.minimum.reduce(placed[:, 2], axis=1)
    depth = np.maximum(depth, center[:, 2, 0] - nearest + _NEAREST)
    center[:, :2] -= depth[:, None, None] * middle
    center[:, 2, 0] -= depth
    position = -(to_ray @ center)[:, :, 0]
    turned = to_ray @ turned
    nearest = np.minimum.reduce((turned[:, 2:] @ points)[:, 0], axis=1)
    behind = _NEAREST - position[:, 2] - nearest
    if (behind > 0).any():
        # Beside the camera: further along the ray, where its plane of depth 1 sees all landmarks.
        further = np.maximum(behind, 0.0) / to_ray[:, 2, 2]
        position = position + further[:, None] * to_ray[:, :, 2]
    return turned, position, usable


def refine(observed: Observation, rotation: DoubleArray, position: DoubleArray) -> Estimate:
    """Minimize the reprojection errors; a face keeps its start where the result is implausible."""
    start = best = _linearize(observed, rotation, position)
    count, settled = len(rotation), 1e-8 * observed.points.shape[2]
    active, damping = np.arange(count), np.full(count, 1e-4)
    for _ in range(_ITERATIONS):
        now = best if len(active) == count else best.of(active)
        normal = now.jacobian @ now.jacobian.swapaxes(1, 2)
        normal.reshape(-1, 36)[:, ::7] *= 1 + damping[:, None]
        downhill = now.jacobian @ -now.residual[:, :, None]
        step = _solve(normal, downhill)
        gain = (downhill.swapaxes(1, 2) @ step)[:, 0, 0]
        going = gain > _SMALL_GAIN * now.cost + settled
        left = np.count_nonzero(going)
        if not left:
            break
        if left < len(active):
            active, damping, step, now = active[going], damping[going], step[going], now.of(going)
        trial = _linearize(
            observed if left == count else observed.of(active),
            _rotations(step[:, 3:]) @ now.rotation,
            now.position + step[:, :3, 0],
        )
        better = trial.cost < now.cost
        if np.count_nonzero(better) == left:
            best = trial if left == count else best.updated(active, trial)
            damping *= 0.1
        else:
            best = best.updated(active[better], trial.of(better))
            damping = np.where(better, 0.1 * damping, 10 * np.maximum(damping, 1e-3))
    wrong = np.flatnonzero(~_plausible(start, best))
    return best.updated(wrong, start.of(wrong)) if len(wrong) else best


def _rotations(vectors: DoubleArray) -> DoubleArray:
    """Convert rotation vectors (n, 3, 1), rad, to rotations (n, 3, 3)."""
    return np.array([cv2.Rodrigues(vector)[0] for vector in vectors])


def _axis_to_ray(uv: DoubleArray) -> DoubleArray:
    """Compute the smallest rotations (n, 3, 3) from the optical axis to the rays of ``uv`` (n, 2)."""
    z = 1 / np.sqrt(1 + np.einsum("nx,nx->n", uv, uv))[:, None]
    xy = uv * z
    out = np.empty((len(uv), 3, 3))
    # Rodrigues' formula for the rotation between two unit vectors.
    out[:, :2, :2] = _EYE2 - (xy / (1 + z))[:, :, None] * xy[:, None]
    out[:, :2, 2], out[:, 2, :2], out[:, 2, 2:] = xy, -xy, z
    return out


def _plausible(start: Estimate, end: Estimate) -> NDArray[np.bool_]:
    trace = (start.rotation * end.rotation).reshape(-1, 9) @ _ONES9
    zoom = np.abs(np.log(end.position[:, 2] / start.position[:, 2]))
    return (trace > 1 + 2 * _MIN_COSINE) & (zoom < _MAX_LOG_ZOOM)


def _solve(normal: DoubleArray, right: DoubleArray) -> DoubleArray:
    """Solve the systems (n, 6, 6) for (n, 6, 1); NaN where one is singular."""
    try:
        return np.asarray(np.linalg.solve(normal, right))
    except np.linalg.LinAlgError:
        if len(normal) == 1:
            return np.full_like(right, np.nan)
    return np.concatenate([_solve(a[None], b[None]) for a, b in zip(normal, right, strict=True)])


def _linearize(observed: Observation, rotation: DoubleArray, position: DoubleArray) -> Estimate:
    """Project the points and differentiate: ``d(turned) = rotation x turned``, ``du = (dx - u dz) / z``."""
    turned = rotation @ observed.points
    count, _, landmarks = turned.shape
    depth = turned[:, 2] + position[:, 2, None]
    uv = (turned[:, :2] + position[:, :2, None]) / depth[:, None]
    lens = observed.derivative
    off = uv - observed.uv
    residual = (lens[:, :, 0] * off[:, None, 0] + lens[:, :, 1] * off[:, None, 1]).reshape(
        count, -1
    )
    # Derivative of both image coordinates by a shift (n, 3, 2, L) of a point, then by a rotation: shift x turned.
    jacobian = np.empty((count, 6, 2, landmarks))
    by_x, by_y, by_z = jacobian[:, 0], jacobian[:, 1], jacobian[:, 2]
    shrunk = lens / depth[:, None, None]
    by_x[...], by_y[...] = shrunk[:, :, 0], shrunk[:, :, 1]
    np.multiply(by_x, -uv[:, None, 0], out=by_z)
    by_z -= by_y * uv[:, None, 1]
    x, y, z = turned[:, None, 0], turned[:, None, 1], turned[:, None, 2]
    np.subtract(y * by_z, z * by_y, out=jacobian[:, 3])
    np.subtract(z * by_x, x * by_z, out=jacobian[:, 4])
    np.subtract(x * by_y, y * by_x, out=jacobian[:, 5])
    # Reject poses that reach behind the camera.
    in_front = np.minimum.reduce(depth, axis=1) > _NEAREST / 2
    cost = np.where(in_front, np.einsum("nr,nr->n", residual, residual), math.inf)
    return Estimate(rotation, position, residual, jacobian.reshape(count, 6, -1), cost)
