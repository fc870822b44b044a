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

from tddfa_ros.fitting.collection import FaceLabels
from tddfa_ros.fitting.fit import Fit, PointBasis, Targets, batches, fit
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.morphable.surface import POINTS_FILE, nearest_on_surface
from tddfa_ros.types import DoubleArray, FloatArray

MEDIAPIPE_POINTS = 468
AFLW_POINTS = np.array([0, 1, 2, 3, 4, 5, 6, 8, 9, 11, 13, 14, 15, 17, 19, 20])
"""Those of AFLW's 21 that lie on the mesh: without the eyes' centres (the gaze), the ears and the mouth's centre."""
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
        human: human points inside the face.
        visible: AFLW's points of brows, eyes, sides of the nose, its tip, mouth, chin; visible_limit: farther than this from the
            teacher's landmark such a point is a slip.
        teacher_beside_visible: 3DDFA_V2's points of faces that have AFLW's, at 0 and at 90 degrees of yaw.
        mesh, mesh_fine: MediaPipe's points, and those of eyelids and lips.
        mesh_yaw: full trust below the first, none above the second, degrees.
        blendshape, expression: prior of expression around MediaPipe's scores, and around 0 without them.
    """

    teacher: float = 0.6
    teacher_z: float = 2.0
    per_spread: float = 40.0
    eyelids: float = 2.0
    human: float = 0.4
    visible: tuple[float, ...] = (1.0, 0.65, 0.8, 0.9, 0.65, 1.25)
    visible_limit: float = 10.0
    teacher_beside_visible: tuple[float, float] = (0.65, 1.1)
    mesh: float = 2.0
    mesh_fine: float = 0.75
    mesh_yaw: tuple[float, float] = (25.0, 45.0)
    blendshape: float = 0.15
    expression: float = 0.30


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
    _use_human_points(points, sigma, faces.human68, noise)
    trust = _mesh_trust(faces, noise)
    precision = np.nan_to_num(1 / sigma).astype(np.float32)
    precision[:, 68 : 68 + MEDIAPIPE_POINTS] *= trust[:, None, None]
    mean, spread = _expression_prior(faces.blendshapes, trust, names, noise)
    return Targets(np.nan_to_num(points), precision, mean, spread)


def fit_faces(
    model: MorphableModel, faces: FaceLabels, noise: Noise | None = None, batch: int = 48
) -> FittedFaces:
    """Fit all faces of a source, with a progress bar."""
    basis = point_basis(model)
    targets = make_targets(faces, model.expression_names, noise or Noise())
    done: list[Fit] = []
    progress: Iterable[slice] = tqdm(
        list(batches(len(targets), batch)), desc=f"fit {faces.source}", unit="batch"
    )
    for rows in progress:
        done.append(fit(basis, targets[rows], iterations=5))
    params = np.concatenate([f.params for f in done])
    points = np.concatenate([f.points[:, :68] for f in done])
    return FittedFaces(params, _error(points, targets.points[:, :68]))


def _error(points: FloatArray, truth: FloatArray) -> FloatArray:
    extent = truth[..., :2].max(axis=1) - truth[..., :2].min(axis=1)
    distance = np.linalg.norm((points - truth)[..., :2], axis=2).mean(axis=1)
    return np.asarray(100 * distance / np.sqrt(extent[:, 0] * extent[:, 1]), dtype=np.float32)


def _use_human_points(
    points: FloatArray, sigma: FloatArray, human: FloatArray, noise: Noise
) -> None:
    """Inside the face human points replace the teacher's x and y; their jaw is a silhouette, another thing."""
    face, landmark = np.nonzero(np.isfinite(human[:, 17:, 0]))
    landmark = landmark + 17
    points[face, landmark, :2] = human[face, landmark]
    sigma[face, landmark, :2] = noise.human


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
    scores: FloatArray, trust: FloatArray, names: tuple[str, ...], noise: Noise
) -> tuple[FloatArray, FloatArray]:
    n = len(scores)
    mean = np.zeros((n, len(names)), dtype=np.float32)
    spread = np.full((n, len(names)), noise.expression, dtype=np.float32)
    known: NDArray[np.bool_] = (trust > 0.5) & np.isfinite(scores).all(axis=1)
    for column, name in enumerate(names):
        if name in BLENDSHAPES:
            mean[known, column] = scores[known, BLENDSHAPES.index(name)]
            spread[known, column] = noise.blendshape
    return mean, spread
