"""Weights of the labels of a face in the fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.face_labels import face_labels

from tddfa_ros.fitting.collection_fit import (
    AFLW_LIKE,
    AFLW_POINTS,
    BLENDSHAPES,
    MEDIAPIPE_POINTS,
    SCORE_RANGE,
    Noise,
    make_targets,
    point_basis,
    thinned,
)
from tddfa_ros.fitting.fit import Targets, fit
from tddfa_ros.model_builder.locate import MIRROR68
from tddfa_ros.morphable import MorphableModel

NOISE = Noise()
EYELIDS = [37, 38, 40, 41, 43, 44, 46, 47]
MESH = slice(68, 68 + MEDIAPIPE_POINTS)
VISIBLE = slice(68 + MEDIAPIPE_POINTS, None)
NAMES = ("jawOpen", "eyeBlinkLeft", "tongueOut", "mouthLeft")


def teacher(count: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(20, 100, (count, 68, 3)).astype(np.float32)


def sigma(targets: Targets) -> np.ndarray:
    """Return standard deviations (n, L, 3); infinite where nothing was observed."""
    with np.errstate(divide="ignore"):
        return 1 / targets.precision


def test_teacher_points_and_precisions() -> None:
    spread = np.float32([0.0, 0.01])
    targets = make_targets(face_labels(2, teacher68=teacher(2), spread=spread), NAMES, NOISE)
    np.testing.assert_array_equal(targets.points[:, :68], teacher(2))
    found = sigma(targets)[:, :68]
    others = np.setdiff1d(np.arange(68), EYELIDS)
    np.testing.assert_allclose(found[0, others, :2], 0.6, rtol=1e-6)
    np.testing.assert_allclose(found[1, others, :2], 0.6 + 40 * 0.01, rtol=1e-6)
    np.testing.assert_allclose(found[:, EYELIDS, :2], 2.0, rtol=1e-6)
    np.testing.assert_allclose(found[..., 2], 2.0, rtol=1e-6)
    assert (targets.precision[:, 68:] == 0).all() and np.isfinite(targets.points).all()


def test_human_points_replace_teacher_inside_the_face() -> None:
    human = np.full((2, 68, 2), np.nan, np.float32)
    human[1] = 7.0
    targets = make_targets(face_labels(2, teacher68=teacher(2), human68=human), NAMES, NOISE)
    np.testing.assert_array_equal(targets.points[0, :68], teacher(2)[0])
    np.testing.assert_array_equal(
        targets.points[1, :17], teacher(2)[1, :17]
    )  # jaw points are annotated on the silhouette
    assert (targets.points[1, 17:68, :2] == 7.0).all()
    np.testing.assert_array_equal(targets.points[1, :68, 2], teacher(2)[1, :, 2])
    np.testing.assert_allclose(sigma(targets)[1, 17:68, :2], 0.4, rtol=1e-6)


def test_mediapipe_weight_decreases_with_yaw() -> None:
    yaw = np.float32([0, 25, -35, 45, 80, 0])
    mesh = np.full((6, 478, 3), 50, np.float32)
    mesh[5] = np.nan
    targets = make_targets(
        face_labels(6, teacher68=teacher(6), yaw_deg=yaw, mesh478=mesh), NAMES, NOISE
    )
    precision = targets.precision[:, MESH]
    trust = precision[:, 10, 0] / precision[0, 10, 0]
    np.testing.assert_allclose(trust, [1, 1, 0.5, 0, 0, 0], atol=1e-6)
    assert sigma(targets)[0, 68 + 10, 0] == pytest.approx(2.0), "the forehead"
    assert sigma(targets)[0, 68 + 33, 0] == pytest.approx(0.75), "the corner of an eye"


def test_blend_shapes_are_the_prior_at_small_yaw() -> None:
    scores = np.zeros((2, 52), np.float32)
    scores[:, BLENDSHAPES.index("jawOpen")] = 0.7
    mesh = np.full((2, 478, 3), 50, np.float32)
    targets = make_targets(
        face_labels(
            2, teacher68=teacher(2), mesh478=mesh, blendshapes=scores, yaw_deg=np.float32([0, 60])
        ),
        NAMES,
        NOISE,
    )
    low, high = SCORE_RANGE["jawOpen"]
    stretched = min((0.7 - low) / (high - low), 1.0)
    np.testing.assert_allclose(targets.expression_mean, [[stretched, 0, 0, 0], [0] * 4], rtol=1e-6)
    np.testing.assert_allclose(
        targets.expression_sigma, [[0.03, 0.03, 0.30, 0.15], [0.30] * 4], rtol=1e-6
    )


def test_closed_eyes_source_has_closed_eyes_prior() -> None:
    targets = make_targets(face_labels(2, "cew", teacher68=teacher(2)), NAMES, NOISE)
    np.testing.assert_allclose(targets.expression_mean, [[0, 1, 0, 0]] * 2)
    np.testing.assert_allclose(targets.expression_sigma[:, 1], 0.03, rtol=1e-6)


# -- fusion ----------------------------------------------------------------------------------------------------------


def test_ensemble_outweighs_teacher_in_frontal_faces() -> None:
    points = teacher(3)
    ensemble = points[:, 17:, :2] + np.float32([1.0, 0.0])
    ensemble[2, 20] = np.nan
    yaw = np.float32([0, 80, 0])
    faces = face_labels(
        3, teacher68=points, ensemble51=ensemble, yaw_deg=yaw, spread=np.zeros(3, np.float32)
    )
    targets = make_targets(faces, NAMES, NOISE)
    moved = (targets.points[:, :68, 0] - points[..., 0])[:, 30]
    np.testing.assert_allclose(moved[0], 0.65**-2 / (0.65**-2 + 0.6**-2), atol=1e-5)
    np.testing.assert_allclose(moved[1], 0.9**-2 / (0.9**-2 + 0.6**-2), atol=1e-5)
    brow, nose = (targets.points[0, i, 0] - points[0, i, 0] for i in (20, 30))
    assert brow < nose, "brows follow another convention"
    np.testing.assert_array_equal(targets.points[:, :17], points[:, :17])
    np.testing.assert_allclose(targets.points[2, 37], points[2, 37], atol=1e-5)
    assert sigma(targets)[0, 30, 0] < 0.6


def test_ground_truth_points_replace_the_jaw() -> None:
    human = np.full((1, 68, 2), 7.0, np.float32)
    targets = make_targets(face_labels(1, "lp", teacher68=teacher(1), human68=human), NAMES, NOISE)
    assert (targets.points[0, :68, :2] == 7.0).all()
    np.testing.assert_allclose(sigma(targets)[0, :68, :2], 0.35, rtol=1e-6)


def test_thinned_mediapipe_points_give_the_same_fit(repo_root: Path) -> None:
    model = MorphableModel.load(repo_root / "models" / "tddfa_head.npz")
    basis = point_basis(model)
    rng = np.random.default_rng(1)
    mesh = np.full((2, 478, 3), np.nan, np.float32)
    seen = 500 * basis.mean + [60, 60, 0]
    mesh[:, :MEDIAPIPE_POINTS] = seen[68 : 68 + MEDIAPIPE_POINTS] + rng.normal(
        0, 0.3, (2, MEDIAPIPE_POINTS, 3)
    )
    points = np.repeat(seen[None, :68], 2, axis=0).astype(np.float32)
    faces = face_labels(
        2, teacher68=points, mesh478=mesh, blendshapes=np.zeros((2, 52), np.float32)
    )
    targets = make_targets(faces, model.expression_names, NOISE)
    all_points = fit(basis, targets).points[:, :68]
    fewer_basis, fewer = thinned(basis, targets)
    assert len(fewer_basis.mean) < 0.6 * len(basis.mean)
    np.testing.assert_allclose(fit(fewer_basis, fewer).points[:, :68], all_points, atol=0.5)


# -- AFLW's visible points -------------------------------------------------------------------------------------------


def with_visible(yaw: list[float]) -> tuple[Targets, np.ndarray]:
    """Return faces whose visible points are 2 px off the corresponding landmarks; the second face is not annotated."""
    points = teacher(len(yaw))
    human = np.full((len(yaw), 21, 2), np.nan, np.float32)
    human[:, AFLW_POINTS] = points[:, AFLW_LIKE, :2] + [2, 0]
    human[1] = np.nan
    human[0, AFLW_POINTS[4]] += 9  # outlier: a point on the other brow
    human[0, AFLW_POINTS[7]] = np.nan
    faces = face_labels(len(yaw), "aflw", teacher68=points, human21=human, yaw_deg=np.float32(yaw))
    return make_targets(faces, NAMES, NOISE), points


def test_visible_points_are_added_to_the_teacher() -> None:
    targets, points = with_visible([0, 0, 90])
    seen = sigma(targets)[:, VISIBLE]
    assert np.isinf(seen[..., 2]).all(), "annotations have no depth"
    assert np.isinf(seen[1]).all()
    assert np.isinf(seen[0, [4, 7]]).all(), "outliers and invisible points"
    kinds = [1.0] * 6 + [0.65] * 4 + [0.8, 0.9, 0.8] + [0.65] * 2 + [1.25]
    np.testing.assert_allclose(seen[2, :, 0], kinds, rtol=1e-6)
    np.testing.assert_allclose(
        targets.points[2, VISIBLE, :2], points[2, AFLW_LIKE, :2] + [2, 0], rtol=1e-6
    )
    np.testing.assert_array_equal(targets.points[:, :68], points)


def test_visible_points_reduce_teacher_weight() -> None:
    targets, _ = with_visible([0, 0, 90, -45])
    plain = 0.6 + 40 * 0.005
    found = sigma(targets)[:, 0, 0] / plain
    np.testing.assert_allclose(found, [0.65 / 0.6, 1.0, 1.1 / 0.6, 0.875 / 0.6], rtol=1e-5)


def test_aflw_points_match_landmark_order() -> None:
    """Points run from left to right in the image: brows, eyes, nose, mouth, chin; without eye centers and ears."""
    assert len(AFLW_POINTS) == len(AFLW_LIKE) == 16
    assert set(range(21)) - set(AFLW_POINTS.tolist()) == {7, 10, 12, 16, 18}
    partner = [AFLW_LIKE.tolist().index(MIRROR68[i]) for i in AFLW_LIKE]
    assert partner == [5, 4, 3, 2, 1, 0, 9, 8, 7, 6, 12, 11, 10, 14, 13, 15]


def test_point_basis_on_the_mean_head(repo_root: Path) -> None:
    """AFLW's points are close to the corresponding landmarks on both sides."""
    model = MorphableModel.load(repo_root / "models" / "tddfa_head.npz")
    basis = point_basis(model)
    assert basis.mean.shape == (68 + MEDIAPIPE_POINTS + 16, 3)
    assert basis.joint.shape == (68 + MEDIAPIPE_POINTS + 16, 3, 92)
    landmarks = model.head_landmarks(np.zeros(model.layout.size, np.float32))
    np.testing.assert_allclose(basis.mean[:68], landmarks, atol=1e-6)
    visible = basis.mean[VISIBLE]
    away = 1000 * np.linalg.norm(visible - landmarks[AFLW_LIKE], axis=1)
    assert away.max() < 13 and away.mean() < 6  # mm
    partner = [AFLW_LIKE.tolist().index(MIRROR68[i]) for i in AFLW_LIKE]
    np.testing.assert_allclose(visible, visible[partner] * [-1, 1, 1], atol=1e-3)
