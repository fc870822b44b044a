from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from support.posed import blob, centroid, pixels, posed, random_faces

from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.augment import Augment, reframe
from tddfa_ros.training.cache import CACHE_SIDE, MARGIN
from tddfa_ros.training.config import AugmentConfig
from tddfa_ros.training.mirror import ParamMirror

OFF = AugmentConfig(**{f.name: 0.0 for f in fields(AugmentConfig)})


@pytest.fixture(scope="module")
def model(repo_root: Path) -> MorphableModel:
    return MorphableModel.load(repo_root / "models" / "tddfa_head.npz")


@pytest.fixture(scope="module")
def face(model: MorphableModel) -> np.ndarray:
    return random_faces(model, np.random.default_rng(2), 1)[0]


@pytest.fixture(scope="module")
def mirror(model: MorphableModel) -> ParamMirror:
    return ParamMirror(model)


def landmark_pixels(model: MorphableModel, params: np.ndarray) -> np.ndarray:
    return pixels(posed(model.head_landmarks(params)[None], params[None])[0])


@pytest.mark.parametrize(
    ("roll_deg", "zoom", "shift"),
    [
        (0, 1.0, (0, 0)),
        (25, 1.0, (0, 0)),
        (-40, 1.1, (3.3, -2.6)),
        (10, 0.85, (-5.25, 4.5)),
        (60, 0.95, (2, 7)),
    ],
)
def test_landmarks_move_with_the_picture(
    model: MorphableModel,
    face: np.ndarray,
    roll_deg: float,
    zoom: float,
    shift: tuple[float, float],
) -> None:
    before = landmark_pixels(model, face) + MARGIN
    roll, move = np.radians(roll_deg), np.array(shift, dtype=np.float64)
    for landmark in (8, 30, 36, 45, 48, 54):
        image = blob(CACHE_SIDE, *before[landmark])
        crop, params = reframe(image, face, roll, zoom, move)
        expected = landmark_pixels(model, params)[landmark]
        assert expected.min() > 8 and expected.max() < 112, "the test needs the spot in the crop"
        assert np.linalg.norm(centroid(crop) - expected) < 0.3


def test_positive_roll_turns_counter_clockwise(face: np.ndarray) -> None:
    middle = (CACHE_SIDE - 1) / 2
    crop, _ = reframe(blob(CACHE_SIDE, middle + 30, middle), face, np.pi / 2, 1.0, np.zeros(2))
    np.testing.assert_allclose(centroid(crop), [59.5, 29.5], atol=0.1)  # right goes to the top


def test_reframe_keeps_a_pose_a_pose(face: np.ndarray) -> None:
    _, params = reframe(
        np.zeros((CACHE_SIDE, CACHE_SIDE, 3), np.uint8), face, 0.7, 1.2, np.array([3.0, 4.0])
    )
    before, after = (p[:12].reshape(3, 4)[:, :3].astype(np.float64) for p in (face, params))
    np.testing.assert_allclose(after @ after.T, 1.44 * (before @ before.T), rtol=1e-4, atol=2)
    assert np.linalg.det(after) > 0
    np.testing.assert_array_equal(params[12:], face[12:])


def test_border() -> None:
    image = np.full((CACHE_SIDE, CACHE_SIDE, 3), 200, np.uint8)
    params = np.zeros(20, np.float32)
    far = {"roll": 0.0, "zoom": 1.0, "shift": np.array([90.0, 0.0])}
    assert (reframe(image, params, **far)[0][:, 10] == 0).all()
    assert (reframe(image, params, **far, border=None)[0][:, 10] == 200).all()
    assert (reframe(image, params, **far, border=(1, 2, 3))[0][:, 10] == [1, 2, 3]).all()


def picture(seed: int = 0) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    return np.kron(small, np.ones((8, 8, 1), np.uint8))


def test_everything_off_is_the_middle_of_the_picture(mirror: ParamMirror, face: np.ndarray) -> None:
    image = picture()
    crop, params = Augment(OFF, mirror)(image, face, np.random.default_rng(0))
    np.testing.assert_array_equal(crop, image[MARGIN:-MARGIN, MARGIN:-MARGIN])
    np.testing.assert_allclose(params, face, atol=1e-4)


def test_mirror_flips_picture_and_params(mirror: ParamMirror, face: np.ndarray) -> None:
    image = picture()
    augment = Augment(replace(OFF, mirror=1.0), mirror)
    crop, params = augment(image, face, np.random.default_rng(0))
    np.testing.assert_array_equal(crop, image[MARGIN:-MARGIN, MARGIN:-MARGIN][:, ::-1])
    np.testing.assert_allclose(params, mirror(face), atol=1e-4)


def test_depends_on_the_generator_alone(mirror: ParamMirror, face: np.ndarray) -> None:
    augment = Augment(AugmentConfig(), mirror)
    image = picture()
    original = image.copy()
    runs = [augment(image, face, np.random.default_rng(seed)) for seed in (5, 5, 6)]
    np.testing.assert_array_equal(runs[0][0], runs[1][0])
    np.testing.assert_array_equal(runs[0][1], runs[1][1])
    assert not np.array_equal(runs[0][1], runs[2][1])
    np.testing.assert_array_equal(image, original)


@pytest.mark.parametrize("name", ["colour", "blur", "noise", "occlude", "low_resolution"])
def test_a_disturbance_changes_the_picture_and_not_the_face(
    mirror: ParamMirror, face: np.ndarray, name: str
) -> None:
    augment = Augment(replace(OFF, **{name: 1.0}), mirror)
    image = picture()
    plain = image[MARGIN:-MARGIN, MARGIN:-MARGIN]
    for seed in range(8):  # occluders and colours have several kinds
        crop, params = augment(image, face, np.random.default_rng(seed))
        assert crop.shape == (120, 120, 3) and crop.dtype == np.uint8
        assert (crop != plain).any(axis=2).mean() > 0.01
        np.testing.assert_allclose(params, face, atol=1e-4)


def test_strength_of_the_roll_is_as_configured(mirror: ParamMirror, face: np.ndarray) -> None:
    augment = Augment(replace(OFF, roll_sigma_deg=12.0), mirror)
    image = np.zeros((CACHE_SIDE, CACHE_SIDE, 3), np.uint8)
    rolls = []
    start = np.arctan2(face[4], face[0])
    for seed in range(300):
        _, params = augment(image, face, np.random.default_rng(seed))
        rolls.append(np.degrees(np.arctan2(params[4], params[0]) - start))
    assert abs(np.mean(rolls)) < 2.5  # three standard errors of the mean
    assert 10.3 < np.std(rolls) < 13.7
