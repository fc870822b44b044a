from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from support.posed import posed, random_faces

from tddfa_ros.errors import ConfigError
from tddfa_ros.fitting.collection_fit import AFLW_LIKE
from tddfa_ros.fitting.fit import PointBasis, Targets
from tddfa_ros.model_builder.build import DenseHead
from tddfa_ros.model_builder.locate import MIRROR68, align_to_head, mean_face, refine
from tddfa_ros.model_builder.points import LocatedPoints, locate_points
from tddfa_ros.model_builder.warp import Warp
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.morphable.surface import POINTS_FILE

MM = 1000.0


@pytest.fixture(scope="module")
def model(repo_root: Path) -> MorphableModel:
    return MorphableModel.load(repo_root / "models" / "tddfa_head.npz")


@pytest.fixture(scope="module")
def skin(model: MorphableModel) -> np.ndarray:
    inner = [
        model.region_names.index(n) for n in ("inner_mouth", "tongue", "left_eye", "right_eye")
    ]
    return model.triangles[~np.isin(model.regions[model.triangles], inner).any(axis=1)]


def test_mirror68_is_an_involution_with_a_fixed_middle() -> None:
    np.testing.assert_array_equal(MIRROR68[MIRROR68], np.arange(68))
    fixed = np.flatnonzero(np.arange(68) == MIRROR68).tolist()
    assert fixed == [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]


def test_mean_face_of_turned_faces_is_the_face(model: MorphableModel) -> None:
    rng = np.random.default_rng(0)
    params = random_faces(model, rng, 40)
    params[:, 12:] = 0
    found = mean_face(posed(model.head_landmarks(params), params).astype(np.float32))
    face = model.head_landmarks(np.zeros_like(params[0])).astype(np.float64)
    face -= face.mean(axis=0)
    face /= np.linalg.norm(face)
    # upright to the mean of the random turns, which leaves a few degrees of nodding
    rotation, _ = Rotation.align_vectors(face, found)
    assert np.abs(rotation.apply(found) - face).max() < 2e-3
    turned = rotation.as_rotvec()
    assert np.degrees(np.abs(turned[1:])).max() < 0.5, "no yaw, no roll"
    np.testing.assert_allclose(found, found[MIRROR68] * [-1, 1, 1], atol=1e-9)


def test_align_to_head_is_a_similarity(model: MorphableModel) -> None:
    face = model.head_landmarks(np.zeros(model.layout.size, np.float32)).astype(np.float64)
    moved = 0.01 * Rotation.from_rotvec([0.3, 0, 0]).apply(face) + [1, 2, 3]
    groups = ((36, 39), (42, 45), (48,), (54,), (30,))
    anchors = {g: face[list(g)].mean(axis=0) for g in groups}
    np.testing.assert_allclose(align_to_head(moved, anchors), face, atol=1e-9)


def test_refine_recovers_displaced_points(model: MorphableModel, skin: np.ndarray) -> None:
    """Points displaced by 4 mm return to their positions in images of known faces."""
    rng = np.random.default_rng(1)
    params = random_faces(model, rng, 40, expressions=3)
    params[:, model.layout.shape_slice] *= 0.5
    points = posed(model.head_landmarks(params), params).astype(np.float32)
    zero = np.zeros((40, 52), np.float32)
    precision = np.broadcast_to(np.float32([1, 1, 0.3]), points.shape).copy()
    targets = Targets(points, precision, zero, zero + np.float32(0.35))

    def basis_at(triangle: np.ndarray, weights: np.ndarray) -> PointBasis:
        corners = skin[triangle]
        at = lambda b: np.einsum("kc,kc...->k...", weights, b[corners]).astype(np.float32)  # noqa: E731
        return PointBasis(at(model.mean), at(model.shape_basis), at(model.expression_basis))

    true = model.head_landmarks(np.zeros(model.layout.size, np.float32)).astype(np.float64)
    start = true.copy()
    moved = [19, 24, 37, 44, 48, 54]
    start[moved, 1] += 0.004
    found = refine(
        start, targets, basis_at, model.mean.astype(np.float64), skin, MIRROR68.astype(np.int32),
        np.ones(40, np.float32), lambda line: None, rounds=3, moved=np.array(moved, np.int32),
    )  # fmt: skip
    assert MM * np.linalg.norm(found - true, axis=1)[moved].max() < 1.0
    unmoved = np.setdiff1d(np.arange(68), moved)
    assert MM * np.linalg.norm(found - true, axis=1)[unmoved].max() < 0.5


