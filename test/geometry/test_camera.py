from __future__ import annotations

import cv2
import numpy as np
import pytest
from support.metric_heads import landmarks, weak_pose
from support.single_face_fit import single_metric_fit

from tddfa_ros.errors import CameraError
from tddfa_ros.geometry import camera, lens, pose
from tddfa_ros.geometry import covariance as noise
from tddfa_ros.geometry.rotation import angle_between
from tddfa_ros.geometry.scale import HEAD_SIZE_SIGMA, HeadScale
from tddfa_ros.types import Intrinsics

PLAIN = np.zeros(0)
BARREL = np.array([-0.32, 0.12, 0.001, -0.0008, -0.02])
RATIONAL = np.array([3.1, 1.9, 1e-4, 2e-4, 0.08, 3.4, 2.9, 0.5])


def intrinsics(d: np.ndarray = PLAIN, assumed: bool = False) -> Intrinsics:
    k = np.array([[600.0, 0, 322.5], [0, 610.0, 236.0], [0, 0, 1]])
    return Intrinsics(640, 480, k, d, assumed)


def scene(angles: list[float], at: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """True camera <- model rotation and translation."""
    r = pose.CAMERA_FROM_CROP @ pose.rotation_from_yaw_pitch_roll(np.array(angles))
    return r, np.array(at)


def seen(head: np.ndarray, r: np.ndarray, t: np.ndarray, cam: Intrinsics) -> np.ndarray:
    """Pixels by OpenCV itself, independent of the module under test."""
    d = cam.d if len(cam.d) else None
    points, _ = cv2.projectPoints(head, cv2.Rodrigues(r)[0], t, cam.k, d)
    return points.reshape(-1, 2)


SCENES = [
    ([0, 0, 0], [0.0, 0.0, 0.6]),
    ([25, -15, 20], [0.1, -0.05, 0.5]),
    ([-70, 10, -30], [-0.3, 0.1, 1.0]),
    ([85, 0, 0], [0.2, 0.1, 0.7]),
    ([10, 40, 5], [0.0, 0.0, 0.25]),  # very close: perspective changes the face's shape
    ([-20, 10, 175], [0.5, 0.2, 3.0]),  # upside down, far
]


@pytest.mark.parametrize("d", [PLAIN, BARREL, RATIONAL], ids=["pinhole", "plumb_bob", "rational"])
@pytest.mark.parametrize(("angles", "at"), SCENES)
def test_recovers_the_true_pose(angles: list[float], at: list[float], d: np.ndarray) -> None:
    cam, head = intrinsics(d), landmarks()
    r, t = scene(angles, at)
    pixels = seen(head, r, t, cam)
    fit = camera.metric_fit(head, pixels, weak_pose(head, pixels), cam)
    assert np.degrees(float(angle_between(fit.rotation, r))) < 0.02
    assert np.linalg.norm(fit.translation - t) < 2e-4 * t[2]
    assert fit.head_pose.reprojection_error < 0.01
    sellion = r @ head[27] + t
    np.testing.assert_allclose(fit.head_pose.position, sellion, atol=2e-4 * t[2])
    np.testing.assert_allclose(fit.head_pose.rotation, fit.rotation @ pose.FACE_FROM_MODEL.T)


def test_face_frame_of_a_frontal_face() -> None:
    """REP-155: x out of the face (to the camera, -z), y to the person's left (image right, +x), z up (-y)."""
    cam, head = intrinsics(), landmarks()
    pixels = seen(head, *scene([0, 0, 0], [0, 0, 0.7]), cam)
    rotation = camera.metric_fit(head, pixels, weak_pose(head, pixels), cam).head_pose.rotation
    np.testing.assert_allclose(rotation, [[0, 1, 0], [0, 0, -1], [-1, 0, 0]], atol=1e-5)


def test_skewed_camera_matrix() -> None:
    cam = Intrinsics(
        640, 480, np.array([[500.0, 12.0, 100.0], [0, 800.0, 500.0], [0, 0, 1]]), BARREL / 4
    )
    head = landmarks()
    r, t = scene([20, 10, 5], [0.1, 0.05, 0.8])
    pixels = lens.project(head @ r.T + t, cam)
    fit = camera.metric_fit(head, pixels, weak_pose(head, pixels), cam)
    assert np.degrees(float(angle_between(fit.rotation, r))) < 0.02
    np.testing.assert_allclose(fit.translation, t, atol=2e-4)


@pytest.mark.parametrize("d", [PLAIN, BARREL, RATIONAL], ids=["pinhole", "plumb_bob", "rational"])
def test_project_is_opencvs(d: np.ndarray) -> None:
    cam, head = intrinsics(d), landmarks()
    r, t = scene([30, 20, 10], [0.1, 0.1, 0.5])
    np.testing.assert_allclose(lens.project(head @ r.T + t, cam), seen(head, r, t, cam), atol=1e-6)


def test_odd_numbers_of_distortion_coefficients_are_padded() -> None:
    cam, padded = intrinsics(np.array([-0.2, 0.05])), intrinsics(np.array([-0.2, 0.05, 0, 0]))
    points = np.array([[0.1, 0.2, 1.0], [-0.3, 0.1, 0.9]])
    np.testing.assert_allclose(lens.project(points, cam), lens.project(points, padded))


def test_landmarks_without_undistortion_are_excluded() -> None:
    """Far outside a barrel-distorted image the polynomial folds back; half of this face lies there."""
    cam, head = intrinsics(np.array([-0.45, 0.0, 0.0, 0.0])), landmarks()
    r, t = scene([0, 0, 0], [0.52, 0.0, 0.75])
    pixels = seen(head, r, t, cam)
    outside = pixels.copy()
    outside[pixels[:, 0] > np.median(pixels[:, 0]), 0] += 600.0
    fit = camera.metric_fit(head, outside, weak_pose(head, pixels), cam)
    assert np.isfinite(fit.head_pose.covariance).all()
    assert np.degrees(float(angle_between(fit.rotation, r))) < 3
    assert np.linalg.norm(fit.translation - t) < 0.05


def test_face_partly_outside_the_image() -> None:
    cam, head = intrinsics(), landmarks()
    r, t = scene([30, 0, 0], [-0.45, 0.0, 0.7])
    pixels = seen(head, r, t, cam)
    assert (pixels[:, 0] < 0).sum() > 20
    fit = camera.metric_fit(head, pixels, weak_pose(head, pixels), cam)
    np.testing.assert_allclose(fit.translation, t, atol=1e-3)


def test_falls_back_to_weak_perspective(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pose that contradicts its own landmarks: the fit must keep the pose, not flip the head."""
    cam, head = intrinsics(), landmarks()
    pixels = seen(head, *scene([60, 0, 0], [0.0, 0.0, 0.6]), cam)
    wrong = weak_pose(head, seen(head, *scene([-30, 0, 0], [0.0, 0.0, 0.6]), cam))
    fit = camera.metric_fit(head, pixels, wrong, cam)
    assert (
        np.degrees(float(angle_between(pose.CAMERA_FROM_CROP @ fit.rotation, wrong.rotation))) < 5
    )
    good = camera.metric_fit(head, pixels, weak_pose(head, pixels), cam)
    assert fit.head_pose.reprojection_error > 5
    assert np.trace(fit.head_pose.covariance[3:, 3:]) > 2 * np.trace(
        good.head_pose.covariance[3:, 3:]
    )


def test_fit_is_robust_to_noise() -> None:
    cam, head = intrinsics(), landmarks()
    rng = np.random.default_rng(3)
    r, t = scene([35, 5, 0], [0.1, 0.0, 0.8])
    pixels = seen(head, r, t, cam)
    for _ in range(20):
        noisy = pixels + rng.normal(scale=2.0, size=pixels.shape)
        fit = camera.metric_fit(head, noisy, weak_pose(head, noisy), cam)
        assert np.degrees(float(angle_between(fit.rotation, r))) < 5
        assert fit.head_pose.reprojection_error == pytest.approx(2.0 * np.sqrt(2), rel=0.3)


def test_distance_covariance_matches_head_size_spread() -> None:
    """Heads of other sizes than believed: the errors must be as large as the covariance says."""
    cam, head = intrinsics(), landmarks()
    r, t = scene([10, 0, 0], [0.25, -0.1, 0.8])
    rng = np.random.default_rng(4)
    true = r @ head[27] + t
    errors = []
    for size in 1 + HEAD_SIZE_SIGMA * rng.normal(size=80):
        pixels = seen(head, r, t / size, cam)  # a head of `size` times ours at t looks just so
        fit = camera.metric_fit(head, pixels, weak_pose(head, pixels), cam)
        errors.append((fit.head_pose.position - true) @ true / np.linalg.norm(true))
    ray = true / np.linalg.norm(true)
    stated = np.sqrt(ray @ fit.head_pose.covariance[:3, :3] @ ray)
    assert np.std(errors) == pytest.approx(stated, rel=0.25)
    assert stated > HEAD_SIZE_SIGMA * np.linalg.norm(true)


def test_covariance_matches_correlated_landmark_noise() -> None:
    """Noise as stated (2.4 % of the face, 7 independent patches): mean Mahalanobis distance squared near 5.

    Five, not six: the distance along the ray is held by the size prior, which this noise does not exercise.
    """
    cam, head = intrinsics(), landmarks()
    r, t = scene([15, 5, 0], [0.1, 0.05, 0.7])
    pixels = seen(head, r, t, cam)
    face_size = np.sqrt(np.prod(np.ptp(pixels, axis=0)))
    rng = np.random.default_rng(5)
    true = r @ head[27] + t
    # Independent noise blown up by sqrt(68 / 7) moves the pose as 7 independent points' worth of noise would.
    spread = noise.LANDMARK_SIGMA * face_size * np.sqrt(68 / noise.INDEPENDENT_LANDMARKS)
    stated = camera.metric_fit(head, pixels, weak_pose(head, pixels), cam).head_pose.covariance
    distances = []
    for _ in range(150):
        noisy = pixels + rng.normal(scale=spread, size=pixels.shape)
        fit = camera.metric_fit(head, noisy, weak_pose(head, pixels), cam)
        turn = cv2.Rodrigues(fit.rotation @ r.T)[0].ravel()
        error = np.concatenate([fit.head_pose.position - true, turn])
        distances.append(error @ np.linalg.solve(stated, error))
    assert 3.5 < np.mean(distances) < 7


def test_covariance_is_positive_and_larger_for_assumed_camera() -> None:
    head = landmarks()
    r, t = scene([15, 5, 0], [0.2, 0.05, 0.7])
    pixels = seen(head, r, t, intrinsics())
    known = camera.metric_fit(head, pixels, weak_pose(head, pixels), intrinsics()).head_pose
    assumed = camera.metric_fit(
        head, pixels, weak_pose(head, pixels), intrinsics(assumed=True)
    ).head_pose
    for covariance in (known.covariance, assumed.covariance):
        assert (np.linalg.eigvalsh(covariance) > 0).all()
        np.testing.assert_array_equal(covariance, covariance.T)
    ratio = np.sqrt(np.diag(assumed.covariance) / np.diag(known.covariance))
    np.testing.assert_allclose(
        ratio[:2], 1.0, atol=1e-9
    )  # x and y do not depend on the focal length
    assert ratio[2] > 2
    degrees = np.degrees(np.sqrt(np.diag(known.covariance)[3:]))
    assert (degrees > 0.5).all()
    assert (degrees < 6).all()


def test_covariance_covers_wrong_focal_length() -> None:
    """Fit with a focal length that is 10 % too long; compare with the assumed-camera direction of the covariance."""
    head = landmarks()
    r, t = scene([0, 0, 0], [0.4, 0.1, 1.2])
    true_cam = intrinsics()
    k = true_cam.k.copy()
    k[0, 0] *= 1.1
    k[1, 1] *= 1.1
    pixels = seen(head, r, t, true_cam)
    wrong = camera.metric_fit(head, pixels, weak_pose(head, pixels), Intrinsics(640, 480, k))
    right = camera.metric_fit(head, pixels, weak_pose(head, pixels), true_cam)
    moved = wrong.head_pose.position - right.head_pose.position
    assert moved[2] == pytest.approx(0.1 * 1.2, rel=0.1)
    assert np.abs(moved[:2]).max() < 0.01
    turned = cv2.Rodrigues(wrong.rotation @ right.rotation.T)[0].ravel()
    assumed = camera.metric_fit(head, pixels, weak_pose(head, pixels), intrinsics(assumed=True))
    added = assumed.head_pose.covariance - right.head_pose.covariance
    direction = added[2] / np.sqrt(added[2, 2]) / noise.ASSUMED_FOCAL_SIGMA
    assert turned[1] == pytest.approx(0.1 * direction[4], rel=0.5)


def test_unusable_input_is_a_camera_error() -> None:
    head = landmarks()
    pixels = seen(head, *scene([0, 0, 0], [0, 0, 0.7]), intrinsics())
    weak = weak_pose(head, pixels)
    broken = pixels.copy()
    broken[5] = np.nan
    with pytest.raises(CameraError, match="NaN"):
        camera.metric_fit(head, broken, weak, intrinsics())
    with pytest.raises(CameraError, match="extent"):
        camera.metric_fit(head, np.full((68, 2), 7.0), weak, intrinsics())
    with pytest.raises(CameraError, match="extent"):
        camera.metric_fit(np.zeros((68, 3)), pixels, weak, intrinsics())
    with pytest.raises(CameraError, match="form"):
        camera.metric_fit(head, pixels, weak, Intrinsics(640, 480, np.diag([600.0, 600.0, 0.0])))


def test_camera_points_apply_scale_rotation_and_translation() -> None:
    cam, head = intrinsics(), landmarks()
    pixels = seen(head, *scene([20, 5, 0], [0.1, 0.0, 0.7]), cam)
    fit = camera.metric_fit(head, pixels, weak_pose(head, pixels), cam, scale=HeadScale(0.8, 0.01))
    placed = camera.camera_points(head.astype(np.float32), fit)
    assert placed.dtype == np.float32
    np.testing.assert_allclose(placed, 0.8 * head @ fit.rotation.T + fit.translation, atol=1e-6)
    np.testing.assert_allclose(placed[27], fit.head_pose.position, atol=1e-6)


@pytest.mark.parametrize("factor", [0.8, 1.1])
def test_scale_moves_the_head_along_its_rays(factor: float) -> None:
    """A head of another size at a distance in proportion gives the same image."""
    cam, head = intrinsics(BARREL), landmarks()
    r, t = scene([25, -15, 20], [0.1, -0.05, 0.5])
    pixels = seen(factor * head, r, t, cam)
    weak = weak_pose(head, pixels)
    fit = camera.metric_fit(head, pixels, weak, cam, scale=HeadScale(factor, 0.02))
    np.testing.assert_allclose(fit.translation, t, atol=2e-4)
    np.testing.assert_allclose(
        lens.project(camera.camera_points(head, fit), cam), pixels, atol=0.05
    )
    ray = fit.head_pose.position / np.linalg.norm(fit.head_pose.position)
    wide = camera.metric_fit(head, pixels, weak, cam, scale=HeadScale(factor, 0.1)).head_pose
    added = wide.covariance - fit.head_pose.covariance
    expected = (0.1**2 - 0.02**2) * np.vdot(wide.position, wide.position)
    assert ray @ added[:3, :3] @ ray == pytest.approx(expected, rel=1e-6)
    assert np.abs(added[3:, 3:]).max() < 1e-12


def test_predicted_sigma_scales_the_covariance_and_not_the_pose() -> None:
    cam, head = intrinsics(), landmarks()
    pixels = seen(head, *scene([10, 5, 0], [0.1, 0.0, 0.7]), cam)
    weak, exact = weak_pose(head, pixels), HeadScale(1.0, 0.0)
    low, high, broken = (
        camera.metric_fit(head, pixels, weak, cam, np.full(68, s), exact).head_pose
        for s in (1.0, 3.0, np.nan)
    )
    np.testing.assert_allclose(high.covariance, 9 * low.covariance, rtol=1e-6)
    np.testing.assert_allclose(high.position, low.position, atol=1e-9)
    assert np.isfinite(broken.covariance).all()
    assert np.trace(broken.covariance) > np.trace(high.covariance)


def test_measured_distance_does_not_depend_on_the_focal_length() -> None:
    head = landmarks()
    pixels = seen(head, *scene([0, 0, 0], [0.3, 0.1, 0.9]), intrinsics())
    weak = weak_pose(head, pixels)
    known, assumed = (
        camera.metric_fit(
            head, pixels, weak, intrinsics(assumed=a), scale=HeadScale(1.0, 0.01, measured=True)
        ).head_pose.covariance
        for a in (False, True)
    )
    added = np.diag(assumed - known)
    assert added[2] == pytest.approx(0.0, abs=1e-12)
    assert added[0] == pytest.approx((noise.ASSUMED_FOCAL_SIGMA * 0.3) ** 2, rel=0.2)


def crowd(cam: Intrinsics, count: int = 20) -> list[tuple[np.ndarray, np.ndarray, pose.Similarity]]:
    """Heads of different people, their noisy pixels and weak-perspective poses; the last pose contradicts its pixels."""
    rng = np.random.default_rng(8)
    people = []
    for _ in range(count):
        head = landmarks() * (1 + 0.05 * rng.normal(size=3))
        depth = rng.uniform(0.3, 2.5)
        r, t = scene(
            list(rng.uniform(-1, 1, 3) * [85, 35, 60]),
            [*(rng.uniform(-0.3, 0.3, 2) * depth), depth],
        )
        pixels = lens.project(head @ r.T + t, cam) + rng.normal(scale=0.8 / depth, size=(68, 2))
        people.append((head, pixels, weak_pose(head, pixels)))
    head, pixels, _ = people[-1]
    wrong = weak_pose(head, seen(head, *scene([-80, 0, 170], [0.0, 0.0, 0.6]), cam))
    return [*people[:-1], (head, pixels, wrong)]


@pytest.mark.parametrize("d", [PLAIN, BARREL], ids=["pinhole", "plumb_bob"])
@pytest.mark.parametrize("predicted", [False, True])
def test_all_faces_at_once_equal_single_faces(d: np.ndarray, predicted: bool) -> None:
    """To rounding errors: 1 nm, 1e-9 of a rotation and of a covariance."""
    cam = intrinsics(d, assumed=predicted)
    heads, pixels, weak = zip(*crowd(cam), strict=True)
    sigma = np.random.default_rng(9).uniform(0.5, 3.0, (20, 68)) if predicted else None
    scales = [None, HeadScale(0.9, 0.02), HeadScale(1.1, 0.01, measured=True), None] * 5
    rotations = np.stack([p.rotation for p in weak])
    fits = camera.metric_fits(np.stack(heads), np.stack(pixels), rotations, cam, sigma, scales)
    for i, fit in enumerate(fits):
        assert isinstance(fit, camera.MetricFit)
        predictions = None if sigma is None else sigma[i]
        alone = single_metric_fit(heads[i], pixels[i], weak[i], cam, predictions, scales[i])
        np.testing.assert_allclose(fit.rotation, alone.rotation, atol=1e-9)
        np.testing.assert_allclose(fit.translation, alone.translation, atol=1e-9)
        np.testing.assert_allclose(fit.head_pose.rotation, alone.head_pose.rotation, atol=1e-9)
        np.testing.assert_allclose(fit.head_pose.position, alone.head_pose.position, atol=1e-9)
        largest = np.abs(alone.head_pose.covariance).max()
        np.testing.assert_allclose(
            fit.head_pose.covariance, alone.head_pose.covariance, atol=1e-9 * largest
        )
        assert fit.head_pose.reprojection_error == pytest.approx(alone.head_pose.reprojection_error)
        assert fit.scale == alone.scale


def test_unusable_faces_do_not_affect_the_others() -> None:
    """NaN, no extent, and landmarks beyond what a strong lens can show: the order and the other fits stay."""
    cam = intrinsics(np.array([-0.45, 0.0, 0.0, 0.0]))
    people = crowd(cam, 6)
    heads, pixels = (np.stack([person[k] for person in people]) for k in (0, 1))
    rotations = np.stack([p.rotation for _, _, p in people])
    pixels[1, 5] = np.nan
    pixels[2] = 7.0
    pixels[3, :40, 0] += 900.0
    pixels[4, :, 0] += 4000.0
    fits = camera.metric_fits(heads, pixels, rotations, cam)
    assert isinstance(fits[1], CameraError)
    assert "NaN" in str(fits[1])
    assert isinstance(fits[2], CameraError)
    assert "extent" in str(fits[2])
    for i in (0, 3, 4, 5):
        fit = fits[i]
        assert isinstance(fit, camera.MetricFit)
        alone = single_metric_fit(heads[i], pixels[i], people[i][2], cam)
        np.testing.assert_allclose(fit.translation, alone.translation, atol=1e-9)
        np.testing.assert_allclose(fit.rotation, alone.rotation, atol=1e-9)
