"""What is drawn over a face must be where the face is, and leave the rest of the picture alone."""

from __future__ import annotations

import numpy as np
import pytest
from support.posed import random_faces

from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.augment import about_landmarks, landmark_pixels, reframe
from tddfa_ros.training.occluders import ON_FACES, Occluder, glasses, hand, mask, occlude, patch

SKIN = (90, 120, 180)
MOUTH, LIDS = slice(48, 68), slice(36, 48)


@pytest.fixture(scope="module")
def points(tiny_model: MorphableModel) -> np.ndarray:
    """Landmarks (68, 2) px of a frontal face in a 120-px crop."""
    face = random_faces(tiny_model, np.random.default_rng(2), 1)[0]
    zoom, shift = about_landmarks(landmark_pixels(tiny_model, face), 0.0, 1.0, np.zeros(2))
    _, face = reframe(np.zeros((160, 160, 3), np.uint8), face, 0.0, zoom, shift)
    return landmark_pixels(tiny_model, face)


def crop() -> np.ndarray:
    return np.full((120, 120, 3), SKIN, np.uint8)


def changed(points: np.ndarray, occluder: Occluder, seed: int) -> np.ndarray:
    before = crop()
    after = occluder(before, points, np.random.default_rng(seed))
    assert after.shape == before.shape and after.dtype == np.uint8
    assert (before == SKIN).all(), "the crop given must stay as it is"
    return np.asarray((after != before).any(axis=2))


def at(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    where = np.clip(np.round(points).astype(int), 0, len(picture) - 1)
    return np.asarray(picture[where[:, 1], where[:, 0]])


def test_glasses_hide_eyes_and_not_the_mouth(points: np.ndarray) -> None:
    eyes = [at(changed(points, glasses, seed), points[LIDS]).mean() for seed in range(40)]
    assert np.mean(np.array(eyes) > 0.8) > 0.5, "most are tinted; some are only a frame"
    assert not any(at(changed(points, glasses, seed), points[MOUTH]).any() for seed in range(40))


def test_a_mask_hides_mouth_and_chin_and_not_the_eyes(points: np.ndarray) -> None:
    for seed in range(20):
        hidden = changed(points, mask, seed)
        assert at(hidden, points[MOUTH]).all()
        assert at(hidden, points[[7, 8, 9]] - [0, 2]).all()
        assert not at(hidden, points[LIDS]).any()


def test_a_hand_reaches_the_face_in_its_colour(points: np.ndarray) -> None:
    shares = []
    for seed in range(20):
        after = hand(crop(), points, np.random.default_rng(seed))
        covered = (after != crop()).any(axis=2)
        shares.append(covered.mean())
        colour = after[covered].mean(axis=0)
        hue = colour / colour.sum()
        np.testing.assert_allclose(hue, np.array(SKIN) / np.sum(SKIN), atol=0.03)
        border = np.concatenate([covered[0], covered[-1], covered[:, 0], covered[:, -1]])
        assert border.any(), "it comes from outside"
    assert 0.02 < np.mean(shares) < 0.4


@pytest.mark.parametrize("size", [96, 160])
@pytest.mark.parametrize("occluder", set(ON_FACES), ids=lambda o: o.__name__)
def test_any_size_and_landmarks_outside_the_crop(
    points: np.ndarray, occluder: Occluder, size: int
) -> None:
    picture = np.full((size, size, 3), SKIN, np.uint8)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        assert occluder(picture, 3 * points - 100, rng).shape == picture.shape


def test_each_kind_is_drawn_and_without_a_face_only_patches(points: np.ndarray) -> None:
    def drawn(landmarks: np.ndarray | None) -> list[bytes]:
        rngs = [np.random.default_rng(seed) for seed in range(60)]
        return [occlude(crop(), landmarks, rng).tobytes() for rng in rngs]

    def first_choice(seed: int) -> Occluder:
        return ON_FACES[int(np.random.default_rng(seed).integers(len(ON_FACES)))]

    assert {first_choice(seed) for seed in range(60)} == set(ON_FACES)
    for seed, (face, nothing) in enumerate(zip(drawn(points), drawn(None), strict=True)):
        assert nothing == patch(crop(), None, np.random.default_rng(seed)).tobytes()
        # a hand may miss, and a patch of this picture looks like the rest
        assert face != crop().tobytes() or first_choice(seed) in (hand, patch)
