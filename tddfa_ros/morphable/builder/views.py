"""The last rounds of :mod:`.points`: :mod:`.slide` all points, on faces of all yaws that are fitted as for training.

First the 68 landmarks and MediaPipe's points in turns with the fits, then AFLW's points, which start at the landmarks they are named after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tddfa_ros.morphable.builder.build import DenseHead
from tddfa_ros.morphable.builder.locate import MIRROR68, basis_on, mirror_pairs
from tddfa_ros.morphable.builder.slide import Seen, slide
from tddfa_ros.morphable.builder.surface import nearest_on_surface
from tddfa_ros.training.faces import FaceLabels
from tddfa_ros.training.fit import Targets, batches, fit
from tddfa_ros.training.labels import (
    AFLW_LIKE,
    AFLW_POINTS,
    MEDIAPIPE_POINTS,
    Noise,
    make_targets,
)
from tddfa_ros.types import DoubleArray, FloatArray, IntArray

_BINS = tuple((low, low + 30, 100) for low in (0, 30, 60))
_AFLW_BINS = tuple((low, low + 15, 250) for low in range(0, 90, 15))
"""Yaw from and to, degrees, and faces."""
_MAX_SPREAD = 0.012  # of the teacher, ROI widths
_LANDMARK_ROUNDS = ((0.009, 0.0015), (0.006, 0.001))  # reach and step, m
_MESH_ROUND = (0.004, 0.001)
_AFLW_ROUNDS = ((0.008, 0.001), (0.003, 0.001))
_MESH_YAW = 30.0  # degrees up to which MediaPipe's points are believed
_SLIP = 0.09  # of the face size: a human point so far from the teacher's is a mistake
_HUMAN_SOURCES = ("helen", "afw")  # whose human points were set with care
_EYELIDS = np.array([37, 38, 40, 41, 43, 44, 46, 47])
_ITERATIONS, _BATCH = 5, 48


def draw_views(labels: FaceLabels, rng: np.random.Generator, share: float = 1.0) -> FaceLabels:
    """About 100 random faces of a source every 30 degrees of yaw, of AFLW 250 every 15; or a ``share`` of that.

    Faces whose teacher was unsure, and those kept for evaluation, are left out.
    """
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


def slide_views(
    dense: DenseHead,
    landmarks: DoubleArray,
    mesh: DoubleArray,
    sources: Sequence[FaceLabels],
    report: Callable[[str], None],
) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """Slide landmarks (68, 3) and MediaPipe's mesh (468, 3), and find AFLW's points (16, 3), all on the mean head in metres."""
    faces = _together(sources)
    by_hand = [np.full(len(s.images), s.source in _HUMAN_SOURCES) for s in sources]
    targets = _targets(faces, tuple(dense.source.action_names))
    partner = mirror_pairs(mesh).astype(np.int32)
    for number, (reach, step) in enumerate(_LANDMARK_ROUNDS, 1):
        params = _fit(dense, landmarks, mesh, targets)
        seen = _seen_landmarks(faces, np.concatenate(by_hand), params)
        moved = _slide(dense, landmarks, seen, MIRROR68.astype(np.int32), reach, step)
        moved_mesh = _slide(dense, mesh, _seen_mesh(faces, targets, params), partner, *_MESH_ROUND)
        report(
            f"slide {number}: landmarks by {_mean_mm(moved - landmarks):.2f} mm, "
            f"MediaPipe's points by {_mean_mm(moved_mesh - mesh):.2f} mm"
        )
        landmarks, mesh = moved, moved_mesh
    return landmarks, mesh, _aflw(dense, landmarks, mesh, faces, targets, report)


def _aflw(
    dense: DenseHead,
    landmarks: DoubleArray,
    mesh: DoubleArray,
    faces: FaceLabels,
    targets: Targets,
    report: Callable[[str], None],
) -> DoubleArray:
    start = landmarks[AFLW_LIKE]
    shown = np.isfinite(faces.human21).any(axis=(1, 2))
    if not shown.any():
        return start
    params = _fit(dense, landmarks, mesh, targets)
    seen = _seen_aflw(faces, params)
    like = AFLW_LIKE.tolist()
    mirror = np.array([like.index(MIRROR68[i]) for i in like], dtype=np.int32)
    points = start
    for reach, step in _AFLW_ROUNDS:
        points = _slide(dense, points, seen, mirror, reach, step)
    report(f"slide: AFLW's points by {_mean_mm(points - start):.2f} mm")
    return points


def _together(sources: Sequence[FaceLabels]) -> FaceLabels:
    names = [f.name for f in fields(FaceLabels) if f.name != "source"]
    return FaceLabels("all", *(np.concatenate([getattr(s, n) for s in sources]) for n in names))


def _targets(faces: FaceLabels, names: tuple[str, ...]) -> Targets:
    """As for training, but without AFLW's points, whose places are still sought."""
    without = replace(faces, human21=np.full_like(faces.human21, np.nan))
    made = make_targets(without, names, Noise())
    known = 68 + MEDIAPIPE_POINTS
    return replace(made, points=made.points[:, :known], precision=made.precision[:, :known])


def _fit(
    dense: DenseHead, landmarks: DoubleArray, mesh: DoubleArray, targets: Targets
) -> FloatArray:
    triangle, weights = nearest_on_surface(
        np.concatenate([landmarks, mesh]), dense.mean, dense.skin
    )
    basis = basis_on(dense)(triangle.astype(np.int32), weights)
    rows = tqdm(list(batches(len(targets), _BATCH)), desc="fit views", unit="batch")
    return np.concatenate([fit(basis, targets[part], _ITERATIONS).params for part in rows])


def _slide(
    dense: DenseHead, points: DoubleArray, seen: Seen, mirror: IntArray, reach: float, step: float
) -> DoubleArray:
    return slide(points, seen, basis_on(dense), dense.mean, dense.skin, mirror, reach, step)


def _seen_landmarks(faces: FaceLabels, by_hand: NDArray[np.bool_], params: FloatArray) -> Seen:
    """Human points where they were set with care, else the teacher's; of eyelids only the former, of the jaw only the latter."""
    human = np.isfinite(faces.human68[..., 0]) & by_hand[:, None]
    inner = human & (np.arange(68) >= 17)
    points = np.where(inner[..., None], faces.human68, faces.teacher68[..., :2])
    weight = np.ones(inner.shape, dtype=np.float32)
    weight[:, _EYELIDS] = human[:, _EYELIDS]
    return Seen(params, points, weight)


def _seen_mesh(faces: FaceLabels, targets: Targets, params: FloatArray) -> Seen:
    known = (targets.precision[:, 68:, 0] > 0) & (np.abs(faces.yaw_deg) < _MESH_YAW)[:, None]
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
