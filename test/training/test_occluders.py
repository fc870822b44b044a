"""Occluders are placed by the landmarks and leave the rest of the image unchanged."""

from __future__ import annotations

import numpy as np
import pytest
from support.posed import random_faces

from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.framing import about_landmarks, landmark_pixels, reframe
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
    assert (before == SKIN).all(), "the input is not modified"
    return np.asarray((after != before).any(axis=2))


def at(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    where = np.clip(np.round(points).astype(int), 0, len(image) - 1)
    return np.asarray(image[where[:, 1], where[:, 0]])


def test_glasses_cover_eyes_only(points: np.ndarray) -> None:
    eyes = [at(changed(points, glasses, seed), points[LIDS]).mean() for seed in range(40)]
    assert np.mean(np.array(eyes) > 0.8) > 0.5, "most are tinted; some are only a frame"
    assert not any(at(changed(points, glasses, seed), points[MOUTH]).any() for seed in range(40))


def test_mask_covers_mouth_and_chin_only(points: np.ndarray) -> None:
    for seed in range(20):
        hidden = changed(points, mask, seed)
        assert at(hidden, points[MOUTH]).all()
        assert at(hidden, points[[7, 8, 9]] - [0, 2]).all()
        assert not at(hidden, points[LIDS]).any()


def test_hand_covers_face_in_skin_color(points: np.ndarray) -> None:
    shares = []
    for seed in range(20):
        after = hand(crop(), points, np.random.default_rng(seed))
        covered = (after != crop()).any(axis=2)
        shares.append(covered.mean())
        color = after[covered].mean(axis=0)
        hue = color / color.sum()
        np.testing.assert_allclose(hue, np.array(SKIN) / np.sum(SKIN), atol=0.03)
        border = np.concatenate([covered[0], covered[-1], covered[:, 0], covered[:, -1]])
        assert border.any(), "hands start outside the crop"
    assert 0.02 < np.mean(shares) < 0.4


@pytest.mark.parametrize("size", [96, 160])
@pytest.mark.parametrize("occluder", set(ON_FACES), ids=lambda o: o.__name__)
def test_occluders_accept_any_size_and_outside_landmarks(
    points: np.ndarray, occluder: Occluder, size: int
) -> None:
    image = np.full((size, size, 3), SKIN, np.uint8)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        assert occluder(image, 3 * points - 100, rng).shape == image.shape


def test_all_occluders_are_used_and_patches_without_a_face(points: np.ndarray) -> None:
    def drawn(landmarks: np.ndarray | None) -> list[bytes]:
        rngs = [np.random.default_rng(seed) for seed in range(60)]
        return [occlude(crop(), landmarks, rng).tobytes() for rng in rngs]

    def first_choice(seed: int) -> Occluder:
        return ON_FACES[int(np.random.default_rng(seed).integers(len(ON_FACES)))]

    assert {first_choice(seed) for seed in range(60)} == set(ON_FACES)
    for seed, (face, nothing) in enumerate(zip(drawn(points), drawn(None), strict=True)):
        assert nothing == patch(crop(), None, np.random.default_rng(seed)).tobytes()
        # a hand may miss the face, and a copied patch is invisible in a flat image
        assert face != crop().tobytes() or first_choice(seed) in (hand, patch)
