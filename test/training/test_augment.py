from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from support.posed import blob, centroid, pixels, posed, random_faces

from tddfa_ros.geometry.roi import crop as cut_at_run_time
from tddfa_ros.geometry.roi import roi_from_landmarks
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.augment import Augment
from tddfa_ros.training.cache import CACHE_SIDE, MARGIN
from tddfa_ros.training.config import AugmentConfig
from tddfa_ros.training.framing import (
    ParamMirror,
    about_landmarks,
    landmark_pixels,
    reframe,
    reframe_parsing,
)

OFF = AugmentConfig(**{f.name: 0.0 for f in fields(AugmentConfig) if f.type == "float"})
NOT_MOVED = np.zeros(2)


@pytest.fixture(scope="module")
def model(repo_root: Path) -> MorphableModel:
    return MorphableModel.load(repo_root / "models" / "tddfa_head.npz")


@pytest.fixture(scope="module")
def face(model: MorphableModel) -> np.ndarray:
    return random_faces(model, np.random.default_rng(2), 1)[0]


@pytest.fixture(scope="module")
def mirror(model: MorphableModel) -> ParamMirror:
    return ParamMirror(model)


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
def test_landmarks_move_with_the_image(
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


def test_positive_roll_is_counterclockwise(face: np.ndarray) -> None:
    middle = (CACHE_SIDE - 1) / 2
    crop, _ = reframe(blob(CACHE_SIDE, middle + 30, middle), face, np.pi / 2, 1.0, np.zeros(2))
    np.testing.assert_allclose(centroid(crop), [59.5, 29.5], atol=0.1)  # right goes to the top


def test_reframed_pose_is_a_scaled_rotation(face: np.ndarray) -> None:
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


# -- framing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [96, 120, 160, 192])
def test_crop_pixels_match_the_pipeline(size: int) -> None:
    """Training crops are sampled like those of the pipeline: crop pixel u is u * 120 / size of the 120-px crop."""
    image = random_image()
    crop, _ = reframe(image, np.zeros(20, np.float32), 0.0, 1.0, NOT_MOVED, size=size)
    roi = np.array([MARGIN, MARGIN, MARGIN + 120, MARGIN + 120], np.float64)
    expected = cut_at_run_time(image, roi, size)
    assert np.abs(crop.astype(int) - expected).mean() < 0.5
    spot, _ = reframe(blob(CACHE_SIDE, MARGIN + 31, MARGIN + 74), np.zeros(20, np.float32), 0.0, 1.0, NOT_MOVED, size=size)  # fmt: skip
    np.testing.assert_allclose(centroid(spot), np.array([31, 74]) * size / 120, atol=0.06)


@pytest.mark.parametrize("size", [96, 160])
def test_params_do_not_depend_on_crop_size(face: np.ndarray, size: int) -> None:
    image, move = random_image(), np.array([3.0, -2.0])
    _, params = reframe(image, face, 0.3, 1.1, move)
    _, other = reframe(image, face, 0.3, 1.1, move, size=size)
    np.testing.assert_array_equal(params, other)


@pytest.mark.parametrize("roll_deg", [0.0, 30.0, -75.0])
def test_face_is_framed_by_its_landmarks(
    model: MorphableModel, face: np.ndarray, roll_deg: float
) -> None:
    roll = np.radians(roll_deg)
    zoom, shift = about_landmarks(landmark_pixels(model, face), roll, 1.0, NOT_MOVED)
    image = np.zeros((CACHE_SIDE, CACHE_SIDE, 3), np.uint8)
    _, params = reframe(image, face, roll, zoom, shift)
    roi = roi_from_landmarks(landmark_pixels(model, params))
    np.testing.assert_allclose(roi, [-0.5, -0.5, 119.5, 119.5], atol=0.01)


def test_zoom_and_shift_are_relative_to_landmark_roi(
    model: MorphableModel, face: np.ndarray
) -> None:
    image = np.zeros((CACHE_SIDE, CACHE_SIDE, 3), np.uint8)
    move = np.array([7.0, -4.0])
    zoom, shift = about_landmarks(landmark_pixels(model, face), 0.0, 1.25, move)
    _, params = reframe(image, face, 0.0, zoom, shift)
    roi = roi_from_landmarks(landmark_pixels(model, params))
    np.testing.assert_allclose((roi[:2] + roi[2:]) / 2, 59.5 + move, atol=0.01)
    assert roi[2] - roi[0] == pytest.approx(1.25 * 120, abs=0.02)


def test_landmark_pixels_are_crop_pixels(model: MorphableModel, face: np.ndarray) -> None:
    expected = pixels(posed(model.head_landmarks(face)[None], face[None])[0])
    np.testing.assert_allclose(landmark_pixels(model, face), expected, atol=1e-3)


@pytest.mark.parametrize("size", [96, 120])
def test_parsing_is_sampled_at_network_cells(size: int) -> None:
    parsing = np.zeros((CACHE_SIDE, CACHE_SIDE), np.uint8)
    parsing[:, MARGIN + 60 :] = 3
    parsing[MARGIN + 91 :] = 7
    found = reframe_parsing(parsing, 0.0, 1.0, NOT_MOVED, size)
    assert found.shape == (size // 4, size // 4)
    cells = (4 * np.arange(size // 4) + 1.5) * 120 / size
    expected = np.where(cells >= 60, 3, 0)[None].repeat(len(cells), axis=0)
    expected[cells >= 91] = 7
    np.testing.assert_array_equal(found, expected)
    far = reframe_parsing(parsing, 0.0, 1.0, np.array([90.0, 0.0]), size)
    assert (far[:, 0] == 255).all(), "unlabeled outside the stored crop"


# -- disturbances ----------------------------------------------------------------------------------------------------


def framed(
    image: np.ndarray, model: MorphableModel, face: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The crop and its parameters without augmentation."""
    zoom, shift = about_landmarks(landmark_pixels(model, face), 0.0, 1.0, NOT_MOVED)
    return reframe(image, face, 0.0, zoom, shift)


def random_image(seed: int = 0) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    return np.kron(small, np.ones((8, 8, 1), np.uint8))


def test_no_augmentation_gives_framed_face(model: MorphableModel, face: np.ndarray) -> None:
    image = random_image()
    crop, params, parsing = Augment(OFF, model)(image, face, np.random.default_rng(3))
    plain, expected = framed(image, model, face)
    inside = reframe(np.full_like(image, 255), face, 0.0, *_framing(model, face))[0] == 255
    np.testing.assert_array_equal(crop[inside], plain[inside])
    np.testing.assert_allclose(params, expected, atol=1e-4)
    assert parsing is None


def _framing(model: MorphableModel, face: np.ndarray) -> tuple[float, np.ndarray]:
    return about_landmarks(landmark_pixels(model, face), 0.0, 1.0, NOT_MOVED)


def test_crop_without_face_is_image_center(model: MorphableModel) -> None:
    image, nobody = random_image(), np.zeros(model.layout.size, np.float32)
    crop, _, _ = Augment(OFF, model)(image, nobody, np.random.default_rng(0))
    np.testing.assert_array_equal(crop, image[MARGIN:-MARGIN, MARGIN:-MARGIN])
    crop, _, _ = Augment(replace(OFF, mirror=1.0), model)(image, nobody, np.random.default_rng(0))
    np.testing.assert_array_equal(crop, image[MARGIN:-MARGIN, MARGIN:-MARGIN][:, ::-1])


def test_mirror_flips_image_params_and_classes(
    model: MorphableModel, mirror: ParamMirror, face: np.ndarray
) -> None:
    image = random_image()
    augment = Augment(replace(OFF, mirror=1.0), model)
    classes = np.zeros((CACHE_SIDE, CACHE_SIDE), np.uint8)
    classes[:, : CACHE_SIDE // 2] = 4
    crop, params, parsing = augment(image, face, np.random.default_rng(3), classes)
    plain, expected = framed(image, model, face)
    _, mirrored = framed(image, model, mirror(face))
    np.testing.assert_allclose(params, mirrored, atol=1e-3)
    # but for what lies beyond the image, and 0.1 px by which the landmarks are no mirror images
    difference = np.abs(crop[20:-20, 20:-20].astype(int) - plain[:, ::-1][20:-20, 20:-20])
    assert (difference > 16).mean() < 0.03
    np.testing.assert_allclose(params, mirror(expected), atol=1.0)
    assert parsing is not None
    assert (parsing[:, -5:] == 4).all() and (parsing[:, :5] == 0).all()


def test_augmentation_depends_on_the_generator_only(
    model: MorphableModel, face: np.ndarray
) -> None:
    augment = Augment(AugmentConfig(), model)
    image = random_image()
    original = image.copy()
    runs = [augment(image, face, np.random.default_rng(seed)) for seed in (5, 5, 6)]
    np.testing.assert_array_equal(runs[0][0], runs[1][0])
    np.testing.assert_array_equal(runs[0][1], runs[1][1])
    assert not np.array_equal(runs[0][1], runs[2][1])
    np.testing.assert_array_equal(image, original)


@pytest.mark.parametrize("name", ["color", "blur", "noise", "occlude", "low_resolution"])
def test_photometric_augmentation_keeps_params(tiny_model: MorphableModel, name: str) -> None:
    model, image = tiny_model, random_image()
    face = random_faces(model, np.random.default_rng(2), 1)[0]
    _, expected = framed(image, model, face)
    for size in (120, 96):
        plain, disturbed = (
            Augment(config, model, size) for config in (OFF, replace(OFF, **{name: 1.0}))
        )
        for seed in range(8):  # occluders and colors have several kinds
            before, _, _ = plain(image, face, np.random.default_rng(seed))
            crop, params, _ = disturbed(image, face, np.random.default_rng(seed))
            assert crop.shape == (size, size, 3) and crop.dtype == np.uint8
            assert (crop != before).any(axis=2).mean() > 0.01
            np.testing.assert_allclose(params, expected, atol=1e-4)


def test_roll_distribution(tiny_model: MorphableModel) -> None:
    model, face = tiny_model, random_faces(tiny_model, np.random.default_rng(2), 1)[0]
    augment = Augment(replace(OFF, roll_sigma_deg=12.0), model)
    image = np.zeros((CACHE_SIDE, CACHE_SIDE, 3), np.uint8)
    rolls = []
    start = np.arctan2(face[4], face[0])
    for seed in range(300):
        _, params, _ = augment(image, face, np.random.default_rng(seed))
        rolls.append(np.degrees(np.arctan2(params[4], params[0]) - start))
    assert abs(np.mean(rolls)) < 2.5  # three standard errors of the mean
    assert 10.3 < np.std(rolls) < 13.7


@pytest.mark.parametrize(("p_weak", "share"), [(0.0, 1.0), (1.0, 0.25)])
def test_roi_noise_distribution(tiny_model: MorphableModel, p_weak: float, share: float) -> None:
    """Standard deviations of the center in widths and of the size's logarithm; weakly augmented ones have a quarter of that."""
    model, face = tiny_model, random_faces(tiny_model, np.random.default_rng(2), 1)[0]
    augment = Augment(replace(OFF, scale_sigma=0.07, shift_sigma=0.04, p_weak=p_weak), model)
    image = np.zeros((CACHE_SIDE, CACHE_SIDE, 3), np.uint8)
    centers, sizes = [], []
    for seed in range(200):
        _, params, _ = augment(image, face, np.random.default_rng(seed))
        roi = roi_from_landmarks(landmark_pixels(model, params))
        centers.append((roi[:2] + roi[2:]) / 2)
        sizes.append(np.log((roi[2] - roi[0]) / 120))
    # three standard errors of a standard deviation from 200 and 400 numbers: 15 and 11 %
    assert np.std(sizes) == pytest.approx(0.07 * share, rel=0.15)
    assert np.std(centers) == pytest.approx(0.04 * 120 * share, rel=0.11)
    assert abs(np.mean(sizes)) < 3 * 0.07 * share / np.sqrt(200)


def test_wide_framing_range(tiny_model: MorphableModel) -> None:
    model, face = tiny_model, random_faces(tiny_model, np.random.default_rng(2), 1)[0]
    wide = replace(OFF, p_wide=1.0, wide_shift=0.25, wide_scale=(0.8, 1.5))
    augment = Augment(wide, model)
    image = np.zeros((CACHE_SIDE, CACHE_SIDE, 3), np.uint8)
    shifts, sizes = [], []
    for seed in range(200):
        _, params, _ = augment(image, face, np.random.default_rng(seed))
        roi = roi_from_landmarks(landmark_pixels(model, params))
        sizes.append(120 / (roi[2] - roi[0]))
        shifts.append(np.linalg.norm((roi[:2] + roi[2:]) / 2 - 59.5) / 120)
    assert 0.22 < max(shifts) < 0.26 and np.mean(np.array(shifts) < 0.125) == pytest.approx(
        0.5, abs=0.12
    )
    assert 0.79 < min(sizes) < 0.84 and 1.42 < max(sizes) < 1.51


def test_wide_framing_frequency(tiny_model: MorphableModel) -> None:
    model, face = tiny_model, random_faces(tiny_model, np.random.default_rng(2), 1)[0]
    augment = Augment(replace(OFF, p_wide=0.25, scale_sigma=0.0, shift_sigma=0.0), model)
    image = np.zeros((CACHE_SIDE, CACHE_SIDE, 3), np.uint8)
    views = (augment(image, face, np.random.default_rng(seed))[1] for seed in range(200))
    sizes = [float(np.ptp(landmark_pixels(model, params), axis=0).max()) for params in views]
    usual = np.median(sizes)
    assert np.mean(np.abs(np.log(sizes / usual)) > 1e-3) == pytest.approx(0.25, abs=0.1)