def test_points_file_round_trip(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    warp = Warp(rng.normal(size=(68, 3)), rng.normal(size=(68, 3)))
    points = LocatedPoints(
        rng.normal(size=(68, 3)), rng.normal(size=(468, 3)), rng.normal(size=(16, 3)), warp
    )
    points.save(tmp_path / "points.json")
    read, stored = (json.loads(p.read_text()) for p in (tmp_path / "points.json", POINTS_FILE))
    assert list(read) == list(stored)
    assert read["about"] == stored["about"]
    np.testing.assert_allclose(read["landmarks68_mm"], MM * points.landmarks, atol=0.0051)
    np.testing.assert_allclose(read["mediapipe468_mm"], MM * points.mesh, atol=0.0051)
    np.testing.assert_allclose(read["aflw16_mm"], MM * points.aflw, atol=0.0051)
    again = LocatedPoints.load(tmp_path / "points.json")
    np.testing.assert_allclose(again.landmarks, points.landmarks, atol=6e-6)
    np.testing.assert_allclose(again.warp.places, warp.places, atol=6e-6)
    np.testing.assert_allclose(again.warp.moves, warp.moves, atol=6e-6)


def test_rejects_invalid_points_file(tmp_path: Path) -> None:
    path = tmp_path / "points.json"
    for content in ("no json", "[]", '{"landmarks68_mm": [[0, 0, 0]]}'):
        path.write_text(content)
        with pytest.raises(ConfigError, match=r"points\.json does not hold points"):
            LocatedPoints.load(path)


@pytest.fixture(scope="module")
def dense(model: MorphableModel, skin: np.ndarray) -> DenseHead:
    """Replace the head of the builder, which needs anny, by the finished model."""
    return DenseHead(
        mean=model.mean.astype(np.float64),
        shape=model.shape_basis.astype(np.float64),
        expression=model.expression_basis.astype(np.float64),
        triangles=skin,
        parts=np.zeros(len(skin), np.uint8),
        source=SimpleNamespace(action_names=model.expression_names),
        matrix=None,
        explained=1.0,
    )


def test_few_faces_recover_stored_landmarks(data_dir: Path, dense: DenseHead) -> None:
    lines: list[str] = []
    found = locate_points(
        data_dir / "faces",
        dense,
        lines.append,
        sources=("afw", "cc0", "helen"),
        faces_per_source=14,
    )
    stored = json.loads(POINTS_FILE.read_text())
    expected = np.array(stored["landmarks68_mm"])
    shift = expected.mean(axis=0)  # the finished model's origin
    off = np.linalg.norm(MM * found.landmarks + shift - expected, axis=1)
    assert off.mean() < 1.5 and off.max() < 4
    mesh = np.linalg.norm(MM * found.mesh + shift - np.array(stored["mediapipe468_mm"]), axis=1)
    # the stored points are older than the one-pixel correction of the annotations, about 0.4 mm
    assert np.median(mesh) < 1.8
    np.testing.assert_allclose(found.landmarks, found.landmarks[MIRROR68] * [-1, 1, 1], atol=3e-4)
    np.testing.assert_array_equal(found.aflw, found.landmarks[AFLW_LIKE])  # none of AFLW's faces
    assert any("round 6" in line for line in lines)
    assert any(line.startswith("slide 2") for line in lines)
    assert any(line.startswith("settle") for line in lines)


def test_known_points_stay_close(data_dir: Path, dense: DenseHead) -> None:
    """A few faces refine jaw and eyelids only; other points change only by the warp."""
    stored = LocatedPoints.load(POINTS_FILE)
    origin = stored.landmarks.mean(axis=0)  # the finished model's
    no_warp = Warp(stored.landmarks - origin, np.zeros((68, 3)))
    start = LocatedPoints(
        stored.landmarks - origin, stored.mesh - origin, stored.aflw - origin, no_warp
    )
    lines: list[str] = []
    found = locate_points(
        data_dir / "faces",
        dense,
        lines.append,
        sources=("afw", "cc0"),
        faces_per_source=30,
        start=start,
    )
    assert [line.split(":")[0] for line in lines] == ["settle", "warp"]
    warp = found.warp
    np.testing.assert_allclose(warp.undo(found.mesh), start.mesh, atol=1e-6)
    np.testing.assert_allclose(warp.undo(found.aflw), start.aflw, atol=1e-6)
    moved = MM * np.linalg.norm(warp.undo(found.landmarks) - start.landmarks, axis=1)
    kept = np.r_[8, 17:37, 39, 42, 45, 48:68]
    assert moved[kept].max() < 0.01
    assert moved.max() < 7


def test_rejects_too_few_faces(data_dir: Path, dense: DenseHead) -> None:
    with pytest.raises(ConfigError, match="only 2 faces"):
        locate_points(
            data_dir / "faces", dense, lambda line: None, sources=("cc0",), faces_per_source=2
        )
