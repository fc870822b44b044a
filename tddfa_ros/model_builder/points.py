"""Recompute ``points.json``, the positions of iBUG-68 landmarks and MediaPipe's points on the mean head, from a face collection.

The method is that of :mod:`.locate`, then that of :mod:`.slide` in :mod:`.views`; this module selects faces and initial positions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tddfa_ros.errors import ConfigError
from tddfa_ros.files import write_atomically
from tddfa_ros.fitting.collection import TEACHER_SOURCES, FaceLabels, load_source
from tddfa_ros.fitting.collection_fit import MEDIAPIPE_POINTS
from tddfa_ros.fitting.fit import Targets, batches, fit
from tddfa_ros.model_builder.build import DenseHead
from tddfa_ros.model_builder.locate import (
    MIRROR68,
    align_to_head,
    basis_on,
    mean_face,
    mirror_pairs,
    refine,
)
from tddfa_ros.model_builder.views import Views, find_aflw, settle_views, slide_views
from tddfa_ros.model_builder.warp import Warp
from tddfa_ros.morphable.surface import nearest_on_surface
from tddfa_ros.types import DoubleArray, FloatArray

_ABOUT = (
    "Positions on the mean head after the warp and before the origin is moved to the landmarks: millimeters, x to the person's left, "
    "y up, z out of the face. The warp is given before it: places on anny's mean head, and moves. Written by `tddfa models locate`."
)
_BLOCKS = ("landmarks68_mm", "mediapipe468_mm", "aflw16_mm", "warp_places_mm", "warp_moves_mm")
_SEED = 0
_MAX_SPREAD = 0.012  # of the teacher, ROI widths
_MAX_YAW = {"upright": 25.0, "landmarks": 60.0, "mesh": 22.0}  # degrees
_LANDMARK_SIGMA = (1.5, 1.5, 4.0)  # px of the 120-px crop: x, y, z
_MESH_SIGMA = (4.0, 4.0, 12.0)
_EXPRESSION_SIGMA = 0.35
_EYE_CORNERS_MESH, _EYE_CORNERS = [33, 133, 362, 263], [36, 39, 42, 45]
_MIN_FACES = 20
_USUAL_FACES = 120


@dataclass(frozen=True, eq=False)
class LocatedPoints:
    """Points on the mean head, meters, with the origin of the head.

    Attributes:
        landmarks (68, 3), MediaPipe's mesh (468, 3), AFLW's points (16, 3): on the head as ``warp`` leaves it.
        warp: warp of anny's mean head.
    """

    landmarks: DoubleArray
    mesh: DoubleArray
    aflw: DoubleArray
    warp: Warp

    def save(self, path: Path) -> None:
        """Write the points as JSON, in millimeters."""
        blocks = (self.landmarks, self.mesh, self.aflw, self.warp.places, self.warp.moves)
        lines = [f'{{"about": {json.dumps(_ABOUT)}']
        for name, points in zip(_BLOCKS, blocks, strict=True):
            rows = (json.dumps(row) for row in np.round(1000 * points, 2).tolist())
            lines.append(f'"{name}": [' + ",\n  ".join(rows) + "]")
        write_atomically(path, (",\n".join(lines) + "}\n").encode())

    @classmethod
    def load(cls, path: Path) -> LocatedPoints:
        """Read what :meth:`save` wrote.

        Raises:
            ConfigError: the file is not a points file.
        """
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            blocks = [np.array(stored[name], dtype=np.float64) / 1000 for name in _BLOCKS]
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path} does not hold points of the mean head: {error}") from None
        landmarks, mesh, aflw, places, moves = blocks
        return cls(landmarks, mesh, aflw, Warp(places, moves))


def locate_points(
    root: Path,
    dense: DenseHead,
    report: Callable[[str], None] = print,
    sources: Sequence[str] = TEACHER_SOURCES,
    faces_per_source: int = _USUAL_FACES,
    start: LocatedPoints | None = None,
) -> LocatedPoints:
    """Locate all points on the mean head and estimate its warp. Deterministic: the random faces have a fixed seed.

    Args:
        root: folder of the face collection.
        faces_per_source: faces for the first places of the 68 landmarks; 7/12 of it for those of MediaPipe's points, and 5/6 of it a
            source and 30 degrees of yaw for sliding both (of AFLW 25/12 every 15 degrees).
        start: points that are known already, such as those in use: only what comes after sliding is done, so that labels which were
            made with them stay good.

    Raises:
        ConfigError: the collection lacks a source, or has too few faces that are certain enough.
    """
    share = faces_per_source / _USUAL_FACES
    if start is None:
        landmarks, mesh = _search(root, dense, report, sources, faces_per_source)
    else:
        landmarks, mesh = start.warp.undo(start.landmarks), start.warp.undo(start.mesh)
    labels = [load_source(root, s) for s in sources]
    views = Views.draw(dense, labels, np.random.default_rng(_SEED), share)
    if start is None:
        landmarks, mesh = slide_views(views, landmarks, mesh, report)
    settled, warp = settle_views(views, landmarks, mesh, report)
    if start is None:
        aflw = find_aflw(views, settled, mesh, report)
    else:
        aflw = start.warp.undo(start.aflw)
    settled, mesh, aflw = (points + warp(points) for points in (settled, mesh, aflw))
    return LocatedPoints(settled, mesh, aflw, warp)


def _search(
    root: Path,
    dense: DenseHead,
    report: Callable[[str], None],
    sources: Sequence[str],
    faces_per_source: int,
) -> tuple[DoubleArray, DoubleArray]:
    """Find initial positions of the 68 landmarks and of MediaPipe's 468 points, from mean faces and fits."""
    rng = np.random.default_rng(_SEED)
    report("68 landmarks")
    faces = [
        _draw(load_source(root, s), rng, faces_per_source, _MAX_YAW["landmarks"]) for s in sources
    ]
    landmarks = _landmarks(
        dense,
        _enough(np.concatenate([f.teacher for f in faces])),
        np.concatenate([f.yaw_deg for f in faces]),
        report,
    )
    report(f"{MEDIAPIPE_POINTS} points of MediaPipe")
    count = max(1, faces_per_source * 7 // 12)
    faces = [
        _draw(load_source(root, s), rng, count, _MAX_YAW["mesh"], with_mesh=True) for s in sources
    ]
    mesh = _mesh(
        dense,
        landmarks,
        _enough(np.concatenate([f.teacher for f in faces])),
        np.concatenate([f.mesh for f in faces]),
        report,
    )
    return landmarks, mesh


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Attributes: teacher (n, 68, 3), mesh (n, 468, 3), yaw_deg (n,) of the faces drawn from a source."""

    teacher: FloatArray
    mesh: FloatArray
    yaw_deg: FloatArray


def _draw(
    labels: FaceLabels,
    rng: np.random.Generator,
    count: int,
    max_yaw: float,
    with_mesh: bool = False,
) -> _Drawn:
    """Draw at most ``count`` random faces with a certain teacher label that are not held out."""
    good = (labels.spread < _MAX_SPREAD) & ~labels.evaluation & (np.abs(labels.yaw_deg) < max_yaw)
    if with_mesh:
        good &= np.isfinite(labels.mesh478[:, 0, 0])
    rows = rng.permutation(np.flatnonzero(good))[:count]
    return _Drawn(
        labels.teacher68[rows], labels.mesh478[rows, :MEDIAPIPE_POINTS], labels.yaw_deg[rows]
    )


def _enough(points: FloatArray) -> FloatArray:
    if len(points) < _MIN_FACES:
        raise ConfigError(
            f"only {len(points)} faces are certain enough to locate points; {_MIN_FACES} are needed"
        )
    return points


def _landmarks(
    dense: DenseHead, points: FloatArray, yaw_deg: FloatArray, report: Callable[[str], None]
) -> DoubleArray:
    upright = _enough(points[np.abs(yaw_deg) < _MAX_YAW["upright"]])
    start = align_to_head(mean_face(upright), _anchors(dense))
    return refine(
        start,
        _targets(points, None),
        basis_on(dense),
        dense.mean,
        dense.skin,
        MIRROR68.astype(np.int32),
        np.ones(len(points), np.float32),
        report,
        rounds=6,
    )


def _mesh(
    dense: DenseHead,
    landmarks: DoubleArray,
    teacher: FloatArray,
    mesh: FloatArray,
    report: Callable[[str], None],
) -> DoubleArray:
    """Locate MediaPipe's points: map them to the head by fits of the 68 landmarks, then refine both together."""
    # MediaPipe's z has another origin: align its eye corners with those of the teacher.
    depth = teacher[:, _EYE_CORNERS, 2].mean(axis=1) - mesh[:, _EYE_CORNERS_MESH, 2].mean(axis=1)
    mesh = mesh + depth[:, None, None] * np.array([0, 0, 1], np.float32)
    basis_at = basis_on(dense)
    triangle, weights = nearest_on_surface(landmarks, dense.mean, dense.skin)
    basis = basis_at(triangle.astype(np.int32), weights)
    targets = _targets(teacher, None)
    params = np.concatenate(
        [fit(basis, targets[rows], 6).params for rows in batches(len(targets), 256)]
    )
    start = np.median(_to_model(mesh, params), axis=0).astype(np.float64)
    partner = mirror_pairs(start)
    start = (start + start[partner] * [-1, 1, 1]) / 2
    found = refine(
        np.concatenate([landmarks, start]),
        _targets(teacher, mesh),
        basis_at,
        dense.mean,
        dense.skin,
        np.concatenate([MIRROR68, partner + 68]).astype(np.int32),
        np.ones(len(teacher), np.float32),
        report,
        rounds=4,
        moved=np.arange(68, 68 + MEDIAPIPE_POINTS, dtype=np.int32),
    )
    return found[68:]


def _anchors(dense: DenseHead) -> dict[tuple[int, ...], DoubleArray]:
    """Return approximate positions of some landmarks: centers of the regions that facial actions move, and the tip of the nose."""
    place = {
        name: _center(dense, name)
        for name in ("eyeBlinkLeft", "eyeBlinkRight", "mouthSmileLeft", "mouthSmileRight")
    }
    below_eyes = dense.mean[dense.mean[:, 1] < place["eyeBlinkLeft"][1]]
    return {
        tuple(range(36, 42)): place["eyeBlinkRight"],
        tuple(range(42, 48)): place["eyeBlinkLeft"],
        (48,): place["mouthSmileRight"],
        (54,): place["mouthSmileLeft"],
        (30,): below_eyes[below_eyes[:, 2].argmax()],
    }


def _center(dense: DenseHead, action: str) -> DoubleArray:
    moved = dense.expression[:, :, dense.source.action_names.index(action)]
    weight = (moved**2).sum(axis=1)
    return np.asarray((weight[:, None] * dense.mean).sum(axis=0) / weight.sum())


def _targets(teacher: FloatArray, mesh: FloatArray | None) -> Targets:
    points = teacher if mesh is None else np.concatenate([teacher, mesh], axis=1)
    precision = np.empty(points.shape, dtype=np.float32)
    precision[:, :68] = 1 / np.array(_LANDMARK_SIGMA)
    precision[:, 68:] = 1 / np.array(_MESH_SIGMA)
    zero = np.zeros((len(points), 52), np.float32)
    return Targets(points.astype(np.float32), precision, zero, zero + np.float32(_EXPRESSION_SIGMA))


def _to_model(points: FloatArray, params: FloatArray) -> FloatArray:
    """Transform points (n, L, 3) of faces from the crop frame to the model frame."""
    pose = params[:, :12].reshape(-1, 3, 4)
    scale = np.linalg.norm(pose[:, 0, :3], axis=1)
    centered = points - pose[:, None, :, 3]
    return np.einsum("nyx,nly->nlx", pose[:, :, :3], centered) / (scale**2)[:, None, None]
