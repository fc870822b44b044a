"""Metric head pose: the rigid pose of a head of known size in the camera optical frame.

The network regresses a weak-perspective pose. :func:`metric_fit` initializes a perspective pose from it along the viewing ray of
the face and refines it by Levenberg-Marquardt on the reprojection error of the 68 landmarks, including lens distortion.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np

from tddfa_ros.errors import CameraError
from tddfa_ros.geometry.lens import Rays, project, viewing_rays
from tddfa_ros.geometry.pose import CAMERA_FROM_CROP, FACE_FROM_MODEL, Similarity
from tddfa_ros.types import DoubleArray, FloatArray, HeadPose, Intrinsics, RealArray

SELLION = 27  # index of the face frame's origin among the 68 landmarks

LANDMARK_SIGMA = 0.024
"""Standard deviation of a regressed landmark coordinate, face sizes: an NME of 3 %, over 1.25 (mean of a 2D Gaussian's norm)."""

INDEPENDENT_LANDMARKS = 7.0
"""Effective number of independent points among 68 landmarks with correlated errors. With 7 the rotation of a frontal face
gets a standard deviation of 2.5 to 3.5 degrees, the error of such regressors on AFLW2000-3D."""

HEAD_SIZE_SIGMA = 0.06
"""Relative standard deviation of the true head size given the regressed one; the distance has the same."""

ASSUMED_FOCAL_SIGMA = 0.25
"""Relative standard deviation of an assumed focal length: fields of view of 48 to 75 degrees for an assumed 60."""

_ITERATIONS = 15
_SMALL_GAIN = (
    1e-4  # relative cost; the remaining step is about 1 % of the standard deviation of the pose
)
_MIN_POINTS = 12
_OUTSIDE_LENS = 10.0  # factor of the standard deviation of a face without viewing rays
_NEAREST = 0.02  # m; landmarks stay at least half of it in front of the camera
# A refinement beyond these limits has converged to a wrong minimum.
_MIN_COSINE = math.cos(math.radians(30))
_MAX_ZOOM = 1.5


class MetricFit(NamedTuple):
    """Metric pose of a head.

    Attributes:
        rotation: (3, 3) float64, camera <- model.
        translation: (3,) float64, m; ``x_camera = rotation @ x_model + translation``.
        head_pose: pose of the face frame, with covariance.
    """

    rotation: DoubleArray
    translation: DoubleArray
    head_pose: HeadPose


class _Estimate(NamedTuple):
    """A pose of n points, with reprojection residuals (2n,), px, and their Jacobian (6, 2n).

    The unknowns are the position, then a small rotation about the camera axes.
    """

    rotation: DoubleArray
    position: DoubleArray
    residual: DoubleArray
    jacobian: DoubleArray
    cost: float


def metric_fit(
    head_landmarks: RealArray, landmarks_image: RealArray, pose: Similarity, intrinsics: Intrinsics
) -> MetricFit:
    """Estimate the metric pose of a head in the camera optical frame.

    Args:
        head_landmarks: (68, 3) landmarks of the head, m, model frame.
        landmarks_image: (68, 2 or more) the same landmarks, image px; may lie outside the image.
        pose: weak-perspective pose in the image; only its rotation is used.
        intrinsics: intrinsics of the image.

    Returns:
        Pose of the model frame and of the face frame (origin at the sellion) in the camera optical frame. The covariance is the
        sum of landmark noise (residuals with a lower bound, propagated through J^T J), the prior of head size along the viewing
        ray, and, with an assumed field of view, the uncertainty of the focal length. When the refinement diverges, the
        weak-perspective solution is returned with a covariance from its residuals.

    Raises:
        CameraError: NaN in the landmarks or the pose, no extent, or a singular camera matrix.
    """
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
    estimate = _refine(points, rays, *_weak_perspective(points, pose.rotation, rays))
    error = math.sqrt(estimate.cost / len(pixels))
    if intrinsics.distorted:
        placed = points.T @ estimate.rotation.T + estimate.position
        distance = project(placed, intrinsics) - pixels
        error = math.sqrt(np.vdot(distance, distance) / len(pixels))
    covariance = _covariance(estimate, pixels, intrinsics.assumed)
    if outside:
        covariance *= _OUTSIDE_LENS**2
    rotation, position = estimate.rotation, estimate.position
    head_pose = HeadPose(rotation @ FACE_FROM_MODEL.T, position, covariance, error)
    return MetricFit(rotation, position - rotation @ sellion, head_pose)


def camera_points(head: FloatArray, rotation: RealArray, translation: RealArray) -> FloatArray:
    """Transform head points (..., 3), m, from the model frame to the camera optical frame, float32."""
    out: FloatArray = np.matmul(head, np.asarray(rotation, dtype=np.float32).T)
    out += np.asarray(translation, dtype=np.float32)
    return out


def _weak_perspective(
    points: DoubleArray, rotation: DoubleArray, rays: Rays
) -> tuple[DoubleArray, DoubleArray]:
    """Compute the rotation and position of points (3, n) that appear rotated by ``rotation`` along their viewing ray.

    Their projection has the size and position of the observed landmarks.
    """
    u, v = rays.uv.mean(axis=1).tolist()
    turned = _axis_to_ray(u, v) @ CAMERA_FROM_CROP @ rotation
    placed = turned @ points
    center = placed.mean(axis=1)
    off_head = placed[:2] - center[:2, None]
    off_image = rays.uv - np.array([[u], [v]])
    extent, seen = np.vdot(off_head, off_head), np.vdot(off_image, off_image)
    if not (extent > 1e-10 and seen > 1e-16):
        raise CameraError("a face whose landmarks have no extent has no metric pose")
    depth = math.sqrt(extent / seen)
    # Keep every landmark in front of the camera, however close the face is.
    depth = max(depth, float(center[2] - placed[2].min()) + _NEAREST)
    return turned, depth * np.array([u, v, 1.0]) - center


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
    """Convert changes of rays (..., 2, n) to changes in the image, px, by the derivative (2, 2, n) of the lens."""
    out = derivative[:, 0] * rays[..., 0, None, :]
    out += derivative[:, 1] * rays[..., 1, None, :]
    return np.asarray(out)


def _covariance(estimate: _Estimate, pixels: DoubleArray, assumed: bool) -> DoubleArray:
    """Compute the covariance (6, 6) of position and rotation; see :func:`metric_fit` for its terms."""
    n = len(pixels)
    width, height = np.ptp(pixels, axis=0).tolist()
    variance = estimate.cost / (2 * n) + LANDMARK_SIGMA**2 * width * height
    normal = estimate.jacobian @ estimate.jacobian.T
    try:
        spread = np.linalg.inv(normal)
    except np.linalg.LinAlgError:
        spread = np.linalg.pinv(normal, hermitian=True)
    covariance = variance * n / INDEPENDENT_LANDMARKS * spread
    along_ray = HEAD_SIZE_SIGMA * estimate.position
    covariance[:3, :3] += along_ray[:, None] * along_ray
    if assumed:
        change = ASSUMED_FOCAL_SIGMA * _focal_direction(estimate.position)
        covariance += change[:, None] * change
    return np.asarray((covariance + covariance.T) / 2)


def _focal_direction(position: DoubleArray) -> DoubleArray:
    """Derivative (6,) of the pose by the log focal length: x and y stay, z grows, ray and face turn towards the axis."""
    ray = position / np.linalg.norm(position)
    turn = [ray[2] * ray[1], -ray[2] * ray[0], 0.0]
    return np.array([0.0, 0.0, position[2], *turn])
