"""Turn teacher and human landmarks into parameters of the morphable model: targets, priors, fit, report.

Two teachers with complementary faults see every face: 3DDFA_V2 (68 points, good contour and pose, blind to closed eyes) and MediaPipe (468
points and blend shapes, good inside the face, wrong beyond about 40 degrees of yaw). Human points, where there are some, replace the
first teacher inside the face (iBUG-68) or stand beside it (AFLW's visible points, on faces of any yaw; the teacher then counts less, for
its errors grow with yaw and all its points err together).
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
"""Those of AFLW's 21 that lie on the mesh: without the eyes' centers (the gaze), the ears and the mouth's center."""
AFLW_LIKE = np.array([17, 19, 21, 22, 24, 26, 36, 39, 42, 45, 31, 30, 35, 48, 54, 8])
"""The iBUG-68 landmark that is nearest to each of them."""
_AFLW_KIND = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 3, 2, 4, 4, 5])  # index into Noise.visible
_EYELIDS = np.array([37, 38, 40, 41, 43, 44, 46, 47])
_FINE = np.array(
    # MediaPipe's indices of both eyelid rings and both lip contours
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
    """Standard deviations in px of the 120-px crop, and where MediaPipe is trusted.

    They are half of what the points scatter: a fit takes the points' errors for independent, and with the whole scatter the prior draws
    every face to the mean one (human points that were left out of the fit are then missed by 2 % more).

    Attributes:
        teacher, teacher_z: 3DDFA_V2's points; per_spread: added per unit of its own spread; eyelids: its eyelids.
        human: human points inside the face; truth: true points of a 3D head, jaw included.
        ensemble: the ensemble's points below 45 and beyond 75 degrees of yaw; ensemble_brows: factor for brows, which follow another
            convention.
        visible: AFLW's points of brows, eyes, sides of the nose, its tip, mouth, chin; visible_limit: farther than this from the
            teacher's landmark such a point is a slip.
        teacher_beside_visible: 3DDFA_V2's points of faces that have AFLW's, at 0 and at 90 degrees of yaw.
        mesh, mesh_fine: MediaPipe's points, and those of eyelids and lips.
        mesh_yaw: full trust below the first, none above the second, degrees.
        blendshape, expression: prior of expression around MediaPipe's scores, and around 0 without them.
        ends: prior of the coefficients whose scores are stretched to their ends (:data:`SCORE_RANGE`): of eyes, of the jaw.
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
"""MediaPipe's scores of these at rest (three in four open eyes) and at the end (three in five closed eyes; a wide yawn): 0 and 1 for us."""


@dataclass(frozen=True, eq=False)
class FittedFaces:
    """Attributes: params (n, P); error (n,) mean distance of the 68 points to the labels in % of the face size."""

    params: FloatArray
    error: FloatArray


def point_basis(model: MorphableModel) -> PointBasis:
    """The model at its 68 landmarks, MediaPipe's 468 points and AFLW's 16, in this order."""
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
    """Points, precisions and expression priors of all faces of a source; ``names``: the model's expressions."""
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
    """Fit all faces of a source, with a progress bar."""
    basis, targets = thinned(
        point_basis(model), make_targets(faces, model.expression_names, noise or Noise())
    )
    done: list[Fit] = []
    progress: Iterable[slice] = tqdm(
        list(batches(len(targets), batch)), desc=f"fit {faces.source}", unit="batch"
    )
    for rows in progress:
        done.append(fit(basis, targets[rows], iterations=5))
    params = np.concatenate([f.params for f in done])
    points = np.concatenate([f.points[:, :68] for f in done])
    return FittedFaces(params, _error(points, targets.points[:, :68]))


def thinned(basis: PointBasis, targets: Targets) -> tuple[PointBasis, Targets]:
    """One in four of MediaPipe's points outside eyelids and lips, each with four times the weight: the same fit in half the time."""
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
    """Fuse the ensemble's points with 3DDFA_V2's by their precisions: the ensemble is better up to 60 degrees of yaw, both are equal beyond."""
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
    """Inside the face human points replace the teachers' x and y; their jaw is the visible outline, another thing, unless they are true."""
    first = 0 if faces.true_points else 17
    face, landmark = np.nonzero(np.isfinite(faces.human68[:, first:, 0]))
    landmark = landmark + first
    points[face, landmark, :2] = faces.human68[face, landmark]
    sigma[face, landmark, :2] = noise.truth if faces.true_points else noise.human


def _use_visible_points(
    points: FloatArray, sigma: FloatArray, yaw_deg: FloatArray, noise: Noise
) -> None:
    """AFLW's points stand beside the teacher's, which count less on these faces, the less the larger the yaw."""
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
