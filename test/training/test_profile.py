"""Face profiling: image and parameters are rotated consistently."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from support.posed import blob, centroid, pixels, posed
from support.synthetic_model import frontal_params, synthetic_model

from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.cache import CACHE_SIDE, MARGIN
from tddfa_ros.training.framing import about_landmarks, landmark_pixels, reframe
from tddfa_ros.training.profile import Profiler, pose_angles

STRONG = [27, 30, 33, 36, 39, 48, 51, 57]
"""Landmarks in the center and left half of the image, which stay visible in a rotation to the right."""


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return synthetic_model(rows=48, columns=64, shape=4, expressions=6)


@pytest.fixture(scope="module")
def profiler(model: MorphableModel) -> Profiler:
    return Profiler(model)


@pytest.fixture(scope="module")
def params(model: MorphableModel) -> np.ndarray:
    """A frontal face, framed by its landmarks as stored crops are."""
    face = frontal_params(model)
    face[model.layout.shape_slice] = [1.0, -0.5, 0.8, 0.3]
    zoom, shift = about_landmarks(landmark_pixels(model, face), 0.0, 1.0, np.zeros(2))
    return reframe(np.zeros((CACHE_SIDE, CACHE_SIDE, 3), np.uint8), face, 0.0, zoom, shift)[1]


def turned_by(params: np.ndarray, yaw: float = 0, pitch: float = 0, roll: float = 0) -> np.ndarray:
    out = params.copy()
    pose = out[:12].reshape(3, 4)
    turn = Rotation.from_euler("ZXY", [roll, pitch, yaw], degrees=True).as_matrix()
    pose[:, :3] = turn @ pose[:, :3]
    return out


def texture(seed: int = 0) -> np.ndarray:
    """An image without edges, so that interpolation changes little."""
    import cv2

    noise = np.random.default_rng(seed).uniform(0, 255, (20, 20, 3)).astype(np.float32)
    return cv2.resize(noise, (CACHE_SIDE, CACHE_SIDE), interpolation=cv2.INTER_LINEAR).astype(
        np.uint8
    )


def test_rotation_by_zero_is_identity(profiler: Profiler, params: np.ndarray) -> None:
    image = texture()
    found, after = profiler(image, params, 0.0)
    np.testing.assert_allclose(after, params, atol=0.02, rtol=1e-4)
    assert np.abs(found.astype(int) - image).max() <= 2


@pytest.mark.parametrize("turn", [-70.0, -35.0, 20.0, 50.0])
@pytest.mark.parametrize("start", [-15.0, 0.0, 10.0])
def test_yaw_changes_by_the_given_angle(
    profiler: Profiler, params: np.ndarray, start: float, turn: float
) -> None:
    before = turned_by(params, yaw=start)
    _, after = profiler(texture(), before, turn)
    yaw, roll = pose_angles(np.stack([before, after]))
    assert yaw[0] == pytest.approx(start, abs=1e-3)
    assert yaw[1] - yaw[0] == pytest.approx(turn, abs=1e-3)
    assert np.abs(roll).max() < 1e-3


def test_rolled_head_rotates_about_its_own_axis(profiler: Profiler, params: np.ndarray) -> None:
    before = turned_by(params, pitch=10, roll=15)
    _, after = profiler(texture(), before, 40.0)
    old, new = (p[:12].reshape(3, 4)[:, :3].astype(np.float64) for p in (before, after))
    old, new = old / np.cbrt(np.linalg.det(old)), new / np.cbrt(np.linalg.det(new))
    found = Rotation.from_matrix(old.T @ new).as_rotvec(degrees=True)
    np.testing.assert_allclose(found, [0, 40, 0], atol=1e-2)
    np.testing.assert_array_equal(before[12:], after[12:])


@pytest.mark.parametrize("turn", [20.0, 35.0])
@pytest.mark.parametrize("pitch", [0.0, -12.0])
def test_skin_marks_move_with_landmarks(
    model: MorphableModel, profiler: Profiler, params: np.ndarray, turn: float, pitch: float
) -> None:
    before = turned_by(params, yaw=5, pitch=pitch)
    places = landmark_pixels(model, before) + MARGIN
    for landmark in STRONG:
        found, after = profiler(blob(CACHE_SIDE, *places[landmark], sigma=2.0), before, turn)
        wanted = landmark_pixels(model, after)[landmark] + MARGIN
        assert np.linalg.norm(wanted - places[landmark]) > 2 or landmark in (36, 48)
        assert np.linalg.norm(centroid(found) - wanted) < 1.5, landmark


def test_profile_is_framed_by_its_landmarks(
    model: MorphableModel, profiler: Profiler, params: np.ndarray
) -> None:
    _, after = profiler(texture(), params, 60.0)
    points = pixels(posed(model.head_landmarks(after)[None], after[None])[0])
    low, high = points.min(axis=0), points.max(axis=0)
    np.testing.assert_allclose((low + high) / 2, 59.5, atol=0.02)
    assert (high - low).max() * np.sqrt(2) == pytest.approx(120, abs=0.05)


def test_profile_has_no_new_colors(profiler: Profiler, params: np.ndarray) -> None:
    flat = np.full((CACHE_SIDE, CACHE_SIDE, 3), (10, 120, 200), np.uint8)
    found, _ = profiler(flat, params, -55.0)
    assert (found == flat).all(), "no holes, no black borders"
    image = texture()
    found, _ = profiler(image, params, -55.0)
    assert (found.min(axis=(0, 1)) >= image.min(axis=(0, 1))).all()
    assert found.std() > 0.5 * image.std(), "contrast is preserved"
    assert found.shape == image.shape and found.dtype == np.uint8


def test_mirrored_face_rotates_the_other_way(
    model: MorphableModel, profiler: Profiler, params: np.ndarray
) -> None:
    upright = params.copy()
    upright[12:] = 0
    image = texture(3)
    there, after = profiler(image, turned_by(upright, yaw=8), 40.0)
    other = turned_by(upright, yaw=-8)
    other[3] = 121 - other[3]
    back, mirrored = profiler(np.ascontiguousarray(image[:, ::-1]), other, -40.0)
    assert np.abs(back[:, ::-1].astype(int) - there).mean() < 2.5
    signs = np.array([1, -1, -1, 0, -1, 1, 1, 1, -1, 1, 1, 1])
    same = signs != 0
    np.testing.assert_allclose(mirrored[:12][same], (after[:12] * signs)[same], atol=0.5)
    assert mirrored[3] == pytest.approx(121 - after[3], abs=0.1)


def test_input_is_not_modified(profiler: Profiler, params: np.ndarray) -> None:
    image, kept = texture(), params.copy()
    before = image.copy()
    profiler(image, kept, 30.0)
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(kept, params)
