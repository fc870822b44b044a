"""Fit the morphable model to the landmarks of teacher networks and of human annotators.

Every face has labels of two teachers with complementary errors: 3DDFA_V2 (68 points; accurate contour and pose, insensitive to
closed eyes) and MediaPipe (468 points and blend shapes; accurate inside the face, wrong beyond about 40 degrees of yaw). Where a
face is annotated by hand, iBUG-68 points replace the points of 3DDFA_V2 inside the face. AFLW's visible points are added to them,
and the weight of 3DDFA_V2 is reduced, because its errors grow with yaw and are correlated.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tddfa_ros.fitting.collection import CLOSED_EYES, FaceLabels
from tddfa_ros.fitting.fit import Fit, PointBasis, Targets, batches, fit
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.morphable.surface import POINTS_FILE, nearest_on_surface
from tddfa_ros.types import DoubleArray, FloatArray

MEDIAPIPE_POINTS = 468
AFLW_POINTS = np.array([0, 1, 2, 3, 4, 5, 6, 8, 9, 11, 13, 14, 15, 17, 19, 20])
"""Those of AFLW's 21 points that lie on the mesh: without eye centers (they follow the gaze), ears and mouth center."""
AFLW_LIKE = np.array([17, 19, 21, 22, 24, 26, 36, 39, 42, 45, 31, 30, 35, 48, 54, 8])
"""The nearest iBUG-68 landmark to each of :data:`AFLW_POINTS`."""
_AFLW_KIND = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 3, 2, 4, 4, 5])  # index into Noise.visible
_EYELIDS = np.array([37, 38, 40, 41, 43, 44, 46, 47])
_FINE = np.array(
    # MediaPipe's indices of both eyelid contours and both lip contours
    [33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246]
    + [263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466]
    + [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185]
    + [78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191]
)

BLENDSHAPES = (
    *("_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft"),
    *("browOuterUpRight", "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft"),
    *("eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight"),
    *("eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft"),
    *("eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft"),
    *("jawOpen", "jawRight", "mouthClose", "mouthDimpleLeft", "mouthDimpleRight"),
    *("mouthFrownLeft", "mouthFrownRight", "mouthFunnel", "mouthLeft", "mouthLowerDownLeft"),
    *("mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker", "mouthRight"),
    *("mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft"),
    *(
        "mouthSmileRight",
        "mouthStretchLeft",
        "mouthStretchRight",
        "mouthUpperUpLeft",
        "mouthUpperUpRight",
    ),
    *("noseSneerLeft", "noseSneerRight"),
)
"""Order of MediaPipe's blend-shape scores; all but the first are ARKit's names."""


@dataclass(frozen=True)
class Noise:
    """Standard deviations of all observations and priors of the fit; px of the 120-px crop unless noted.

    They are half of the measured scatter: the fit assumes independent errors, and with the full scatter the prior pulls every
    face toward the mean (the error on held-out human points is then 2 % larger).

    Attributes:
        teacher: x and y of 3DDFA_V2's points.
        teacher_z: z of 3DDFA_V2's points.
        per_spread: added to ``teacher`` per unit of the spread that 3DDFA_V2 reports.
        eyelids: 3DDFA_V2's eyelid points.
        human: annotated points inside the face.
        truth: projections of a 3D head, jaw included.
        ensemble: the ensemble's points below 45 and beyond 75 degrees of yaw; interpolated in between.
        ensemble_brows: factor on ``ensemble`` for brows, which the ensemble places by another convention.
        visible: AFLW's points of brows, eyes, sides of the nose, tip of the nose, mouth, chin.
        visible_limit: AFLW's points farther than this from the teacher's landmark are outliers and are ignored.
        teacher_beside_visible: 3DDFA_V2's points on faces with AFLW's points, at 0 and at 90 degrees of yaw.
        mesh: MediaPipe's points except eyelids and lips.
        mesh_fine: MediaPipe's points of eyelids and lips.
        mesh_yaw: degrees of yaw up to which MediaPipe has full weight, and from which it has none.
        blendshape: prior of expression coefficients around MediaPipe's scores; coefficient units.
        expression: prior of expression coefficients around 0, without scores; coefficient units.
        ends: prior of the coefficients with a stretched score (:data:`SCORE_RANGE`): of the eyes, of the jaw; coefficient units.
    """

    teacher: float = 0.6
    teacher_z: float = 2.0
    per_spread: float = 40.0
    eyelids: float = 2.0
    human: float = 0.4
    truth: float = 0.35
    ensemble: tuple[float, float] = (0.65, 0.9)
    ensemble_brows: float = 1.5
    visible: tuple[float, ...] = (1.0, 0.65, 0.8, 0.9, 0.65, 1.25)
    visible_limit: float = 10.0
    teacher_beside_visible: tuple[float, float] = (0.65, 1.1)
    mesh: float = 2.0
    mesh_fine: float = 0.75
    mesh_yaw: tuple[float, float] = (25.0, 45.0)
    blendshape: float = 0.15
    expression: float = 0.30
    ends: tuple[float, float] = (0.03, 0.03)


