from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.posed import random_faces

from tddfa_ros.fitting.collection_fit import MEDIAPIPE_POINTS, point_basis
from tddfa_ros.geometry.pose import (
    decompose,
    rotation_from_300w_lp,
    to_image,
    yaw_pitch_roll,
)
from tddfa_ros.geometry.roi import roi_from_landmarks
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.data.landmark_fit import FittedFace, LandmarkFitter
from tddfa_ros.training.data.landmarks import FaceLandmarks

COUNT = 6
FRAME = np.array([130.0, 60.0, 430.0, 360.0])


@pytest.fixture(scope="module")
def model(repo_root: Path) -> MorphableModel:
    return MorphableModel.load(repo_root / "models" / "tddfa_head.npz")


@pytest.fixture(scope="module")
def fitter(model: MorphableModel) -> LandmarkFitter:
    return LandmarkFitter(model)


@pytest.fixture(scope="module")
def truth(model: MorphableModel) -> np.ndarray:
    return random_faces(model, np.random.default_rng(5), COUNT)


def poses(params: np.ndarray) -> np.ndarray:
    return params[..., :12].reshape(*params.shape[:-1], 3, 4)


@pytest.fixture(scope="module")
def points68(model: MorphableModel, truth: np.ndarray) -> np.ndarray:
    return to_image(model.head_landmarks(truth), poses(truth), np.tile(FRAME, (COUNT, 1)))


@pytest.fixture(scope="module")
def points478(model: MorphableModel, truth: np.ndarray) -> np.ndarray:
    basis = point_basis(model)
    rows = slice(68, 68 + MEDIAPIPE_POINTS)
    heads = (
        basis.mean[rows]
        + np.einsum("lxk,nk->nlx", basis.shape[rows], truth[:, 12:52])
        + np.einsum("lxk,nk->nlx", basis.expression[rows], truth[:, 52:])
    )
    mesh = to_image(heads.astype(np.float32), poses(truth), np.tile(FRAME, (COUNT, 1)))
    mesh[..., 2] *= -1  # nearer = smaller, as MediaPipe has it
    iris = np.full((COUNT, 10, 3), 1e4, np.float32)  # the ten points of the irises are not used
    return np.concatenate([mesh, iris], axis=1)


def faces(
    points68: np.ndarray | None, points478: np.ndarray | None, silhouette: bool = False
) -> list[FaceLandmarks]:
    return [
        FaceLandmarks(
            str(i),
            None if points68 is None else points68[i],
            None if points478 is None else points478[i],
            silhouette,
        )
        for i in range(COUNT)
    ]


def check(
    model: MorphableModel, found: list[FittedFace], truth: np.ndarray, points68: np.ndarray
) -> np.ndarray:
    """Landmarks of the fitted params agree under 1 px of the crop; the errors (n, 68), px of the crop."""
    errors = []
    for face, params, expected in zip(found, truth, points68, strict=True):
        got = to_image(model.head_landmarks(face.params), poses(face.params), face.roi)
        scale = (face.roi[2] - face.roi[0]) / 120
        errors.append(np.linalg.norm((got - expected)[:, :2], axis=1) / scale)
        rotation, wanted = decompose(poses(face.params))[1], decompose(poses(params))[1]
        assert np.degrees(np.arccos((np.trace(rotation.T @ wanted) - 1) / 2)) < 3.0
        np.testing.assert_allclose(face.yaw_pitch_roll, yaw_pitch_roll(rotation), atol=1e-4)
        assert face.error < 1.0 and np.isnan(face.turned)
    assert np.mean(errors, axis=1).max() < 1.0
    return np.array(errors)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_68_points(
    model: MorphableModel,
    fitter: LandmarkFitter,
    truth: np.ndarray,
    points68: np.ndarray,
    dimensions: int,
) -> None:
    found = list(fitter(faces(points68[..., :dimensions], None)))
    errors = check(model, found, truth, points68)
    assert errors.mean() < 0.4
    for face, given in zip(found, points68, strict=True):
        np.testing.assert_allclose(face.roi, roi_from_landmarks(given), rtol=1e-6)


