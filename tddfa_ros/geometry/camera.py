"""Metric head pose: the rigid pose of a head of known size in the camera optical frame.

The network regresses a weak-perspective pose. :func:`metric_fits` initializes a perspective pose from it along the viewing ray of
the face and refines it by Levenberg-Marquardt on the reprojection error of the 68 landmarks, including lens distortion. All faces
of an image are fitted at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import CameraError
from tddfa_ros.geometry.affine import transform
from tddfa_ros.geometry.covariance import landmark_noise, pose_covariance
from tddfa_ros.geometry.lens import Rays, project, viewing_rays
from tddfa_ros.geometry.perspective import Observation, refine, weak_perspective
from tddfa_ros.geometry.pose import FACE_FROM_MODEL, Similarity
from tddfa_ros.geometry.scale import SIZE_PRIOR, HeadScale
from tddfa_ros.types import DoubleArray, FloatArray, HeadPose, Intrinsics, RealArray

SELLION = 27  # index of the face frame's origin among the 68 landmarks

_MIN_POINTS = 12
_OUTSIDE_LENS = 10.0  # factor of the standard deviation of a face without viewing rays
_NAN = "a face with NaN in its landmarks or pose has no metric pose"
_NO_EXTENT = "a face whose landmarks have no extent has no metric pose"


class MetricFit(NamedTuple):
    """Metric pose of a head.

    Attributes:
        rotation: (3, 3) float64, camera <- model.
        translation: (3,) float64, m; ``x_camera = scale * rotation @ x_model + translation``.
        head_pose: pose of the face frame, with covariance.
        scale: size of the head relative to the model's.
    """

    rotation: DoubleArray
    translation: DoubleArray
    head_pose: HeadPose
    scale: float


class _Faces(NamedTuple):
    """Arguments of :func:`metric_fits` with n as first axis, float64; ``sigma`` may be None."""

    heads: DoubleArray
    pixels: DoubleArray
    rotations: DoubleArray
    sigma: DoubleArray | None
    scales: Sequence[HeadScale]

    def of(self, chosen: NDArray[np.intp]) -> _Faces:
        return _Faces(
            self.heads[chosen],
            self.pixels[chosen],
            self.rotations[chosen],
            None if self.sigma is None else self.sigma[chosen],
            [self.scales[i] for i in chosen],
        )


def metric_fit(
    head_landmarks: RealArray,
    landmarks_image: RealArray,
    pose: Similarity,
    intrinsics: Intrinsics,
    sigma: RealArray | None = None,
    scale: HeadScale | None = None,
) -> MetricFit:
    """Estimate the metric pose of one head: :func:`metric_fits` without its first axis.

    Args:
        head_landmarks: (68, 3) landmarks of the head, m, model frame.
        landmarks_image: (68, 2 or more) the same landmarks, image px; may lie outside the image.
        pose: weak-perspective pose in the image; only its rotation is used.
        intrinsics: intrinsics of the image.
        sigma: (68,) standard deviation of x and y of each landmark, px.
        scale: metric scale of the head.

    Raises:
        CameraError: NaN in the landmarks or the pose, no extent, or a singular camera matrix.
    """
    fit = metric_fits(
        np.asarray(head_landmarks)[None],
        np.asarray(landmarks_image)[None],
        pose.rotation[None],
        intrinsics,
        None if sigma is None else np.asarray(sigma)[None],
        [scale],
    )[0]
    if isinstance(fit, CameraError):
        raise fit
    return fit


def metric_fits(
    head_landmarks: RealArray,
    landmarks_image: RealArray,
    rotations: RealArray,
    intrinsics: Intrinsics,
    sigma: RealArray | None = None,
    scales: Sequence[HeadScale | None] | None = None,
) -> list[MetricFit | CameraError]:
    """Estimate the metric poses of the n heads of one image in the camera optical frame.

    Args:
        head_landmarks: (n, 68, 3) landmarks of the heads, m, model frame.
        landmarks_image: (n, 68, 2 or more) the same landmarks, image px; may lie outside the image.
        rotations: (n, 3, 3) weak-perspective rotations, crop frame (y up) <- model.
        intrinsics: intrinsics of the image.
        sigma: (n, 68) standard deviation of x and y of each landmark, px, as the network predicts it; None = LANDMARK_SIGMA.
        scales: metric scales of the heads; None = the prior of human sizes.

    Returns:
        Per head the pose of the model frame and of the face frame (origin at the sellion) in the camera optical frame; the error of a
        head with NaN in its landmarks or pose, or without extent. The covariance is the sum of landmark noise (propagated through J^T J;
        that of the rotation is raised by the residuals), the uncertainty of the scale along the viewing ray, and, with an assumed
        field of view, that of the focal length. When the refinement diverges, the weak-perspective solution is returned with a
        covariance from its residuals.

    Raises:
        CameraError: a singular camera matrix.
    """
    faces = _Faces(
        np.asarray(head_landmarks, dtype=np.float64),
        np.asarray(landmarks_image, dtype=np.float64)[:, :, :2],
        np.asarray(rotations, dtype=np.float64),
        None if sigma is None else np.asarray(sigma, dtype=np.float64),
        [scale or SIZE_PRIOR for scale in scales or [None] * len(head_landmarks)],
    )
    if not len(faces.heads):
        return []
    arrays = (faces.heads, faces.pixels, faces.rotations)
    if not np.isfinite(sum(float(np.add.reduce(values, axis=None)) for values in arrays)):
        finite = [all(np.isfinite(v).all() for v in face) for face in zip(*arrays, strict=True)]
        return _fit_chosen(faces, np.array(finite), CameraError(_NAN), intrinsics)
    return _fit_finite(faces, intrinsics)


def _fit_finite(faces: _Faces, intrinsics: Intrinsics) -> list[MetricFit | CameraError]:
    """Fit faces without NaN."""
    rays = viewing_rays(faces.pixels.reshape(-1, 2), intrinsics)
    if rays.kept.all():
        return _fit_group(faces, intrinsics, rays)
    # A face with landmarks that have no ray is fitted by itself.
    whole = np.asarray(rays.kept.reshape(len(faces.heads), -1).all(axis=1))
    fits = _fit_chosen(faces, whole, CameraError(_NAN), intrinsics)
    for i in np.flatnonzero(~whole):
        fits[i] = _fit_group(faces.of(np.array([i])), intrinsics)[0]
    return fits


def _fit_chosen(
    faces: _Faces, chosen: NDArray[np.bool_], other: CameraError, intrinsics: Intrinsics
) -> list[MetricFit | CameraError]:
    """Fit the ``chosen`` (n,) faces; the result of the others is an error."""
    fits: list[MetricFit | CameraError] = [other] * len(chosen)
    indices = np.flatnonzero(chosen)
    if len(indices):
        for i, fit in zip(indices, _fit_finite(faces.of(indices), intrinsics), strict=True):
            fits[i] = fit
    return fits


def _fit_group(
    faces: _Faces, intrinsics: Intrinsics, rays: Rays | None = None
) -> list[MetricFit | CameraError]:
    """Fit faces whose landmarks all have viewing ``rays``, or a single face."""
    # With the sellion as origin, the covariance of the unknowns is that of the head pose message.
    sellion = faces.heads[:, SELLION]
    points = (faces.heads - sellion[:, None]).swapaxes(1, 2)
    if rays is None:
        rays = viewing_rays(faces.pixels.reshape(-1, 2), intrinsics)
    outside = rays.kept.sum() < _MIN_POINTS
    if outside:  # without distortion, and uncertain, rather than without a pose
        pinhole = replace(intrinsics, d=np.zeros(0), distortion_model="plumb_bob")
        rays = viewing_rays(faces.pixels.reshape(-1, 2), pinhole)
    pixels, sigma = faces.pixels, faces.sigma
    if not rays.kept.all():
        points, pixels = points[:, :, rays.kept], pixels[:, rays.kept]
        sigma = None if sigma is None else sigma[:, rays.kept]
    shape = len(pixels), pixels.shape[1]
    noise = landmark_noise(pixels, sigma)
    uv = rays.uv.reshape(2, *shape).swapaxes(0, 1)
    derivative = np.moveaxis(rays.derivative.reshape(2, 2, *shape), 2, 0)
    observed = Observation(points, uv, derivative / noise[:, None, None, None])
    turned, position, extended = weak_perspective(observed, faces.rotations)
    if not extended.all():
        return _fit_chosen(faces, extended, CameraError(_NO_EXTENT), intrinsics)
    estimate = refine(observed, turned, position)
    rotation, position = estimate.rotation, estimate.position
    if intrinsics.distorted and not outside:
        placed = points.swapaxes(1, 2) @ rotation.swapaxes(1, 2) + position[:, None]
        distance = project(placed.reshape(-1, 3), intrinsics).reshape(pixels.shape) - pixels
        squares = np.einsum("nlx,nlx->n", distance, distance)
    else:
        squares = np.einsum("nr,nr->n", estimate.residual, estimate.residual) * noise**2
    errors = np.sqrt(squares / shape[1])
    covariance = pose_covariance(
        estimate.jacobian, estimate.cost, position, faces.scales, intrinsics.assumed
    )
    if outside:
        covariance *= _OUTSIDE_LENS**2
    factors = np.array([scale.factor for scale in faces.scales])[:, None]
    position = factors * position
    translation = position - factors * (rotation @ sellion[:, :, None])[:, :, 0]
    of_face = rotation @ FACE_FROM_MODEL.T
    return [
        MetricFit(
            rotation[i],
            translation[i],
            HeadPose(of_face[i], position[i], covariance[i], float(errors[i])),
            faces.scales[i].factor,
        )
        for i in range(len(points))
    ]


def camera_points(head: FloatArray, fit: MetricFit) -> FloatArray:
    """Transform head points (..., 3), m, from the model frame to the camera optical frame, float32."""
    return transform(head, fit.scale * fit.rotation, fit.translation)
