"""Landmarks slide over the surface to their mean positions in faces of all yaw angles."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from support.face_labels import face_labels
from support.posed import posed
from support.synthetic_model import synthetic_model

from tddfa_ros.fitting.collection import FaceLabels
from tddfa_ros.fitting.collection_fit import AFLW_LIKE, AFLW_POINTS, MEDIAPIPE_POINTS
from tddfa_ros.model_builder.build import DenseHead
from tddfa_ros.model_builder.locate import MIRROR68, basis_on, mirror_pairs
from tddfa_ros.model_builder.slide import Seen, slide
from tddfa_ros.model_builder.views import Views, find_aflw, settle_views, slide_views
from tddfa_ros.model_builder.warp import Warp
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.morphable.surface import nearest_on_surface

MM = 1000.0
FACES = 60


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return synthetic_model(rows=48, columns=64)


@pytest.fixture(scope="module")
def dense(model: MorphableModel) -> DenseHead:
    """The synthetic head in place of the builder's."""
    return DenseHead(
        mean=model.mean.astype(np.float64),
        shape=model.shape_basis.astype(np.float64),
        expression=model.expression_basis.astype(np.float64),
        triangles=model.triangles,
        parts=np.zeros(len(model.triangles), np.uint8),
        source=SimpleNamespace(action_names=model.expression_names),
        matrix=None,
        explained=1.0,
    )


@pytest.fixture(scope="module")
def truth(model: MorphableModel) -> np.ndarray:
    """Where the landmarks are on the mean head (68, 3), mirror images of each other."""
    points = model.head_landmarks(np.zeros(model.layout.size, np.float32)).astype(np.float64)
    return (points + points[MIRROR68] * [-1, 1, 1]) / 2


@pytest.fixture(scope="module")
def params(model: MorphableModel) -> np.ndarray:
    """Faces (60, P) of all yaws up to 80 degrees."""
    rng = np.random.default_rng(4)
    out = np.zeros((FACES, model.layout.size), np.float32)
    yaw = np.linspace(-80, 80, FACES)
    tilt = rng.normal(0, 8, (FACES, 2))
    turn = Rotation.from_euler("YXZ", np.column_stack([yaw, tilt]), degrees=True).as_matrix()
    pose = out[:, :12].reshape(FACES, 3, 4)
    pose[:, :, :3] = 550 * turn
    pose[:, :2, 3] = 60 + rng.uniform(-4, 4, (FACES, 2))
    out[:, model.layout.shape_slice] = rng.normal(0, 0.7, (FACES, model.layout.shape))
    return out


def projected(dense: DenseHead, places: np.ndarray, params: np.ndarray) -> np.ndarray:
    """Points (n, k, 3) of the heads that the places (k, 3) of the mean head belong to."""
    triangle, weights = nearest_on_surface(places, dense.mean, dense.skin)
    basis = basis_on(dense)(triangle.astype(np.int32), weights)
    heads = basis.mean + np.einsum("kxc,nc->nkx", basis.joint, params[:, 12:])
    return posed(heads, params).astype(np.float32)


def displaced(dense: DenseHead, truth: np.ndarray, by: np.ndarray) -> np.ndarray:
    """The places moved by ``by`` (3,) meters, on the surface, left and right alike."""
    moved = truth + np.where(truth[:, :1] > 0, 1, -1) * by * [1, 0, 0] + by * [0, 1, 1]
    moved[np.arange(68) == MIRROR68, 0] = 0
    triangle, weights = nearest_on_surface(moved, dense.mean, dense.skin)
    return np.einsum("kc,kcx->kx", weights, dense.mean[dense.skin[triangle]])


def scattered(dense: DenseHead, truth: np.ndarray) -> np.ndarray:
    """The places moved in all directions by 2 mm a coordinate, left and right alike."""
    noise = np.random.default_rng(7).normal(0, 0.002, truth.shape)
    moved = truth + (noise + noise[MIRROR68] * [-1, 1, 1]) / np.sqrt(2)
    triangle, weights = nearest_on_surface(moved, dense.mean, dense.skin)
    return np.einsum("kc,kcx->kx", weights, dense.mean[dense.skin[triangle]])


