from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from support.synthetic_model import random_params, synthetic_model

from tddfa_ros.errors import CameraError
from tddfa_ros.face import Face, TrackedFace
from tddfa_ros.geometry import pose
from tddfa_ros.types import Intrinsics

ROI = np.array([200.0, 100.0, 440.0, 340.0])
BOX = np.array([220.0, 120.0, 400.0, 320.0])
CAMERA = Intrinsics.from_fov(640, 480)


def params(angles: tuple[float, float, float] = (20.0, -10.0, 5.0)) -> np.ndarray:
    values = random_params(synthetic_model(), np.random.default_rng(0))
    r = pose.rotation_from_yaw_pitch_roll(np.array(angles))
    values[:12] = pose.compose(600.0, r, np.array([61.0, 60.0, 1.0])).ravel()
    return values


def face(intrinsics: Intrinsics | None = CAMERA) -> Face:
    return Face(BOX, 0.9, params(), ROI, synthetic_model(), intrinsics)


def test_pixel_values_share_one_frame() -> None:
    f = face()
    model = synthetic_model()
    assert f.vertices.shape == (model.vertex_count, 3)
    np.testing.assert_allclose(f.landmarks68, model.landmarks_of(f.vertices), atol=0.05)
    np.testing.assert_allclose(f.coarse_vertices, f.vertices[model.coarse_indices], atol=0.05)
    # The crop center (61 - 1, 120 - 60) is where the model's origin, the landmarks' mean, was put.
    np.testing.assert_allclose(f.image_pose.translation, [320, 220, 0], atol=1e-3)
    assert (
        f.landmarks68[30, 2] > f.landmarks68[[0, 16], 2].max()
    )  # the nose is nearer than the ears


def test_metric_values_share_one_pose() -> None:
    f = face()
    model = synthetic_model()
    np.testing.assert_allclose(f.landmarks_metric, model.landmarks_of(f.vertices_metric), atol=5e-5)
    np.testing.assert_allclose(
        f.coarse_vertices_metric, f.vertices_metric[model.coarse_indices], atol=5e-5
    )
    np.testing.assert_allclose(f.landmarks_metric[27], f.head_pose.position, atol=1e-6)


def test_metric_landmarks_project_onto_the_pixel_landmarks() -> None:
    f = face()
    projected, _ = cv2.projectPoints(
        f.landmarks_metric.astype(np.float64), np.zeros(3), np.zeros(3), CAMERA.k, None
    )
    distance = np.linalg.norm(projected.reshape(-1, 2) - f.landmarks68[:, :2], axis=1)
    rms = float(np.sqrt(np.mean(distance**2)))
    assert rms == pytest.approx(f.head_pose.reprojection_error, rel=1e-3)
    assert rms < 0.04 * f.face_size  # what weak perspective itself is wrong by at this distance


def test_distance_follows_from_head_size_and_focal_length() -> None:
    """600 crop px per meter, twice that in the image: z = f / 1200."""
    assert face().head_pose.position[2] == pytest.approx(CAMERA.k[0, 0] / 1200, rel=0.1)


def test_angles_round_trip() -> None:
    np.testing.assert_allclose(face().yaw_pitch_roll, [20, -10, 5], atol=1e-3)


def test_expression_maps_names_to_coefficients() -> None:
    f = face()
    assert list(f.expression) == list(f.model.expression_names)
    index = f.model.expression_names.index("jawOpen")
    assert f.expression["jawOpen"] == pytest.approx(float(f.params[52 + index]))
    with pytest.raises(TypeError):
        f.expression["jawOpen"] = 1.0  # type: ignore[index]


def test_face_size_is_the_root_of_the_landmark_box_area() -> None:
    f = face()
    width, height = np.ptp(f.landmarks68[:, 0]), np.ptp(f.landmarks68[:, 1])
    assert f.face_size == pytest.approx(np.sqrt(width * height))


def test_without_intrinsics_only_metric_values_are_missing() -> None:
    f = face(None)
    assert np.isfinite(f.vertices).all()
    for name in ("head_pose", "vertices_metric", "landmarks_metric", "coarse_vertices_metric"):
        with pytest.raises(CameraError, match="intrinsics"):
            getattr(f, name)


def test_non_finite_face_is_a_camera_error() -> None:
    broken = Face(BOX, 0.0, np.full_like(params(), np.nan), ROI, synthetic_model(), CAMERA)
    with pytest.raises(CameraError, match="NaN"):
        _ = broken.head_pose


def test_values_are_computed_once_and_read_only() -> None:
    f = face()
    assert f.vertices is f.vertices
    assert f.head_pose is f.head_pose
    with pytest.raises(ValueError, match="read-only"):
        f.vertices[0] = 0


def test_replace_recomputes_derived_values() -> None:
    tracked = TrackedFace(
        BOX, 0.9, params(), ROI, synthetic_model(), CAMERA, id="f7", stamp=2.5, age=3
    )
    before = tracked.vertices.copy()
    turned = tracked.replace(params=params((-40.0, 0.0, 0.0)))
    assert (turned.id, turned.stamp, turned.age) == ("f7", 2.5, 3)
    np.testing.assert_allclose(turned.yaw_pitch_roll, [-40, 0, 0], atol=1e-3)
    assert np.abs(turned.vertices - before).max() > 5
    np.testing.assert_array_equal(tracked.vertices, before)


def test_landmark_sigma_scales_to_image_pixels() -> None:
    plain = face()
    assert plain.landmark_sigma is None, "a network that predicts none"
    told = replace(plain, crop_sigma=np.full(68, 1.5, np.float32))
    assert told.landmark_sigma is not None
    np.testing.assert_allclose(told.landmark_sigma, 1.5 * 240 / 120, rtol=1e-6)
    assert not told.landmark_sigma.flags.writeable
