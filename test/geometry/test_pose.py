from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from support.golden import bfm68_landmarks, golden
from support.synthetic_model import frontal_params, synthetic_model

from tddfa_ros.geometry import pose
from tddfa_ros.geometry.rotation import angle_between, exp, nearest_rotation

ROI = np.array([100.0, 50.0, 340.0, 290.0])


def random_pose(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.concatenate([600 * exp(rng.normal(size=3)), [[55.0], [66.0], [7.0]]], axis=1)


def test_decompose_inverts_compose() -> None:
    r = exp(np.array([[0.3, 1.2, -0.4], [0.0, 0.0, 0.0]]))
    s, t = np.array([500.0, 700.0]), np.array([[60.0, 61.0, -3.0], [1.0, 2.0, 3.0]])
    scale, rotation, translation = pose.decompose(pose.compose(s, r, t))
    np.testing.assert_allclose(scale, s, rtol=1e-6)
    np.testing.assert_allclose(rotation, r, atol=1e-6)
    np.testing.assert_allclose(translation, t, rtol=1e-6)


def test_decompose_of_skewed_pose_gives_a_rotation() -> None:
    p = random_pose()
    p[:2, :3] += np.random.default_rng(3).normal(scale=20.0, size=(2, 3))
    p[2, :3] = np.nan  # the third row plays no part, as in 3DDFA_V2
    scale, r, _ = pose.decompose(p)
    np.testing.assert_allclose(r @ r.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(r) == pytest.approx(1.0)
    rows = p[:2, :3] / np.linalg.norm(p[:2, :3], axis=1, keepdims=True)
    assert scale == pytest.approx(np.linalg.norm(p[:2, :3], axis=1).mean())
    # Both rows turn by the same angle, and stay in their plane.
    assert r[0] @ rows[0] == pytest.approx(r[1] @ rows[1])
    np.testing.assert_allclose(rows @ r[2], 0, atol=1e-12)


def test_decompose_of_zero_scale_is_nan() -> None:
    poses = np.stack([random_pose(), np.zeros((3, 4))])
    _, r, _ = pose.decompose(poses)
    assert np.isfinite(r[0]).all()
    assert np.isnan(r[1]).all()


@pytest.mark.parametrize(
    ("index", "vector", "meaning"),
    [
        (0, [0.0, 1.0, 0.0], "the nose moves to the right in the image"),
        (1, [1.0, 0.0, 0.0], "the nose moves down in the image"),
        (2, [0.0, 0.0, 1.0], "the person's left eye, right in the image, rises"),
    ],
)
def test_signs_of_yaw_pitch_roll(index: int, vector: list[float], meaning: str) -> None:
    r = exp(np.array(vector) * np.radians(20))
    angles = np.zeros(3)
    angles[index] = 20
    np.testing.assert_allclose(pose.yaw_pitch_roll(r), angles, atol=1e-9)
    model = synthetic_model()
    params = frontal_params(model)
    head = model.head_landmarks(params)
    before = pose.to_crop(head, params[:12].reshape(3, 4))
    after = pose.to_crop(head, pose.compose(600.0, r, params[[3, 7, 11]]))
    moved = after - before
    tip, left_eye = 30, 45
    evidence = [moved[tip, 0], moved[tip, 1], -moved[left_eye, 1]]
    assert evidence[index] > 1.0, meaning


def test_yaw_pitch_roll_is_rep103_of_the_face_frame() -> None:
    """Against SciPy's intrinsic ZYX angles of the face frame as it would stand in TF."""
    r = exp(np.random.default_rng(2).normal(size=(100, 3)))
    looking_at_us = pose.CAMERA_FROM_CROP @ pose.FACE_FROM_MODEL.T
    face = pose.CAMERA_FROM_CROP @ r @ pose.FACE_FROM_MODEL.T
    expected = Rotation.from_matrix(looking_at_us.T @ face).as_euler("ZYX", degrees=True)
    np.testing.assert_allclose(pose.yaw_pitch_roll(r), expected, atol=1e-8)


@pytest.mark.parametrize(
    ("angles_of", "rotation_of"),
    [
        (pose.yaw_pitch_roll, pose.rotation_from_yaw_pitch_roll),
        (pose.angles_3ddfa_v2, pose.rotation_from_3ddfa_v2),
        (pose.angles_300w_lp, pose.rotation_from_300w_lp),
    ],
)
def test_angles_round_trip(angles_of, rotation_of) -> None:  # type: ignore[no-untyped-def]
    r = exp(np.random.default_rng(4).normal(size=(100, 3)))
    away_from_lock = np.abs(r[:, 2, 0]) < 0.99
    back = rotation_of(angles_of(r))
    assert away_from_lock.sum() > 90
    np.testing.assert_allclose(back[away_from_lock], r[away_from_lock], atol=1e-9)


@pytest.mark.parametrize("pitch", [90.0, -90.0])
def test_gimbal_lock_gives_a_rotation_with_roll_zero(pitch: float) -> None:
    r = pose.rotation_from_yaw_pitch_roll(np.array([30.0, pitch, 12.0]))
    angles = pose.yaw_pitch_roll(r)
    assert angles[2] == 0
    assert angles[1] == pytest.approx(pitch, abs=1e-3)
    assert float(angle_between(pose.rotation_from_yaw_pitch_roll(angles), r)) < 1e-3


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_profile_is_regular_unlike_in_3ddfa_v2(side: float) -> None:
    r = pose.rotation_from_yaw_pitch_roll(np.array([side * 90.0, 10.0, 2.0]))
    np.testing.assert_allclose(pose.yaw_pitch_roll(r), [side * 90.0, 10.0, 2.0], atol=1e-9)
    locked = pose.angles_3ddfa_v2(r)
    assert locked[0] == -side * 90
    assert locked[2] == 0
    assert float(angle_between(pose.rotation_from_3ddfa_v2(locked), r)) < np.radians(3)


def test_small_angles_convert_between_conventions_by_sign() -> None:
    r = pose.rotation_from_yaw_pitch_roll(np.array([0.3, 0.2, 0.1]))
    np.testing.assert_allclose(pose.angles_3ddfa_v2(r), [-0.3, 0.2, 0.1], atol=2e-3)
    np.testing.assert_allclose(pose.angles_300w_lp(r), [-0.3, -0.2, -0.1], atol=2e-3)


def test_to_crop_matches_3ddfa_v2() -> None:
    p = random_pose()
    head = np.random.default_rng(5).normal(scale=0.05, size=(9, 3)).astype(np.float32)
    v = head @ p[:, :3].T + p[:, 3]
    expected = np.stack([v[:, 0] - 1, 120 - v[:, 1], v[:, 2] - 1], axis=1)
    np.testing.assert_allclose(pose.to_crop(head, p), expected, atol=1e-4)


def test_batches_equal_single_faces() -> None:
    poses = np.stack([random_pose(k) for k in range(3)])
    heads = np.random.default_rng(6).normal(scale=0.05, size=(3, 7, 3)).astype(np.float32)
    rois = ROI + np.array([[0.0], [3.0], [9.0]])
    together = pose.to_image(heads, poses, rois)
    for k in range(3):
        np.testing.assert_allclose(
            together[k], pose.to_image(heads[k], poses[k], rois[k]), atol=1e-4
        )


def test_image_and_crop_transforms_are_inverse() -> None:
    head = np.random.default_rng(7).normal(scale=0.05, size=(9, 3)).astype(np.float32)
    in_crop = pose.to_crop(head, random_pose())
    in_image = pose.crop_to_image(in_crop, ROI)
    np.testing.assert_allclose(pose.to_image(head, random_pose(), ROI), in_image, atol=1e-3)
    np.testing.assert_allclose(pose.image_to_crop(in_image, ROI), in_crop, atol=1e-4)
    np.testing.assert_allclose(in_image[:, 2], 2 * in_crop[:, 2], rtol=1e-6)


def test_image_pose_and_crop_pose_are_inverse() -> None:
    head = np.random.default_rng(8).normal(scale=0.05, size=(9, 3)).astype(np.float32)
    similarity = pose.image_pose(random_pose(), ROI)
    flipped = (head @ similarity.rotation.T) * [1, -1, 1]
    placed = similarity.translation + similarity.scale * flipped
    expected = pose.to_image(head, random_pose(), ROI)
    np.testing.assert_allclose(placed, expected, atol=1e-3)
    other_roi = np.array([-20.0, 13.0, 170.5, 203.5])
    moved = pose.to_image(head, pose.crop_pose(similarity, other_roi), other_roi)
    np.testing.assert_allclose(moved, expected, atol=1e-3)


@pytest.mark.parametrize("name", ["JianzhuGuo", "emma"])
def test_landmarks_match_3ddfa_v2(data_dir: Path, name: str) -> None:
    gold = golden(data_dir, name)
    for prefix in ("", "refine_"):
        for params, roi, expected in zip(
            gold[prefix + "params62"],
            gold[prefix + "roi_boxes"],
            gold[prefix + "sparse68"],
            strict=True,
        ):
            ours = pose.to_image(bfm68_landmarks(data_dir, params), params[:12].reshape(3, 4), roi)
            ours[:, 2] -= ours[:, 2].min()
            np.testing.assert_allclose(ours, expected.T, atol=2e-3)


@pytest.mark.parametrize("name", ["JianzhuGuo", "emma"])
def test_angles_match_3ddfa_v2(data_dir: Path, name: str) -> None:
    gold = golden(data_dir, name)
    poses = gold["params62"][:, :12].reshape(-1, 3, 4)
    expected = gold["pose_yaw_pitch_roll_deg"]
    np.testing.assert_allclose(pose.angles_3ddfa_v2(pose.axes_3ddfa_v2(poses)), expected, atol=1e-3)
    # The proper rotation differs from its nearly orthogonal one by very little.
    proper = pose.angles_3ddfa_v2(pose.decompose(poses)[1])
    assert np.abs(proper - expected).max() < 1.0


def test_angles_300w_lp_agree_with_the_labels_of_aflw2000(data_dir: Path) -> None:
    """A rigid fit of the BFM mean to the labeled 3D points must turn as the labeled angles say."""
    labels = np.load(data_dir / "eval" / "aflw2000" / "gt.npz", allow_pickle=False)
    mean = np.load(data_dir / "3ddfa_v2" / "bfm68.npz")["u"].reshape(68, 3)
    points = labels["pts68"].transpose(0, 2, 1) * np.array([1, -1, 1])
    points = points - points.mean(axis=1, keepdims=True)
    fitted = nearest_rotation(points.transpose(0, 2, 1) @ (mean - mean.mean(axis=0)))
    yaw_pitch_roll = np.degrees(labels["pitch_yaw_roll_rad"])[:, [1, 0, 2]]
    turn = np.degrees(angle_between(fitted, pose.rotation_from_300w_lp(yaw_pitch_roll)))
    assert np.median(turn) < 2.0
    assert np.percentile(turn, 95) < 5.0