def off(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return MM * np.linalg.norm(found - truth, axis=-1)


# -- slide -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found(
    dense: DenseHead, truth: np.ndarray, params: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Start and result of a slide, with a tenth of the labels wrong by 30 px; landmark 20 and its partner were never seen."""
    points = projected(dense, truth, params)[..., :2]
    rng = np.random.default_rng(0)
    wrong = rng.random(points.shape[:2]) < 0.1
    points = points + 30 * wrong[..., None] * rng.normal(0, 1, (*points.shape[:2], 2))
    weight = np.ones(points.shape[:2], np.float32)
    weight[:, [20, MIRROR68[20]]] = 0
    start = displaced(dense, truth, np.array([0.003, 0.004, 0.0]))
    result = slide(
        start,
        Seen(params, points.astype(np.float32), weight),
        basis_on(dense),
        dense.mean,
        dense.skin,
        MIRROR68.astype(np.int32),
        reach=0.006,
        step=0.001,
    )
    return start, result, weight


def test_robust_to_outliers(found: tuple[np.ndarray, ...], truth: np.ndarray) -> None:
    start, result, weight = found
    seen = weight.any(axis=0)
    assert off(start, truth)[seen].mean() > 3.5
    assert off(result, truth)[seen].mean() < 0.8  # the grid is of 1 mm
    assert off(result, truth)[seen].max() < 1.6


def test_unobserved_points_stay(found: tuple[np.ndarray, ...]) -> None:
    start, result, weight = found
    hidden = ~weight.any(axis=0)
    assert hidden.sum() == 2
    np.testing.assert_array_equal(result[hidden], start[hidden])


def test_result_is_symmetric_and_on_the_surface(
    found: tuple[np.ndarray, ...], dense: DenseHead
) -> None:
    _, result, weight = found
    np.testing.assert_allclose(result, result[MIRROR68] * [-1, 1, 1], atol=5e-4)
    middle = np.flatnonzero(np.arange(68) == MIRROR68)
    assert np.abs(result[middle, 0]).max() < 1e-4
    triangle, weights = nearest_on_surface(result, dense.mean, dense.skin)
    surface = np.einsum("kc,kcx->kx", weights, dense.mean[dense.skin[triangle]])
    seen = weight.any(axis=0)
    assert off(result, surface)[seen].max() < 0.3


def test_landmarks_in_the_middle_stay_there_on_a_rough_surface(
    dense: DenseHead, truth: np.ndarray, params: np.ndarray
) -> None:
    rough = dense.mean + np.random.default_rng(2).normal(0, 5e-4, dense.mean.shape)
    points = projected(dense, truth, params)[..., :2]
    result = slide(
        truth,
        Seen(params, points, np.ones(points.shape[:2], np.float32)),
        basis_on(dense),
        rough,
        dense.skin,
        MIRROR68.astype(np.int32),
        reach=0.002,
        step=0.001,
    )
    np.testing.assert_allclose(result, result[MIRROR68] * [-1, 1, 1], atol=1e-12)


def test_mirror_pairs_of_a_nearly_symmetric_set(truth: np.ndarray) -> None:
    noisy = truth + np.random.default_rng(1).normal(0, 2e-4, truth.shape)
    np.testing.assert_array_equal(mirror_pairs(noisy), MIRROR68)


# -- faces -----------------------------------------------------------------------------------------------------------


def test_samples_all_yaw_ranges(dense: DenseHead) -> None:
    yaw = np.tile(np.arange(-94, 95, 2, dtype=np.float32), 30)
    source = face_labels(len(yaw), "cc0", yaw_deg=yaw)
    drawn = Views.draw(dense, [source], np.random.default_rng(0)).faces
    size = np.abs(drawn.yaw_deg)
    assert [((size >= low) & (size < low + 30)).sum() for low in (0, 30)] == [100, 100]
    assert (size >= 60).sum() == 100
    again = Views.draw(dense, [source], np.random.default_rng(0)).faces
    assert again.images.tolist() == drawn.images.tolist()
    aflw = replace(source, source="aflw")
    few = Views.draw(dense, [aflw], np.random.default_rng(0), share=0.1).faces
    bins = np.minimum(np.abs(few.yaw_deg) // 15, 5).astype(int)
    assert np.bincount(bins).tolist() == [25] * 6


def test_excludes_uncertain_and_held_out_faces(dense: DenseHead) -> None:
    spread, evaluation = np.full(90, 0.005, np.float32), np.zeros(90, np.bool_)
    spread[:30], evaluation[30:60] = 0.02, True
    source = face_labels(90, "cc0", spread=spread, evaluation=evaluation)
    drawn = Views.draw(dense, [source], np.random.default_rng(0)).faces
    assert sorted(drawn.images.tolist()) == sorted(f"{i}.jpg" for i in range(60, 90))


# -- all points ------------------------------------------------------------------------------------------------------


def seen_by(
    dense: DenseHead, truth: np.ndarray, aflw: np.ndarray, params: np.ndarray
) -> FaceLabels:
    """AFLW's faces with exact labels of the landmarks, and of the points ``aflw`` (16, 3); some of the latter are slips."""
    count = len(params)
    human = np.full((count, 21, 2), np.nan, np.float32)
    human[:, AFLW_POINTS] = projected(dense, aflw, params)[..., :2]
    slips = np.flatnonzero(np.arange(count) % 3 > 0)
    human[slips[:, None], AFLW_POINTS[[2, 3]]] += 40
    human[1::4, AFLW_POINTS[8]] = np.nan
    yaw = np.degrees(np.arctan2(params[:, 2], params[:, 10])).astype(np.float32)
    teacher = projected(dense, truth, params)
    return face_labels(count, "aflw", teacher68=teacher, human21=human, yaw_deg=yaw)


def test_slides_all_points_and_locates_aflw_points(
    dense: DenseHead, truth: np.ndarray, params: np.ndarray
) -> None:
    """From landmarks that start some mm off, with AFLW's points 4 mm below those they are named after."""
    below = displaced(dense, truth, np.array([0.0, -0.004, 0.0]))[AFLW_LIKE]
    source = seen_by(dense, truth, below, params[::2])
    start = scattered(dense, truth)
    mesh = dense.mean[np.linspace(0, len(dense.mean) - 1, MEDIAPIPE_POINTS).astype(int)]
    lines: list[str] = []
    views = Views.draw(dense, [source], np.random.default_rng(0))
    landmarks, same = slide_views(views, start, mesh, lines.append)
    aflw = find_aflw(views, landmarks, mesh, lines.append)
    np.testing.assert_array_equal(same, mesh)  # MediaPipe saw none of these faces
    eyelids = np.array([37, 38, 40, 41, 43, 44, 46, 47])
    np.testing.assert_array_equal(landmarks[eyelids], start[eyelids])  # not annotated
    others = np.setdiff1d(np.arange(68), eyelids)
    # the coefficients of the fits absorb part of the landmark errors
    assert off(landmarks, truth)[others].mean() < 0.6 * off(start, truth)[others].mean()
    assert aflw.shape == (16, 3)
    shift = (aflw - landmarks[AFLW_LIKE])[:, 1].mean()
    assert MM * shift == pytest.approx(-4, abs=1.2)
    slipped = MM * (aflw - landmarks[AFLW_LIKE])[3]
    assert slipped[1] == pytest.approx(-4, abs=2), "most labels of this point are outliers"
    assert [line.split(":")[0] for line in lines] == ["slide 1", "slide 2", "slide"]


# -- what is left over -----------------------------------------------------------------------------------------------

JAW = np.r_[0:8, 9:17]
NOSE = np.r_[27:36]


def test_jaw_lies_between_teacher_and_human_points(
    dense: DenseHead, truth: np.ndarray, params: np.ndarray
) -> None:
    """Annotators place the jaw 4 mm lower; they have a weight of 1/3 on the visible side."""
    yaw = np.degrees(np.arctan2(params[:, 2], params[:, 10])).astype(np.float32)
    human = projected(dense, displaced(dense, truth, np.array([0, -0.004, 0])), params)[..., :2]
    far = np.where(yaw[:, None] < 0, np.arange(68) > 8, np.arange(68) < 8)
    human[far & (np.arange(68) < 17)] += 30  # an outline, not the jaw
    teacher = projected(dense, truth, params)
    mesh = dense.mean[np.linspace(0, len(dense.mean) - 1, MEDIAPIPE_POINTS).astype(int)]

    def settled(source: str) -> np.ndarray:
        labels = face_labels(FACES, source, teacher68=teacher, human68=human, yaw_deg=yaw)
        views = Views.draw(dense, [labels], np.random.default_rng(0))
        return settle_views(views, truth, mesh, lambda line: None)[0]

    down = MM * (truth - settled("helen"))[JAW, 1]
    assert 0.6 < down.mean() < 3
    assert np.abs(MM * (truth - settled("cc0"))[JAW, 1]).mean() < 0.5, "low weight"
    np.testing.assert_array_equal(settled("helen")[17:36], truth[17:36])


def test_flat_nose_is_raised(dense: DenseHead, truth: np.ndarray, params: np.ndarray) -> None:
    """Faces whose noses are 4 mm longer than that of the mean head, with no nose mode in the basis."""
    dense = replace(dense, shape=0.01 * dense.shape, expression=0.01 * dense.expression)
    nose = Warp(truth, np.where(np.isin(np.arange(68), NOSE)[:, None], [0, 0, 0.004], 0))
    people = replace(dense, mean=dense.mean + nose(dense.mean))
    raised = truth + nose(truth)
    yaw = np.degrees(np.arctan2(params[:, 2], params[:, 10])).astype(np.float32)
    labels = face_labels(FACES, "cc0", teacher68=projected(people, raised, params), yaw_deg=yaw)
    views = Views.draw(dense, [labels], np.random.default_rng(0))
    mesh = dense.mean[np.linspace(0, len(dense.mean) - 1, MEDIAPIPE_POINTS).astype(int)]
    lines: list[str] = []
    landmarks, warp = settle_views(views, truth, mesh, lines.append)
    asked, given = (raised - truth)[NOSE, 2].mean(), warp(landmarks)[NOSE, 2].mean()
    assert MM * asked > 2
    assert 0.5 * asked < given < 0.8 * asked, "three quarters of what pose does not explain"
    assert np.abs(MM * warp(landmarks)[36:48]).max() < 0.7, "eyes stay"
    assert [line.split(":")[0] for line in lines] == ["settle", "warp"]
