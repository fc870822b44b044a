"""Final stages of :mod:`.points`: optimize all points by :mod:`.slide` on faces of all yaw angles.

:func:`slide_views`: the 68 landmarks and MediaPipe's points, alternating with fits. :func:`settle_views`: the landmarks on which the
teacher and human annotators disagree, jaw and eyelids, are placed between both, and residuals at brows, nose and mouth become a
:mod:`.warp` of the mean head. :func:`find_aflw`: AFLW's points, which start at the corresponding landmarks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tddfa_ros.fitting.collection import FaceLabels
from tddfa_ros.fitting.collection_fit import (
    AFLW_LIKE,
    AFLW_POINTS,
    MEDIAPIPE_POINTS,
    Noise,
    make_targets,
)
from tddfa_ros.fitting.fit import PointBasis, Targets, batches, fit
from tddfa_ros.model_builder.build import DenseHead
from tddfa_ros.model_builder.locate import MIRROR68, basis_on, mirror_pairs
from tddfa_ros.model_builder.slide import Seen, slide
from tddfa_ros.model_builder.warp import Warp, mean_residuals
from tddfa_ros.morphable.surface import nearest_on_surface
from tddfa_ros.types import DoubleArray, FloatArray, IntArray

_BINS = tuple((low, low + 30, 100) for low in (0, 30, 60))
_AFLW_BINS = tuple((low, low + 15, 250) for low in range(0, 90, 15))
"""Yaw from and to, degrees, and faces."""
_MAX_SPREAD = 0.012  # of the teacher, ROI widths
_LANDMARK_ROUNDS = ((0.009, 0.0015), (0.006, 0.001))  # reach and step, m
_MESH_ROUND = (0.004, 0.001)
_SETTLE_ROUND = (0.006, 0.001)
_AFLW_ROUNDS = ((0.008, 0.001), (0.003, 0.001))
_MESH_YAW = 30.0  # degrees up to which MediaPipe's points are used
_SLIP = 0.09  # of the face size: human points farther from the teacher's are outliers
_HUMAN_SOURCES = ("helen", "afw")  # sources with accurate human annotations
_EYELIDS = np.array([37, 38, 40, 41, 43, 44, 46, 47])
_RIGHT_JAW, _LEFT_JAW = slice(0, 8), slice(9, 17)
_DISPUTED = np.r_[_RIGHT_JAW, _LEFT_JAW, _EYELIDS]
_WARPED = np.r_[17:36, 48:68]
_MIRROR = MIRROR68.astype(np.int32)
_NEAR_SIDE = (
    20.0,
    60.0,
)  # degrees of yaw at which annotators mark the jaw on the near side, not the outline
_HUMAN_SHARE = 1 / 3  # weight of human points at jaw and eyelids
_TAKEN = 0.75  # of the residual; the rest may be an error of the teacher
_ITERATIONS, _BATCH = 5, 48


@dataclass(frozen=True, eq=False)
class Views:
    """Faces of all yaw angles.

    Attributes:
        dense: the head on which points are located.
        faces: labels of n faces; by_hand: (n,) whether the source has accurate human annotations.
        targets: targets of the fits.
    """

    dense: DenseHead
    faces: FaceLabels
    by_hand: NDArray[np.bool_]
    targets: Targets

    @classmethod
    def draw(
        cls,
        dense: DenseHead,
        sources: Sequence[FaceLabels],
        rng: np.random.Generator,
        share: float = 1.0,
    ) -> Views:
        """Sample about 100 faces of a source per 30 degrees of yaw, of AFLW 250 per 15; or a ``share`` of that.

        Faces with an uncertain teacher label and held-out faces are omitted.
        """
        drawn = [_draw(labels, rng, share) for labels in sources]
        by_hand = [np.full(len(d.images), d.source in _HUMAN_SOURCES) for d in drawn]
        faces = _together(drawn)
        targets = _targets(faces, tuple(dense.source.action_names))
        return cls(dense, faces, np.concatenate(by_hand), targets)

    def fit(self, landmarks: DoubleArray, mesh: DoubleArray) -> FloatArray:
        """Fit all faces, (n, P), with the points at these positions on the mean head."""
        basis = self.basis(np.concatenate([landmarks, mesh]))
        rows = tqdm(
            list(batches(len(self.targets), _BATCH)), desc="fit views", unit="batch", disable=None
        )
        parts = [fit(basis, self.targets[part], _ITERATIONS).params for part in rows]
        return np.concatenate(parts)

    def basis(self, points: DoubleArray) -> PointBasis:
        """Return the model at the points of the skin nearest to ``points``."""
        triangle, weights = nearest_on_surface(points, self.dense.mean, self.dense.skin)
        return basis_on(self.dense)(triangle.astype(np.int32), weights)

    def slide(
        self, points: DoubleArray, seen: Seen, mirror: IntArray, reach: float, step: float
    ) -> DoubleArray:
        """Run :func:`.slide.slide` on the skin of this head."""
        dense = self.dense
        return slide(points, seen, basis_on(dense), dense.mean, dense.skin, mirror, reach, step)


def slide_views(
    views: Views, landmarks: DoubleArray, mesh: DoubleArray, report: Callable[[str], None]
) -> tuple[DoubleArray, DoubleArray]:
    """Slide landmarks (68, 3) and MediaPipe's mesh (468, 3) on the mean head, meters."""
    partner = mirror_pairs(mesh).astype(np.int32)
    for number, (reach, step) in enumerate(_LANDMARK_ROUNDS, 1):
        params = views.fit(landmarks, mesh)
        moved = views.slide(landmarks, _seen_landmarks(views, params), _MIRROR, reach, step)
        moved_mesh = views.slide(mesh, _seen_mesh(views, params), partner, *_MESH_ROUND)
        report(
            f"slide {number}: landmarks by {_mean_mm(moved - landmarks):.2f} mm, "
            f"MediaPipe's points by {_mean_mm(moved_mesh - mesh):.2f} mm"
        )
        landmarks, mesh = moved, moved_mesh
    return landmarks, mesh


