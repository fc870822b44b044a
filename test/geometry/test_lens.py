"""Lens models against OpenCV's own projection."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from support.metric_heads import landmarks, weak_pose

from tddfa_ros.errors import CameraError
from tddfa_ros.geometry import camera, lens, perspective
from tddfa_ros.geometry.pose import CAMERA_FROM_CROP, Similarity, rotation_from_yaw_pitch_roll
from tddfa_ros.geometry.rotation import angle_between
from tddfa_ros.types import EQUIDISTANT, Intrinsics

K = np.array([[420.0, 0, 652.0], [0, 425.0, 488.0], [0, 0, 1]])
IDEAL = np.zeros(4)
FISHEYE = np.array([-0.012, 0.021, -0.014, 0.003])
BARREL = np.array([-0.32, 0.12, 0.001, -0.0008, -0.02])
RATIONAL = np.array([3.1, 1.9, 1e-4, 2e-4, 0.08, 3.4, 2.9, 0.5])


def fisheye(d: np.ndarray = IDEAL) -> Intrinsics:
    return Intrinsics(1280, 960, K, d, distortion_model=EQUIDISTANT)


def off_axis(degrees: float, around: float = 30.0, distance: float = 0.9) -> np.ndarray:
    theta, phi = np.radians(degrees), np.radians(around)
    return distance * np.array(
        [np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)]
    )


@pytest.mark.parametrize("d", [IDEAL, FISHEYE], ids=["ideal", "distorted"])
def test_equidistant_projection_is_cv2_fisheye(d: np.ndarray) -> None:
    points = np.array([off_axis(a, 37.0 * a) for a in range(0, 81, 4)])
    expected, _ = cv2.fisheye.projectPoints(points[:, None], np.zeros(3), np.zeros(3), K, d)
    np.testing.assert_allclose(lens.project(points, fisheye(d)), expected[:, 0], atol=1e-6)


def test_ideal_fisheye_radius_is_f_theta() -> None:
    cam = Intrinsics(1280, 960, np.diag([400.0, 400.0, 1.0]), distortion_model=EQUIDISTANT)
    radius = np.hypot(*lens.project(off_axis(42.0)[None], cam)[0])
    assert radius == pytest.approx(400 * np.radians(42.0), rel=1e-12)


@pytest.mark.parametrize(
    "cam",
    [
        fisheye(),
        fisheye(FISHEYE),
        fisheye(FISHEYE[:2]),
        Intrinsics(1280, 960, K * [[2], [2], [1]], BARREL),
        Intrinsics(1280, 960, K, RATIONAL),
        Intrinsics(1280, 960, K),
        Intrinsics(1280, 960, np.array([[500.0, 12.0, 640.0], [0, 800.0, 500.0], [0, 0, 1]])),
    ],
    ids=["fisheye", "fisheye k", "fisheye k2", "plumb_bob", "rational", "pinhole", "skew"],
)
def test_viewing_rays_invert_projection(cam: Intrinsics) -> None:
    points = np.array([off_axis(a, 53.0 * a) for a in range(0, 37, 3)])
    rays = lens.viewing_rays(lens.project(points, cam), cam)
    assert rays.kept.all()
    np.testing.assert_allclose(rays.uv.T, points[:, :2] / points[:, 2:], atol=1e-6)
    # The derivative predicts how the pixel moves with the ray.
    step = np.array([2e-4, -1e-4])
    moved = lens.project(np.column_stack([rays.uv.T + step, np.ones(len(points))]), cam)
    predicted = np.einsum("ijn,j->ni", rays.derivative, step)
    np.testing.assert_allclose(moved - lens.project(points, cam), predicted, atol=2e-3)


def test_fisheye_pixels_behind_the_camera_have_no_ray() -> None:
    cam = fisheye()
    pixels = np.array([[652.0 + 420 * np.radians(a), 488.0] for a in (10, 80, 95, 120)])
    np.testing.assert_array_equal(lens.viewing_rays(pixels, cam).kept, [True, True, False, False])


@pytest.mark.parametrize("cam", [fisheye(), Intrinsics(1280, 960, K, np.array([-0.45, 0, 0, 0]))])
def test_pixels_that_all_have_no_ray(cam: Intrinsics) -> None:
    rays = lens.viewing_rays(np.array([[9000.0, 500.0], [9100.0, 600.0]]), cam)
    assert not rays.kept.any()
    assert rays.uv.shape == (2, 0)
    assert rays.derivative.shape == (2, 2, 0)


@pytest.mark.parametrize("angle", [0.0, 20.0, 42.0, 60.0])
def test_metric_pose_of_a_face_off_axis_in_a_fisheye_image(angle: float) -> None:
    """42 degrees off axis, a pinhole model without distortion was 25 % wrong in distance."""
    head, cam = landmarks(), fisheye(FISHEYE)
    r = CAMERA_FROM_CROP @ rotation_from_yaw_pitch_roll(np.array([10.0, 5.0, 0.0]))
    t = off_axis(angle)
    points, _ = cv2.fisheye.projectPoints(
        (head @ r.T + t)[:, None], np.zeros(3), np.zeros(3), K, FISHEYE
    )
    pixels = points[:, 0]
    weak = weak_pose(head, pixels)
    fit = camera.metric_fit(head, pixels, weak, cam)
    assert np.linalg.norm(fit.translation - t) < 0.01 * np.linalg.norm(t)
    assert np.degrees(float(angle_between(fit.rotation, r))) < 0.5
    assert fit.head_pose.reprojection_error < 0.05


def test_face_behind_a_fisheye_has_an_uncertain_pose() -> None:
    head, cam = landmarks(), fisheye()
    pixels = head[:, :2] * [400, -400] + (652 + 420 * np.radians(110), 488)
    weak = Similarity(400.0, np.eye(3), np.array([*pixels.mean(0), 0.0]))
    inside = camera.metric_fit(head, pixels - (420 * np.radians(110), 0), weak, cam).head_pose
    outside = camera.metric_fit(head, pixels, weak, cam).head_pose
    assert np.isfinite(outside.position).all()
    ratio = np.diag(outside.covariance) / np.diag(inside.covariance)
    assert (ratio > 10).all()


@pytest.mark.parametrize(
    ("k", "d", "match"),
    [
        (1e12, [], "focal length of 1e"),
        (1e-9, [], "focal length of 1e-09"),
        (500.0, [1e6, 0, 0, 0], "coefficient of 1e"),
        (500.0, [0, 0, -1e6, 0], "coefficient of 1e"),
    ],
)
def test_rejects_absurd_calibration(k: float, d: list[float], match: str) -> None:
    with pytest.raises(CameraError, match=match) as error:
        Intrinsics(640, 480, np.diag([k, k, 1.0]), np.array(d))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("model", ["plumb_bob", "equidistant"])
@pytest.mark.parametrize("d", [[900.0, 0, 0, 0], [-900.0, 0, 0, 0], [-60.0, 0, 0, 0]])
def test_rejects_coefficients_that_do_not_describe_a_lens(model: str, d: list[float]) -> None:
    cam = Intrinsics(
        640,
        480,
        np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]]),
        np.array(d),
        distortion_model=model,
    )
    with pytest.raises(CameraError, match="do not describe a lens"):
        lens.check_lens(cam)


@pytest.mark.parametrize(
    "cam",
    [
        Intrinsics(1280, 960, K * [[1.5], [1.5], [1]], BARREL),
        Intrinsics(1280, 960, K, RATIONAL),
        fisheye(),
        fisheye(FISHEYE),
        Intrinsics(1280, 960, K * [[0.6], [0.6], [1]], distortion_model=EQUIDISTANT),  # 190 degrees
        Intrinsics(0, 0, K, BARREL),
    ],
)
def test_accepts_real_lenses(cam: Intrinsics) -> None:
    lens.check_lens(cam)


def test_rejects_unknown_distortion_model() -> None:
    with pytest.raises(CameraError, match="'kannala' is not supported; supported are plumb_bob"):
        Intrinsics(640, 480, K, distortion_model="kannala")
    with pytest.raises(CameraError, match="at most 4"):
        Intrinsics(640, 480, K, np.full(5, 0.01), distortion_model=EQUIDISTANT)
    with pytest.raises(CameraError, match="at most 14"):
        Intrinsics(640, 480, K, np.full(15, 0.01))


@pytest.mark.parametrize("cam", [fisheye(), Intrinsics(1280, 960, K)], ids=["fisheye", "pinhole"])
@pytest.mark.parametrize("angle", [5.0, 42.0, 58.0])
def test_start_of_the_fit_off_axis(
    cam: Intrinsics, angle: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the image plane a face far off axis is stretched several times; the start was half as far, and the refinement refused."""
    monkeypatch.setattr(perspective, "_ITERATIONS", 0)
    head = landmarks()
    ray = off_axis(angle) / 0.9
    axis = np.cross([0.0, 0.0, 1.0], ray)
    toward = cv2.Rodrigues(axis / np.linalg.norm(axis) * np.radians(angle))[0]
    turned = rotation_from_yaw_pitch_roll(np.array([5.0, 0.0, 0.0]))
    r, t = toward @ CAMERA_FROM_CROP @ turned, 0.9 * ray
    pixels = lens.project(head @ r.T + t, cam)
    weak = Similarity(1.0, turned, np.zeros(3))  # what a network sees in its crop of a small face
    fit = camera.metric_fit(head, pixels, weak, cam)
    assert np.linalg.norm(fit.translation) == pytest.approx(0.9, rel=0.05)
    assert np.degrees(float(angle_between(fit.rotation, r))) < 3
