"""Metric pose of one face at a time, as `metric_fits` computes it for all faces at once: a reference for tests.

The algorithm is that of :mod:`tddfa_ros.geometry.camera`, written for a single face with scalars where those are possible.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np

from tddfa_ros.errors import CameraError
from tddfa_ros.geometry.camera import MetricFit
from tddfa_ros.geometry.covariance import (
    ASSUMED_FOCAL_SIGMA,
    INDEPENDENT_LANDMARKS,
    LANDMARK_SIGMA,
    PREDICTED_FACTOR,
    RESIDUAL_VARIANCE,
)
from tddfa_ros.geometry.lens import Rays, project, viewing_rays
from tddfa_ros.geometry.pose import CAMERA_FROM_CROP, FACE_FROM_MODEL, Similarity
from tddfa_ros.geometry.scale import SIZE_PRIOR, HeadScale
from tddfa_ros.types import DoubleArray, HeadPose, Intrinsics, RealArray

SELLION = 27
_ITERATIONS = 15
_SMALL_GAIN = 1e-4
_MIN_POINTS = 12
_OUTSIDE_LENS = 10.0
_NEAREST = 0.02
_MIN_COSINE = math.cos(math.radians(30))
_MAX_ZOOM = 1.5


class _Estimate(NamedTuple):
    """A pose of n points at scale 1, with reprojection residuals (2n,), standard deviations, and their Jacobian (6, 2n)."""

    rotation: DoubleArray
    position: DoubleArray
    residual: DoubleArray
    jacobian: DoubleArray
    cost: float


def single_metric_fit(
    head_landmarks: RealArray,
    landmarks_image: RealArray,
    pose: Similarity,
    intrinsics: Intrinsics,
    sigma: RealArray | None = None,
    scale: HeadScale | None = None,
) -> MetricFit:
    """Estimate the metric pose of a head in the camera optical frame."""
    head = np.asarray(head_landmarks, dtype=np.float64)
    pixels = np.asarray(landmarks_image, dtype=np.float64)[:, :2]
    if not math.isfinite(head.sum() + pixels.sum() + pose.rotation.sum()):
        raise CameraError("a face with NaN in its landmarks or pose has no metric pose")
    # With the sellion as origin, the covariance of the unknowns is that of the head pose message.
    sellion = head[SELLION].copy()
    points = (head - sellion).T
    rays = viewing_rays(pixels, intrinsics)
    outside = rays.kept.sum() < _MIN_POINTS
    if outside:  # without distortion, and uncertain, rather than without a pose
        rays = viewing_rays(
            pixels, replace(intrinsics, d=np.zeros(0), distortion_model="plumb_bob")
        )
    points, pixels = points[:, rays.kept], pixels[rays.kept]
    noise = landmark_noise(pixels, None if sigma is None else np.asarray(sigma)[rays.kept])
    rays = rays._replace(derivative=rays.derivative / noise)
    estimate = _refine(points, rays, *_weak_perspective(points, pose.rotation, rays))
    rotation, position = estimate.rotation, estimate.position
    if intrinsics.distorted and not outside:
        distance = project(points.T @ rotation.T + position, intrinsics) - pixels
    else:
        distance = estimate.residual.reshape(2, -1) * noise
    error = math.sqrt(np.vdot(distance, distance) / len(pixels))
    scale = SIZE_PRIOR if scale is None else scale
    covariance = pose_covariance(
        estimate.jacobian, estimate.cost, position, scale, intrinsics.assumed
    )
    if outside:
        covariance *= _OUTSIDE_LENS**2
    position = scale.factor * position
    head_pose = HeadPose(rotation @ FACE_FROM_MODEL.T, position, covariance, error)
    translation = position - scale.factor * (rotation @ sellion)
    return MetricFit(rotation, translation, head_pose, scale.factor)


def _weak_perspective(
    points: DoubleArray, rotation: DoubleArray, rays: Rays
) -> tuple[DoubleArray, DoubleArray]:
    """Compute the rotation and position of points (3, n) that appear rotated by ``rotation`` along their viewing ray."""
    directions = np.concatenate([rays.uv, np.ones((1, rays.uv.shape[1]))])
    directions /= np.linalg.norm(directions, axis=0)
    x, y, z = directions.mean(axis=1).tolist()
    to_ray = _axis_to_ray(x / z, y / z)
    # Seen by a camera that looks at the face: in the image plane itself, a face far off axis is stretched.
    seen = to_ray.T @ directions
    uv = seen[:2] / seen[2]
    turned = CAMERA_FROM_CROP @ rotation
    placed = turned @ points
    center = placed.mean(axis=1)
    middle = uv.mean(axis=1)
    off_head = placed[:2] - center[:2, None]
    off_image = uv - middle[:, None]
    extent, size = np.vdot(off_head, off_head), np.vdot(off_image, off_image)
    if not (extent > 1e-10 and size > 1e-16):
        raise CameraError("a face whose landmarks have no extent has no metric pose")
    depth = math.sqrt(extent / size)
    # Keep every landmark in front of the camera, however close the face is.
    depth = max(depth, float(center[2] - placed[2].min()) + _NEAREST)
    position = to_ray @ (depth * np.array([*middle, 1.0]) - center)
    turned = to_ray @ turned
    behind = _NEAREST - position[2] - float((turned @ points)[2].min())
    if (
        behind > 0
    ):  # beside the camera: further along the ray, where its plane of depth 1 sees all landmarks
        position = position + behind / to_ray[2, 2] * to_ray[:, 2]
    return turned, position


def _axis_to_ray(u: float, v: float) -> DoubleArray:
    """Compute the smallest rotation from the optical axis to the ray (u, v, 1)."""
    length = math.sqrt(u * u + v * v + 1)
    x, y, z = u / length, v / length, 1 / length
    a = 1 / (1 + z)  # Rodrigues' formula for the rotation between two unit vectors
    return np.array([[1 - a * x * x, -a * x * y, x], [-a * x * y, 1 - a * y * y, y], [-x, -y, z]])


def _refine(
    points: DoubleArray, rays: Rays, rotation: DoubleArray, position: DoubleArray
) -> _Estimate:
    """Minimize the reprojection error by Levenberg-Marquardt; return the start when the result is implausible."""
    start = best = _linearize(points, rays, rotation, position)
    damping, settled = 1e-4, 1e-8 * points.shape[1]
    for _ in range(_ITERATIONS):
        normal = best.jacobian @ best.jacobian.T
        normal.flat[::7] *= 1 + damping
        downhill = -(best.jacobian @ best.residual)
        try:
            step = np.linalg.solve(normal, downhill)
        except np.linalg.LinAlgError:
            break
        predicted_gain = step @ downhill
        if not predicted_gain > _SMALL_GAIN * best.cost + settled:
            break
        turn, _ = cv2.Rodrigues(step[3:])
        trial = _linearize(points, rays, turn @ best.rotation, best.position + step[:3])
        if trial.cost < best.cost:
            best, damping = trial, damping * 0.1
        else:
            damping = max(damping, 1e-3) * 10
    return best if _plausible(start, best) else start


def _plausible(start: _Estimate, end: _Estimate) -> bool:
    cosine = (np.vdot(start.rotation, end.rotation) - 1) / 2
    zoom = end.position[2] / start.position[2]
    return bool(cosine > _MIN_COSINE and 1 / _MAX_ZOOM < zoom < _MAX_ZOOM)


def _linearize(
    points: DoubleArray, rays: Rays, rotation: DoubleArray, position: DoubleArray
) -> _Estimate:
    """Project points (3, n) and differentiate: ``d(turned) = rotation x turned``, ``du = (dx - u dz) / z``."""
    turned = rotation @ points
    qx, qy, qz = turned
    depth = qz + position[2]
    uv = (turned[:2] + position[:2, None]) / depth
    by_shift = 1 / depth
    by_depth = -uv * by_shift
    jacobian = np.zeros((6, 2, points.shape[1]))
    jacobian[0, 0], jacobian[1, 1], jacobian[2] = by_shift, by_shift, by_depth
    np.multiply(by_depth, qy, out=jacobian[3])
    np.multiply(by_depth, -qx, out=jacobian[4])
    jacobian[3, 1] -= by_shift * qz
    jacobian[4, 0] += by_shift * qz
    np.multiply(by_shift, -qy, out=jacobian[5, 0])
    np.multiply(by_shift, qx, out=jacobian[5, 1])
    residual = _to_image(uv - rays.uv, rays.derivative).ravel()
    jacobian = _to_image(jacobian, rays.derivative)
    # Reject poses that reach behind the camera.
    cost = float(residual @ residual) if depth.min() > _NEAREST / 2 else math.inf
    return _Estimate(rotation, position, residual, jacobian.reshape(6, -1), cost)


def _to_image(rays: DoubleArray, derivative: DoubleArray) -> DoubleArray:
    """Convert changes of rays (..., 2, n) to changes in the image by the derivative (2, 2, n) of the lens."""
    out = derivative[:, 0] * rays[..., 0, None, :]
    out += derivative[:, 1] * rays[..., 1, None, :]
    return np.asarray(out)


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
    """Compute the covariance (6, 6) of position, m, and rotation, rad, about the camera axes."""
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
    """Derivative (6,) of the pose by the log focal length; ray and face turn toward the axis."""
    ray = position / np.linalg.norm(position)
    turn = [ray[2] * ray[1], -ray[2] * ray[0], 0.0]
    shift = [-position[0], -position[1], 0.0] if measured else [0.0, 0.0, position[2]]
    return np.array([*shift, *turn])