SCORE_RANGE = {
    "eyeBlinkLeft": (0.12, 0.55),
    "eyeBlinkRight": (0.12, 0.55),
    "jawOpen": (0.02, 0.62),
}
"""MediaPipe's scores that are mapped to 0 and 1.

The low end is the score of a face at rest (75 % of open eyes lie below), the high end that of a full action (60 % of closed
eyes lie above; a wide yawn).
"""


@dataclass(frozen=True, eq=False)
class FittedFaces:
    """Result of a fit.

    Attributes:
        params: (n, P) parameters of the morphable model.
        error: (n,) mean distance of the 68 landmarks to the labels, % of the face size.
    """

    params: FloatArray
    error: FloatArray


def point_basis(model: MorphableModel) -> PointBasis:
    """Return the model at its 68 landmarks, MediaPipe's 468 points and AFLW's 16 points, in this order."""
    stored = json.loads(POINTS_FILE.read_text())
    shift = np.array(stored["landmarks68_mm"]).mean(axis=0) / 1000
    both = stored["mediapipe468_mm"] + stored["aflw16_mm"]
    mesh: DoubleArray = np.array(both) / 1000 - shift
    inner = {
        model.region_names.index(name)
        for name in ("inner_mouth", "tongue", "left_eye", "right_eye")
    }
    skin = model.triangles[~np.isin(model.regions[model.triangles], list(inner)).any(axis=1)]
    triangle, weights = nearest_on_surface(mesh, model.mean.astype(np.float64), skin)
    corners = np.concatenate([model.triangles[model.landmark_triangles], skin[triangle]])
    weights = np.concatenate([model.landmark_weights, weights])

    def at(basis: FloatArray) -> FloatArray:
        return np.einsum("kc,kc...->k...", weights, basis[corners]).astype(np.float32)

    return PointBasis(at(model.mean), at(model.shape_basis), at(model.expression_basis))


def make_targets(faces: FaceLabels, names: tuple[str, ...], noise: Noise) -> Targets:
    """Return points, precisions and expression priors of all faces of a source; ``names``: expressions of the model."""
    n = len(faces.images)
    visible = np.full((n, len(AFLW_POINTS), 3), np.nan, dtype=np.float32)
    visible[..., :2] = faces.human21[:, AFLW_POINTS]
    mesh = faces.mesh478[:, :MEDIAPIPE_POINTS]
    points = np.concatenate([faces.teacher68, mesh, visible], axis=1)
    sigma = np.full(points.shape, np.inf, dtype=np.float32)
    sigma[:, :68, :2] = (noise.teacher + noise.per_spread * faces.spread)[:, None, None]
    sigma[:, :68, 2] = noise.teacher_z
    sigma[:, _EYELIDS, :2] = noise.eyelids
    sigma[:, 68 : 68 + MEDIAPIPE_POINTS, :2] = noise.mesh
    sigma[:, 68 + _FINE, :2] = noise.mesh_fine
    _use_visible_points(points, sigma, faces.yaw_deg, noise)
    _use_ensemble(points, sigma, faces, noise)
    _use_human_points(points, sigma, faces, noise)
    trust = _mesh_trust(faces, noise)
    precision = np.nan_to_num(1 / sigma).astype(np.float32)
    precision[:, 68 : 68 + MEDIAPIPE_POINTS] *= trust[:, None, None]
    mean, spread = _expression_prior(faces, trust, names, noise)
    return Targets(np.nan_to_num(points), precision, mean, spread)


def fit_faces(
    model: MorphableModel, faces: FaceLabels, noise: Noise | None = None, batch: int = 48
) -> FittedFaces:
    """Fit all faces of a source and show a progress bar."""
    basis, targets = thinned(
        point_basis(model), make_targets(faces, model.expression_names, noise or Noise())
    )
    done: list[Fit] = []
    progress: Iterable[slice] = tqdm(
        list(batches(len(targets), batch)), desc=f"fit {faces.source}", unit="batch", disable=None
    )
    for rows in progress:
        done.append(fit(basis, targets[rows], iterations=5))
    params = np.concatenate([f.params for f in done])
    points = np.concatenate([f.points[:, :68] for f in done])
    return FittedFaces(params, _error(points, targets.points[:, :68]))