def test_478_points(
    model: MorphableModel,
    fitter: LandmarkFitter,
    truth: np.ndarray,
    points68: np.ndarray,
    points478: np.ndarray,
) -> None:
    found = list(fitter(faces(None, points478)))
    check(model, found, truth, points68)
    for face, given in zip(
        found, points68, strict=True
    ):  # the ROI of the 68 points, not of the 478
        assert np.abs(face.roi - roi_from_landmarks(given)).max() < 5.0


def test_both_landmark_sets_fit_better_than_either(
    model: MorphableModel,
    fitter: LandmarkFitter,
    truth: np.ndarray,
    points68: np.ndarray,
    points478: np.ndarray,
) -> None:
    both = check(model, list(fitter(faces(points68[..., :2], points478))), truth, points68)
    assert both.mean() < 0.25


def test_batch_with_different_landmark_sets(
    fitter: LandmarkFitter, points68: np.ndarray, points478: np.ndarray
) -> None:
    mixed = faces(points68, points478)
    mixed[1] = replace(mixed[1], points478=None)
    mixed[2] = replace(mixed[2], points68=None)
    together = list(fitter(mixed))
    alone = [next(iter(fitter([face]))) for face in mixed]
    assert [face.name for face in together] == [str(i) for i in range(COUNT)]
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_allclose(a.roi, b.roi, atol=0.2)
        np.testing.assert_allclose(a.params[:12], b.params[:12], atol=3.0)  # of 500


def test_jaw_outline_does_not_bias_yaw(
    model: MorphableModel, fitter: LandmarkFitter, truth: np.ndarray, points68: np.ndarray
) -> None:
    """The far half of the jaw moved inwards by a tenth of the face, as the outline of a rotated face."""
    params = truth.copy()
    turn = rotation_from_300w_lp(np.array([-40.0, 0.0, 0.0]))
    params[:, :12].reshape(-1, 3, 4)[:, :, :3] = 500 * turn
    points = to_image(model.head_landmarks(params), poses(params), np.tile(FRAME, (COUNT, 1)))
    far = slice(9, 17) if points[0, 14, 2] < points[0, 2, 2] else slice(0, 8)
    inwards = np.sign(points[:, 30, 0] - points[:, far, 0].mean(axis=1))
    points[:, far, 0] += 22 * inwards[:, None]
    errors = []
    for silhouette in (True, False):
        found = list(fitter(faces(points[..., :2], None, silhouette)))
        rotations = decompose(poses(np.stack([face.params for face in found])))[1]
        cosine = (np.einsum("nij,ij->n", rotations, turn) - 1) / 2
        errors.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean())
    assert errors[0] < 4.0 < errors[1]


def test_rotation_matches_labels_of_real_faces(fitter: LandmarkFitter, data_dir: Path) -> None:
    """AFLW2000-3D: 3D points fit to under 1.2 % and, by them alone, the rotation agrees with that of the dataset."""
    with np.load(data_dir / "eval" / "aflw2000" / "gt.npz") as file:
        points = file["pts68"][:24].transpose(0, 2, 1)
        pitch, yaw, roll = np.degrees(file["pitch_yaw_roll_rad"][:24]).T
        boxes = file["roi_box"][:24]
    labeled = rotation_from_300w_lp(np.stack([yaw, pitch, roll], axis=1))
    found = list(
        fitter(
            [FaceLandmarks(str(i), points[i], None, False, labeled[i]) for i in range(len(points))]
        )
    )
    assert np.mean([face.error for face in found]) < 1.2
    assert np.median([face.turned for face in found]) < 2.5
    np.testing.assert_allclose([face.roi for face in found], boxes, atol=2.0)
