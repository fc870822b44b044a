from __future__ import annotations

import cv2
import numpy as np
from support.painted import head_model

from tddfa_ros.makeup.places import find_place, nearest_place, place_names
from tddfa_ros.makeup.regions import (
    face_fields,
    inside_outline,
    inside_stroke,
    signed_distance,
    smoothstep,
)
from tddfa_ros.rendering.texture import mirror_vertices


def test_fields_are_symmetric() -> None:
    model = head_model()
    fields = face_fields(model)
    mirror = mirror_vertices(model.mean)
    away = np.linalg.norm(model.mean[mirror] * [-1, 1, 1] - model.mean, axis=1)
    paired = (away < 1e-5) & (np.abs(model.mean[:, 0]) > 1e-4)
    assert paired.mean() > 0.9
    # Landmarks are symmetric to a third of a millimeter, and so are fields that are distances.
    for name, tolerance in (("lips", 0.4), ("mouth", 0.1), ("brows", 0.4), ("cheeks", 0.05)):
        values = getattr(fields, name)
        assert np.abs(values - values[mirror])[paired].max() < tolerance, name


def test_lip_field_covers_lips_and_excludes_mouth() -> None:
    model = head_model()
    fields = face_fields(model)
    names = model.region_names
    inside = np.isin(model.regions, [names.index("inner_mouth"), names.index("tongue")])
    assert (fields.mouth[inside] <= 0).all() and (fields.mouth[~inside] >= 0).all()
    landmarks = 1000 * model.landmarks_of(model.mean)
    points = 1000 * model.mean[(fields.lips > 0) & ~inside]
    assert 21.5 < np.abs(points[:, 0]).max() < 24.5
    assert landmarks[57, 1] - 3 < points[:, 1].min() < landmarks[57, 1]
    assert landmarks[51, 1] - 1 < points[:, 1].max() < landmarks[50, 1] + 1.5


def test_outline_distance_matches_distance_transform() -> None:
    square = np.array([[2, 2], [8, 2], [8, 8], [2, 8]], np.float64)
    grid = np.stack(np.meshgrid(np.arange(0, 10, 0.1), np.arange(0, 10, 0.1)), axis=2)
    found = inside_outline(grid.reshape(-1, 2).astype(np.float32), square).reshape(100, 100)
    inside = (found > 0).astype(np.uint8)
    slow = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    slow -= cv2.distanceTransform(1 - inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    assert np.abs(found - 0.1 * slow).max() < 0.15
    # A smooth line through the corners of a square lies between its inscribed and a slightly larger circle.
    assert np.pi * 3**2 < 0.01 * inside.sum() < np.pi * 4.6**2
    assert abs(found[20, 20]) < 0.1, "the corners lie on it"


def test_distance_to_a_stroke() -> None:
    line = np.array([[0, 0, 0], [5, 0, 0], [10, 0, 0]], np.float32)
    points = np.array([[5, 1, 0], [5, 0, 3], [0, 0.5, 0], [12, 0, 0]], np.float32)
    assert inside_stroke(points, line, (1.0, 2.0, 3.0)).round(2).tolist() == [1.0, -1.0, 0.5, 1.0]


def test_signed_distance_against_brute_force() -> None:
    model = head_model()
    inside = model.regions == model.region_names.index("upper_lip")
    found = signed_distance(model, inside)
    a, b = model.triangles[:, [0, 1, 2]].ravel(), model.triangles[:, [1, 2, 0]].ravel()
    cut = inside[a] != inside[b]
    middles = 500 * (model.mean[a[cut]] + model.mean[b[cut]])
    some = np.random.default_rng(0).choice(model.vertex_count, 200, replace=False)
    slow = np.linalg.norm(1000 * model.mean[some, None] - middles[None], axis=2).min(axis=1)
    assert np.abs(np.abs(found[some]) - slow).max() < 0.6, (
        "middles of edges are samples of the border"
    )
    assert ((found > 0) == inside).all()
    assert (signed_distance(model, np.ones_like(inside)) == 100).all()


def test_smoothstep() -> None:
    values = smoothstep(np.array([-1.0, 0.0, 0.5, 1.0, 3.0]), 0, 1)
    assert values.tolist() == [0, 0, 0.5, 1, 1] and values.dtype == np.float32


def test_anchors_lie_on_the_skin_and_are_symmetric() -> None:
    model = head_model()
    points = {name: 1000 * find_place(model, name).on(model.mean) for name in place_names()}
    for name, point in points.items():
        if name.startswith("left_"):
            other = points[name.replace("left_", "right_")]
            np.testing.assert_allclose(point * [-1, 1, 1], other, atol=0.5, err_msg=name)
            assert point[0] > 20, "left is the person's own"
        elif not name.startswith("right_"):
            assert abs(point[0]) < 0.5, name
    landmarks = 1000 * model.landmarks_of(model.mean)
    np.testing.assert_allclose(points["nose_tip"], landmarks[30], atol=0.5)
    assert points["head_top"][1] > 1000 * model.mean[:, 1].max() - 1
    heights = [points[n][1] for n in ("head_top", "forehead", "nose_bridge", "nose_tip", "moustache", "mouth", "chin")]  # fmt: skip
    assert heights == sorted(heights, reverse=True)


def test_anchor_follows_the_face() -> None:
    model = head_model()
    params = np.zeros(model.layout.size, np.float32)
    params[model.layout.expression_slice][model.expression_names.index("jawOpen")] = 1
    chin = find_place(model, "chin")
    assert chin.on(model.head(params))[1] < chin.on(model.mean)[1] - 0.01


def test_nearest_anchor() -> None:
    model = head_model()
    vertex = int(np.flatnonzero(model.regions == 0)[500])
    found = nearest_place(model, model.mean[vertex])
    assert np.linalg.norm(found.on(model.mean) - model.mean[vertex]) < 1e-4
    assert found.weights.sum() == np.float32(1)