def thinned(basis: PointBasis, targets: Targets) -> tuple[PointBasis, Targets]:
    """Keep every fourth of MediaPipe's points outside eyelids and lips, with four times the weight: same fit, half the time."""
    coarse = np.setdiff1d(np.arange(MEDIAPIPE_POINTS), _FINE) + 68
    kept = np.setdiff1d(np.arange(targets.points.shape[1]), np.setdiff1d(coarse, coarse[::4]))
    precision = targets.precision.copy()
    precision[:, coarse] *= 2
    fewer = PointBasis(basis.mean[kept], basis.shape[kept], basis.expression[kept])
    return fewer, Targets(
        targets.points[:, kept],
        precision[:, kept],
        targets.expression_mean,
        targets.expression_sigma,
    )


def _error(points: FloatArray, truth: FloatArray) -> FloatArray:
    extent = truth[..., :2].max(axis=1) - truth[..., :2].min(axis=1)
    distance = np.linalg.norm((points - truth)[..., :2], axis=2).mean(axis=1)
    return np.asarray(100 * distance / np.sqrt(extent[:, 0] * extent[:, 1]), dtype=np.float32)


def _use_ensemble(points: FloatArray, sigma: FloatArray, faces: FaceLabels, noise: Noise) -> None:
    """Fuse the ensemble's points with those of 3DDFA_V2 by inverse variance (the ensemble is better up to 60 degrees of yaw)."""
    share = np.clip((np.abs(faces.yaw_deg) - 45) / 30, 0, 1)
    low, high = noise.ensemble
    theirs = np.repeat((low + (high - low) * share)[:, None], 51, axis=1)
    theirs[:, :10] *= noise.ensemble_brows
    theirs = np.where(np.isfinite(faces.ensemble51[..., 0]), theirs, np.inf)[..., None]
    ours, found = sigma[:, 17:68, :2], np.nan_to_num(faces.ensemble51)
    weight = theirs**-2.0 / (theirs**-2.0 + ours**-2.0)
    points[:, 17:68, :2] += weight * (found - points[:, 17:68, :2])
    sigma[:, 17:68, :2] = (theirs**-2.0 + ours**-2.0) ** -0.5


def _use_human_points(
    points: FloatArray, sigma: FloatArray, faces: FaceLabels, noise: Noise
) -> None:
    """Replace the teacher's x and y by annotated points; the jaw only if it is that of a 3D head, not the visible outline."""
    first = 0 if faces.true_points else 17
    face, landmark = np.nonzero(np.isfinite(faces.human68[:, first:, 0]))
    landmark = landmark + first
    points[face, landmark, :2] = faces.human68[face, landmark]
    sigma[face, landmark, :2] = noise.truth if faces.true_points else noise.human


def _use_visible_points(
    points: FloatArray, sigma: FloatArray, yaw_deg: FloatArray, noise: Noise
) -> None:
    """Add AFLW's points and reduce the weight of the teacher on these faces, the more the larger the yaw."""
    start = 68 + MEDIAPIPE_POINTS
    distance = np.linalg.norm((points[:, start:] - points[:, AFLW_LIKE])[..., :2], axis=2)
    good = np.nan_to_num(distance, nan=np.inf) < noise.visible_limit
    wanted = np.array(noise.visible, dtype=np.float32)[_AFLW_KIND]
    sigma[:, start:, :2] = np.where(good, wanted, np.inf)[..., None]
    low, high = noise.teacher_beside_visible
    share = np.clip(np.abs(yaw_deg) / 90, 0, 1)
    beside = ((low + (high - low) * share) / noise.teacher)[:, None, None]
    sigma[:, :68, :2] *= np.where(good.any(axis=1)[:, None, None], beside, 1.0)


def _mesh_trust(faces: FaceLabels, noise: Noise) -> FloatArray:
    low, high = noise.mesh_yaw
    trust = np.clip((high - np.abs(faces.yaw_deg)) / (high - low), 0, 1)
    return np.where(np.isfinite(faces.mesh478[:, 0, 0]), trust, 0).astype(np.float32)


def _expression_prior(
    faces: FaceLabels, trust: FloatArray, names: tuple[str, ...], noise: Noise
) -> tuple[FloatArray, FloatArray]:
    scores = faces.blendshapes
    n = len(scores)
    mean = np.zeros((n, len(names)), dtype=np.float32)
    spread = np.full((n, len(names)), noise.expression, dtype=np.float32)
    known: NDArray[np.bool_] = (trust > 0.5) & np.isfinite(scores).all(axis=1)
    for column, name in enumerate(names):
        if name in BLENDSHAPES:
            low, high = SCORE_RANGE.get(name, (0.0, 1.0))
            score = scores[known, BLENDSHAPES.index(name)]
            mean[known, column] = np.clip((score - low) / (high - low), 0, 1)
            spread[known, column] = noise.blendshape
            if name in SCORE_RANGE:
                spread[known, column] = noise.ends[name == "jawOpen"]
        if faces.source in CLOSED_EYES and name in ("eyeBlinkLeft", "eyeBlinkRight"):
            mean[:, column], spread[:, column] = 1.0, noise.ends[0]
    return mean, spread
