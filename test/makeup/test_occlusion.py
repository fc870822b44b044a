"""Masks and cloth in front of the face are not painted."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from support.painted import PX_PER_MM, SIDE, changed, face_at, portrait

from tddfa_ros.face import Face
from tddfa_ros.makeup import Makeup, load_preset
from tddfa_ros.makeup.color import to_lab
from tddfa_ros.makeup.occlusion import Occlusion, find_occlusion
from tddfa_ros.rendering.skin_color import skin_chroma

SKIN = (140, 165, 205)
MASKS = {"blue": (190, 140, 90), "black": (25, 25, 25), "white": (225, 225, 225)}


def with_mask(face: Face, color: tuple[int, int, int]) -> tuple[NDArray[np.uint8], ...]:
    """The portrait with a mask over nose and mouth, and the pixels of the mask that are not at its edge."""
    image = portrait(face)
    corners = np.concatenate([face.landmarks68[2:15, :2], face.landmarks68[28:29, :2]])
    worn = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillPoly(worn, [np.rint(corners).astype(np.int32)], 1)
    image[worn > 0] = color
    side = 2 * round(2.5 * PX_PER_MM) + 1
    return image, cv2.erode(worn, np.ones((side, side), np.uint8)) > 0


@pytest.mark.parametrize("color", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("preset", ["evening", "clown"])
def test_nothing_is_painted_on_a_mask(preset: str, color: tuple[int, int, int]) -> None:
    face = face_at()
    image, worn = with_mask(face, color)
    artist = Makeup(face.model, load_preset(preset))
    assert (artist.coverage(face, image.shape)["lipstick"][worn] > 0.9).sum() > 1000
    after = artist.apply(image, face)
    assert np.abs(after.astype(int) - image)[worn].max() <= 1
    lid = face.landmarks68[37:39, :2].mean(axis=0) - [0, 4 * PX_PER_MM]
    assert changed(image, after)[int(lid[1]), int(lid[0])], "the lids above the mask are painted"


def test_mask_does_not_change_the_light_estimate() -> None:
    face = face_at()
    artist = Makeup(face.model, load_preset("clown"))
    free = portrait(face)
    covered, _ = with_mask(face, MASKS["blue"])
    lids = artist.coverage(face, free.shape)["eye_shadow"] > 0.9
    colors = [np.median(to_lab(artist.apply(x, face))[lids], axis=0) for x in (free, covered)]
    assert lids.sum() > 200
    assert np.linalg.norm(colors[0] - colors[1]) < 8


def scene(
    skin: tuple[int, int, int], lips: tuple[int, int, int]
) -> tuple[Occlusion | None, NDArray[np.bool_]]:
    """Occlusion of a stripe of lips in skin at 2 px per mm, and the stripe."""
    image = np.full((160, 160, 3), skin, np.uint8)
    distance = 14.0 - np.abs(np.arange(160) - 80) / 2
    lip = np.repeat((distance > 8)[:, None], 160, axis=1)
    image[lip] = lips
    field = np.repeat((distance - 8)[:, None], 160, axis=1).astype(np.float32)
    chroma = skin_chroma(to_lab(np.full((1, 9, 3), skin, np.uint8))[0])
    seen = np.ones((160, 160), np.float32)
    return find_occlusion(image, chroma, field, seen, 2.0), lip


@pytest.mark.parametrize(
    ("skin", "lips"),
    [(SKIN, (110, 110, 190)), ((40, 60, 95), (70, 68, 92)), ((200, 215, 240), (160, 150, 215))],
)
def test_lips_of_all_skin_tones_are_visible(
    skin: tuple[int, int, int], lips: tuple[int, int, int]
) -> None:
    found, lip = scene(skin, lips)
    assert found is not None
    assert found.lips[lip].min() > 0.9
    assert found.skin[:20].min() > 0.98


def test_blue_object_over_the_lips_is_not_skin() -> None:
    found, lip = scene(SKIN, MASKS["blue"])
    inside = cv2.erode(lip.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert found is not None
    assert max(found.lips[inside].max(), found.skin[inside].max(), found.hair[inside].max()) < 0.02


def test_gray_image_has_no_matte() -> None:
    assert scene((150, 150, 150), (110, 110, 110))[0] is None


def test_small_highlight_is_filled() -> None:
    image = np.full((160, 160, 3), SKIN, np.uint8)
    image[78:82, 78:82] = 255
    image[20:60, 20:60] = 255
    chroma = skin_chroma(to_lab(np.full((1, 9, 3), SKIN, np.uint8))[0])
    far, seen = np.full((160, 160), -50, np.float32), np.ones((160, 160), np.float32)
    found = find_occlusion(image, chroma, far, seen, 2.0)
    assert found is not None
    assert found.skin[70:90, 70:90].min() > 0.95
    assert found.skin[30:50, 30:50].max() < 0.02, "a white area of 20 mm is not skin"