def settle_views(
    views: Views, landmarks: DoubleArray, mesh: DoubleArray, report: Callable[[str], None]
) -> tuple[DoubleArray, Warp]:
    """Place landmarks (68, 3), meters, between teacher and human annotations, and estimate the warp of the mean head."""
    params = views.fit(landmarks, mesh)
    settled = views.slide(landmarks, _seen_by_both(views, params), _MIRROR, *_SETTLE_ROUND)
    report(f"settle: jaw and eyelids by {_mean_mm((settled - landmarks)[_DISPUTED]):.2f} mm")
    teacher = views.faces.teacher68[..., :2]
    seen = Seen(params, teacher, np.ones(teacher.shape[:2], dtype=np.float32))
    moves = np.zeros_like(settled)
    moves[_WARPED] = _TAKEN * mean_residuals(seen, views.basis(settled), _MIRROR)[_WARPED]
    warp = Warp(settled, moves)
    report(f"warp: brows, nose and mouth by {_mean_mm(warp(settled)[_WARPED]):.2f} mm")
    return settled, warp


def find_aflw(
    views: Views, landmarks: DoubleArray, mesh: DoubleArray, report: Callable[[str], None]
) -> DoubleArray:
    """Locate AFLW's points (16, 3) on the mean head, meters; at their landmarks if no face has them."""
    start = landmarks[AFLW_LIKE]
    if not np.isfinite(views.faces.human21).any():
        return start
    seen = _seen_aflw(views.faces, views.fit(landmarks, mesh))
    like = AFLW_LIKE.tolist()
    mirror = np.array([like.index(MIRROR68[i]) for i in like], dtype=np.int32)
    points = start
    for reach, step in _AFLW_ROUNDS:
        points = views.slide(points, seen, mirror, reach, step)
    report(f"slide: AFLW's points by {_mean_mm(points - start):.2f} mm")
    return points


