"""Fit the morphable model to the landmarks of an image: iBUG-68, MediaPipe's 478, or both.

The fit (:mod:`tddfa_ros.fitting.fit`) needs an initial depth. For points without depth it is that of the mean head under the best weak perspective,
then that of the first fit, with a large standard deviation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tddfa_ros.fitting.collection_fit import MEDIAPIPE_POINTS, point_basis
from tddfa_ros.fitting.fit import Fit, PointBasis, Targets, batches, fit
from tddfa_ros.geometry.pose import (
    crop_pose,
    crop_to_image,
    decompose,
    image_pose,
    image_to_crop,
    yaw_pitch_roll,
)
from tddfa_ros.geometry.roi import roi_from_landmarks
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.data.landmarks import FaceLandmarks
from tddfa_ros.types import CROP_FRAME, POSE_SIZE, DoubleArray, FloatArray

JAW = slice(0, 17)
_ITERATIONS = (4, 6)  # of the first and of the second fit
_LOOSE_DEPTH = (
    8.0,
    300.0,
)  # px: standard deviation of estimated depth in the first and the second fit


@dataclass(frozen=True)
class LandmarkNoise:
    """Standard deviations in px of the 120-px crop.

    Attributes:
        points: of the 68 points.
        depth: of their z, if they have one.
        mesh: of MediaPipe's points.
        outline: of jaw points on the visible outline.
        outline_turned: added to it in proportion to the sine of yaw.
        expression: of the prior of the expression coefficients around 0.
    """

    points: float = 0.7
    depth: float = 2.5
    mesh: float = 1.5
    outline: float = 1.5
    outline_turned: float = 10.0
    expression: float = 0.35


@dataclass(frozen=True, eq=False)
class FittedFace:
    """One fitted face.

    Attributes:
        name: of the item.
        params: (P,) float32, pose in the 120-px crop frame of ``roi``.
        roi: (4,) px of the image, the square around the 68 points.
        error: mean distance of the fitted points from the given ones, % of the face size, without jaw points on the outline.
        yaw_pitch_roll: (3,) degrees (:func:`~tddfa_ros.geometry.pose.yaw_pitch_roll`).
        turned: angle to the labeled rotation in degrees, NaN without a label.
    """

    name: str
    params: FloatArray
    roi: DoubleArray
    error: float
    yaw_pitch_roll: DoubleArray
    turned: float


class LandmarkFitter:
    """Fit the model to landmarks in batches."""

    def __init__(self, model: MorphableModel, noise: LandmarkNoise | None = None) -> None:
        self._model = model
        self._noise = noise or LandmarkNoise()
        self._basis68 = _basis68(model)
        self._basis: PointBasis | None = None

    def __call__(self, faces: Sequence[FaceLandmarks], batch: int = 48) -> Iterator[FittedFace]:
        """Fit all faces, in order."""
        for rows in batches(len(faces), batch):
            yield from self._fit(faces[rows])

    def _fit(self, faces: Sequence[FaceLandmarks]) -> list[FittedFace]:
        basis = self._basis68
        if any(face.points478 is not None for face in faces):
            basis = self._full_basis()
        rois = [_square(face) for face in faces]
        points = np.stack(
            [_in_crop(face, roi, len(basis.mean)) for face, roi in zip(faces, rois, strict=True)]
        )
        sigma = np.stack([self._sigma(face, len(basis.mean)) for face in faces])
        fitted = self._solve(basis, points, sigma, faces)
        return [
            self._finish(face, roi, fitted.params[i], fitted.points[i], points[i], sigma[i])
            for i, (face, roi) in enumerate(zip(faces, rois, strict=True))
        ]

    def _solve(
        self,
        basis: PointBasis,
        points: FloatArray,
        sigma: FloatArray,
        faces: Sequence[FaceLandmarks],
    ) -> Fit:
        """Fit twice: the first fit initializes depth and pose of the second."""
        guessed = ~np.isfinite(sigma[..., 2]).any(axis=1)  # faces without any depth
        seen = np.isfinite(sigma[..., 0])
        depth = _weak_perspective_depth(basis.mean, points, seen)
        expressions = np.zeros((len(points), self._model.layout.expression), dtype=np.float32)
        outline = np.array([face.silhouette for face in faces])
        found: Fit | None = None
        for depth_sigma, iterations in zip(_LOOSE_DEPTH, _ITERATIONS, strict=True):
            z, sigma_z = points[..., 2].copy(), sigma[..., 2].copy()
            z[guessed] = depth[guessed]
            sigma_z[guessed] = np.where(seen[guessed], depth_sigma, np.inf)
            precision = 1 / np.concatenate([sigma[..., :2], sigma_z[..., None]], axis=2)
            full = np.concatenate([points[..., :2], z[..., None]], axis=2)
            targets = Targets(
                np.nan_to_num(full).astype(np.float32),
                precision.astype(np.float32),
                expressions,
                expressions + np.float32(self._noise.expression),
            )
            found = fit(basis, targets, iterations)
            depth = found.points[..., 2]
            sine = np.abs(np.sin(np.radians(_angles(found.params)[:, 0])))[outline, None, None]
            sigma[outline, JAW, :2] = self._noise.outline + self._noise.outline_turned * sine
        assert found is not None
        return found

    def _finish(
        self,
        face: FaceLandmarks,
        roi: DoubleArray,
        params: FloatArray,
        points: FloatArray,
        given: FloatArray,
        sigma: FloatArray,
    ) -> FittedFace:
        """Convert the pose to the ROI of the 68 points, and compute the errors."""
        counted = np.isfinite(sigma[:, 0])
        extent = np.ptp(given[counted, :2], axis=0)
        if face.silhouette and counted[JAW.stop :].any():
            counted[JAW] = False
        distance = np.linalg.norm((points - given)[counted, :2], axis=1).mean()
        params = params.copy()
        pose = params[:POSE_SIZE].reshape(3, 4)
        rotation = decompose(pose)[1]
        turned = float("nan")
        if face.rotation is not None:
            cosine = (np.trace(rotation.T @ face.rotation) - 1) / 2
            turned = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
        if face.points68 is None:
            place = image_pose(pose, roi)
            roi = roi_from_landmarks(crop_to_image(_crop_pixels(points[:68]), roi))
            params[:POSE_SIZE] = crop_pose(place, roi).ravel()
        error = float(100 * distance / np.sqrt(extent[0] * extent[1]))
        return FittedFace(face.name, params, roi, error, yaw_pitch_roll(rotation), turned)

    def _sigma(self, face: FaceLandmarks, count: int) -> FloatArray:
        sigma = np.full((count, 3), np.inf, dtype=np.float32)
        if face.points68 is not None:
            sigma[:68, :2] = self._noise.points
            if face.silhouette:
                sigma[JAW, :2] = self._noise.outline
            if face.points68.shape[1] == 3:
                sigma[:68, 2] = self._noise.depth
        if face.points478 is not None:
            sigma[68:, :2] = self._noise.mesh
        return sigma

    def _full_basis(self) -> PointBasis:
        if self._basis is None:
            rows = slice(0, 68 + MEDIAPIPE_POINTS)
            full = point_basis(self._model)
            self._basis = PointBasis(full.mean[rows], full.shape[rows], full.expression[rows])
        return self._basis


def _basis68(model: MorphableModel) -> PointBasis:
    corners = model.triangles[model.landmark_triangles]

    def at(basis: FloatArray) -> FloatArray:
        return np.einsum("kc,kc...->k...", model.landmark_weights, basis[corners])

    return PointBasis(at(model.mean), at(model.shape_basis), at(model.expression_basis))


def _square(face: FaceLandmarks) -> DoubleArray:
    if face.points68 is not None:
        return roi_from_landmarks(face.points68)
    assert face.points478 is not None
    return roi_from_landmarks(face.points478[:MEDIAPIPE_POINTS])


def _in_crop(face: FaceLandmarks, roi: DoubleArray, count: int) -> FloatArray:
    """Return all points (count, 3) in the crop frame of the ROI, y up; NaN where missing."""
    out = np.full((count, 3), np.nan, dtype=np.float32)
    if face.points68 is not None:
        out[:68, : face.points68.shape[1]] = image_to_crop(face.points68, roi)
    if face.points478 is not None:
        out[68:, :2] = image_to_crop(face.points478[:MEDIAPIPE_POINTS, :2], roi)
    out[:, 0] += 1
    out[:, 1] = CROP_FRAME - out[:, 1]
    return out


def _crop_pixels(points: FloatArray) -> FloatArray:
    """Convert points (..., 3) of the crop frame, y up, to crop px (..., 2)."""
    return np.stack([points[..., 0] - 1, CROP_FRAME - points[..., 1]], axis=-1)


def _weak_perspective_depth(mean: FloatArray, points: FloatArray, seen: FloatArray) -> FloatArray:
    """Return the depth (n, L) of the mean head under the weak perspective that fits the visible points (n, L, 2 or more) best."""
    depth = np.zeros(points.shape[:2], dtype=np.float32)
    homogeneous = np.concatenate([mean, np.ones((len(mean), 1))], axis=1)
    for row in range(len(points)):
        chosen = seen[row]
        rows, *_ = np.linalg.lstsq(homogeneous[chosen], points[row, chosen, :2], rcond=None)
        scale, rotation, _ = decompose(np.vstack([rows.T, np.zeros(4)]))
        depth[row] = scale * (mean @ rotation[2])
    return depth


def _angles(params: FloatArray) -> DoubleArray:
    return yaw_pitch_roll(decompose(params[:, :POSE_SIZE].reshape(-1, 3, 4))[1])
