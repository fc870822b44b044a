"""Scale from depth images, rendered from heads of known size."""

from __future__ import annotations

import numpy as np
import pytest

from tddfa_ros.face import TrackedFace
from tddfa_ros.geometry.lens import project
from tddfa_ros.geometry.pose import Similarity, crop_pose, rotation_from_yaw_pitch_roll
from tddfa_ros.model_store.store import default_store
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.rendering.raster import visible_surface
from tddfa_ros.tracking.depth import MEMORY, DepthScale, measure_scale
from tddfa_ros.types import Intrinsics

WIDTH, HEIGHT = 640, 480
CAMERA = Intrinsics(WIDTH, HEIGHT, np.array([[600.0, 0, 330], [0, 600, 250], [0, 0, 1]]))


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return MorphableModel.load(default_store().path("tddfa-head"))


def face_at(model: MorphableModel, yaw: float = 0.0, face_id: str = "f1") -> TrackedFace:
    roi = np.array([240.0, 160.0, 400.0, 320.0])
    params = np.zeros(model.layout.size, dtype=np.float32)
    turned = rotation_from_yaw_pitch_roll(np.array([yaw, 5.0, -8.0]))
    params[:12] = crop_pose(Similarity(750.0, turned, np.array([320.0, 240.0, 0.0])), roi).ravel()
    return TrackedFace(roi, 0.9, params, roi, model, CAMERA, id=face_id, stamp=1.0)


def rendered_depth(face: TrackedFace, factor: float, background: float = 2.5) -> np.ndarray:
    """Depth image, m, of the head of a face, ``factor`` times as large and as far: the color image stays the same."""
    vertices = factor * face.vertices_metric.astype(np.float64)
    points = np.column_stack([project(vertices, CAMERA), -1000 * vertices[:, 2]])
    surface = visible_surface(points.astype(np.float32), face.model.triangles, (HEIGHT, WIDTH))
    values = surface.interpolate(vertices[:, 2:].astype(np.float32))[..., 0]
    return np.where(surface.mask, values, np.float32(background))


@pytest.mark.parametrize("yaw", [0.0, 35.0, -60.0])
@pytest.mark.parametrize("factor", [0.78, 1.0, 1.15])
def test_depth_gives_size_and_distance(model: MorphableModel, yaw: float, factor: float) -> None:
    face = face_at(model, yaw)
    rng = np.random.default_rng(0)
    depth = rendered_depth(face, factor)
    true = factor * face.head_pose.position
    depth += rng.normal(0, 0.004, depth.shape).astype(np.float32)
    depth[rng.random(depth.shape) < 0.2] = 0.0  # not measured
    (scaled,) = DepthScale()([face], depth)
    assert scaled.scale is not None and scaled.scale.measured
    assert scaled.scale.factor == pytest.approx(factor, rel=0.01)
    pose = scaled.head_pose
    np.testing.assert_allclose(pose.position, true, rtol=0.01)
    np.testing.assert_allclose(pose.rotation, face.head_pose.rotation, atol=1e-9)
    ray = true / np.linalg.norm(true)
    stated = np.sqrt(ray @ pose.covariance[:3, :3] @ ray)
    assert abs(ray @ (pose.position - true)) < 3 * stated < 0.03 * np.linalg.norm(true) + 0.01
    np.testing.assert_allclose(scaled.vertices_metric, factor * face.vertices_metric, rtol=0.02, atol=1e-3)  # fmt: skip


def test_hand_in_front_of_the_face_does_not_move_it(model: MorphableModel) -> None:
    face = face_at(model)
    depth = rendered_depth(face, 0.85)
    depth[270:] = 0.45  # mouth and chin
    scale = measure_scale(face, depth)
    assert scale is not None
    assert scale.factor == pytest.approx(0.85, rel=0.015)


def test_covered_or_missing_depth_gives_no_scale(model: MorphableModel) -> None:
    face = face_at(model)
    assert measure_scale(face, np.zeros((HEIGHT, WIDTH), np.float32)) is None
    far = face.replace(params=face.params.copy())
    far.params[3] += 1000  # outside the image
    assert measure_scale(far, rendered_depth(face, 1.0)) is None


def test_size_is_kept_for_images_without_depth(model: MorphableModel) -> None:
    scale = DepthScale()
    face, other = face_at(model), face_at(model, face_id="f2")
    depth = rendered_depth(face, 0.8)
    assert scale([face], None)[0].scale is None
    scale([face], depth)
    kept, unknown = scale([face, other], None)
    assert kept.scale is not None and kept.scale.factor == pytest.approx(0.8, rel=0.01)
    assert unknown.scale is None


def test_remembered_size_is_the_mean_of_a_track(model: MorphableModel) -> None:
    scale, face = DepthScale(), face_at(model)
    for i in range(2 * MEMORY):
        factor = 0.9 + 0.02 * (-1) ** i
        (found,) = scale([face], rendered_depth(face, factor))
        assert found.scale is not None
        assert found.scale.factor == pytest.approx(factor, abs=0.004)
    (kept,) = scale([face], None)
    assert kept.scale is not None
    assert kept.scale.factor == pytest.approx(0.9, abs=0.003)
    assert kept.scale.sigma > 2 * found.scale.sigma