def _draw(labels: FaceLabels, rng: np.random.Generator, share: float) -> FaceLabels:
    good = (labels.spread < _MAX_SPREAD) & ~labels.evaluation
    yaw = np.minimum(np.abs(labels.yaw_deg), 89.9)
    chosen = [
        rng.permutation(np.flatnonzero(good & (yaw >= low) & (yaw < high)))[
            : max(1, round(share * count))
        ]
        for low, high, count in (_AFLW_BINS if labels.source == "aflw" else _BINS)
    ]
    rows = np.concatenate(chosen)
    arrays = {f.name: getattr(labels, f.name)[rows] for f in fields(labels) if f.name != "source"}
    return replace(labels, **arrays)


def _together(sources: Sequence[FaceLabels]) -> FaceLabels:
    names = [f.name for f in fields(FaceLabels) if f.name != "source"]
    return FaceLabels("all", *(np.concatenate([getattr(s, n) for s in sources]) for n in names))


def _targets(faces: FaceLabels, names: tuple[str, ...]) -> Targets:
    """Return the targets of training without AFLW's points, which are not located yet."""
    without = replace(faces, human21=np.full_like(faces.human21, np.nan))
    made = make_targets(without, names, Noise())
    known = 68 + MEDIAPIPE_POINTS
    return replace(made, points=made.points[:, :known], precision=made.precision[:, :known])


def _seen_landmarks(views: Views, params: FloatArray) -> Seen:
    """Return accurate human points, else those of the teacher; for eyelids only the former, for the jaw only the latter."""
    faces = views.faces
    human = np.isfinite(faces.human68[..., 0]) & views.by_hand[:, None]
    inner = human & (np.arange(68) >= 17)
    points = np.where(inner[..., None], faces.human68, faces.teacher68[..., :2])
    weight = np.ones(inner.shape, dtype=np.float32)
    weight[:, _EYELIDS] = human[:, _EYELIDS]
    return Seen(params, points, weight)


def _seen_by_both(views: Views, params: FloatArray) -> Seen:
    """Average jaw and eyelids of teacher and human points with fixed weights; the human jaw on the near side only."""
    faces = views.faces
    teacher = np.zeros(faces.teacher68.shape[:2], dtype=np.float32)
    teacher[:, _DISPUTED] = 1
    near = (np.abs(faces.yaw_deg) > _NEAR_SIDE[0]) & (np.abs(faces.yaw_deg) < _NEAR_SIDE[1])
    human = np.zeros_like(teacher)
    human[near & (faces.yaw_deg < 0), _RIGHT_JAW] = 1
    human[near & (faces.yaw_deg > 0), _LEFT_JAW] = 1
    human[:, _EYELIDS] = 1
    human *= views.by_hand[:, None] & np.isfinite(faces.human68[..., 0])
    teacher *= (1 - _HUMAN_SHARE) / np.maximum(teacher.sum(axis=0), 1)
    human *= _HUMAN_SHARE / np.maximum(human.sum(axis=0), 1)
    points = np.concatenate([faces.teacher68[..., :2], np.nan_to_num(faces.human68)])
    return Seen(np.concatenate([params, params]), points, np.concatenate([teacher, human]))


def _seen_mesh(views: Views, params: FloatArray) -> Seen:
    targets = views.targets
    frontal = np.abs(views.faces.yaw_deg) < _MESH_YAW
    known = (targets.precision[:, 68:, 0] > 0) & frontal[:, None]
    return Seen(params, targets.points[:, 68:, :2], known.astype(np.float32))


def _seen_aflw(faces: FaceLabels, params: FloatArray) -> Seen:
    points = faces.human21[:, AFLW_POINTS]
    teacher = faces.teacher68[..., :2]
    size = np.sqrt(np.prod(np.ptp(teacher, axis=1), axis=1))
    distance = np.linalg.norm(points - teacher[:, AFLW_LIKE], axis=2)
    known = np.nan_to_num(distance, nan=np.inf) < _SLIP * size[:, None]
    return Seen(params, np.nan_to_num(points), known.astype(np.float32))


def _mean_mm(moves: DoubleArray) -> float:
    return float(1000 * np.linalg.norm(moves, axis=1).mean())
