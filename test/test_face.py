from __future__ import annotations

import weakref
from dataclasses import replace

import cv2
import numpy as np
import pytest
from support.synthetic_model import random_params, synthetic_model

from tddfa_ros.errors import CameraError
from tddfa_ros.face import Face, TrackedFace, grouped, reconstruct
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


def people(count: int = 7) -> list[TrackedFace]:
    """Faces of one image with different people, expressions, poses and ROIs."""
    model, rng = synthetic_model(), np.random.default_rng(4)
    found = []
    for i in range(count):
        values = random_params(model, rng)
        r = pose.rotation_from_yaw_pitch_roll(rng.uniform(-1, 1, 3) * [80, 30, 50])
        values[:12] = pose.compose(rng.uniform(400, 700), r, rng.uniform(55, 65, 3)).ravel()
        roi = np.repeat(rng.uniform(0, 400, (1, 2)), 2, axis=0).ravel()
        roi[2:] += rng.uniform(60, 300)
        sigma = rng.uniform(0.5, 2.0, 68).astype(np.float32)
        found.append(
            TrackedFace(BOX, 0.9, values, roi, model, CAMERA, sigma, id=f"f{i}", stamp=1.0)
        )
    return found


def test_faces_evaluated_together_equal_single_faces() -> None:
    """To rounding errors: 0.001 px and 1 um for dense vertices by the definition in float64, 1e-7 for poses."""
    together, alone = grouped(people()), people()
    reconstruct(together)
    model = synthetic_model()
    bases = np.concatenate([model.shape_basis, model.expression_basis], axis=2).astype(np.float64)
    for a, b in zip(together, alone, strict=True):
        assert a._place[0] is together[0]._place[0]
        np.testing.assert_allclose(a.landmarks68, b.landmarks68, atol=1e-3)
        np.testing.assert_allclose(a.landmarks_metric, b.landmarks_metric, atol=1e-6)
        np.testing.assert_allclose(a.head_pose.position, b.head_pose.position, atol=1e-7)
        np.testing.assert_allclose(a.head_pose.rotation, b.head_pose.rotation, atol=1e-7)
        np.testing.assert_allclose(a.head_pose.covariance, b.head_pose.covariance, rtol=1e-4)
        head = model.mean + bases @ a.params[12:].astype(np.float64)
        crop = head @ a.pose[:, :3].T.astype(np.float64) + a.pose[:, 3]
        side = (a.roi[2] - a.roi[0]) / 120
        px = np.stack([crop[:, 0] - 1, 120 - crop[:, 1], crop[:, 2] - 1], axis=1) * side
        px[:, :2] += a.roi[:2]
        np.testing.assert_allclose(a.vertices, px, atol=1e-3)
        placed = head @ b.metric_fit.rotation.T + b.metric_fit.translation
        np.testing.assert_allclose(a.vertices_metric, placed, atol=1e-6)


def test_face_without_a_pose_does_not_affect_its_group() -> None:
    faces = people(3)
    values = faces[1].params.copy()
    values[20] = np.nan
    faces[1] = faces[1].replace(params=values)
    grouped(faces)
    with pytest.raises(CameraError, match="NaN"):
        _ = faces[1].metric_fit
    assert np.isfinite(faces[0].landmarks_metric).all()
    assert np.isfinite(faces[2].landmarks_metric).all()


def test_faces_of_other_models_and_cameras_are_grouped_apart() -> None:
    other = synthetic_model(shape=30)
    values = np.concatenate([people(1)[0].params[:42], people(1)[0].params[52:]])
    faces: list[Face] = [
        *people(2),
        face(None),
        Face(BOX, 0.9, values, ROI, other, CAMERA),
        face(Intrinsics.from_fov(640, 480, 40.0)),
    ]
    grouped(faces)
    assert len({id(f._place[0]) for f in faces}) == 4
    assert faces[4].head_pose.position[2] > 1.3 * face().head_pose.position[2]
    reconstruct(faces)
    assert [len(f.vertices) for f in faces] == [f.model.vertex_count for f in faces]


def test_copy_with_changes_leaves_the_group() -> None:
    faces = grouped(people(3))
    assert faces[0].landmarks68 is not None
    turned = faces[0].replace(params=params((-40.0, 0.0, 0.0)))
    np.testing.assert_allclose(
        turned.landmarks68, turned.model.landmarks_of(turned.vertices), atol=0.05
    )
    assert "_place" not in vars(replace(faces[1], confidence=0.1))


def test_face_does_not_keep_the_others_of_its_image() -> None:
    faces = grouped(people(3))
    reconstruct(faces)
    gone, kept = weakref.ref(faces[0]), faces[2]
    assert kept.landmarks_metric is not None
    assert kept.vertices.base is None or kept.vertices.base.nbytes < 2 * kept.vertices.nbytes
    del faces
    assert gone() is None
