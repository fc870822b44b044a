"""Blending in linear light: shading, highlights and the color of the light."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from support.painted import SIDE, face_at, portrait

from tddfa_ros.makeup import Blush, Lipstick, Makeup, MakeupPreset
from tddfa_ros.makeup.blend import into_gamut, luminance_of, paint, separate
from tddfa_ros.makeup.color import LUMINANCE, from_linear, lab_of, linear_of_lab, to_lab, to_linear

DARK_SKIN = np.array([0.035, 0.075, 0.20], np.float32)  # linear B, G, R
WHITE = np.ones(3, np.float32)


def hue(ab: NDArray[np.float32]) -> float:
    """Mean hue angle of a, b (n, 2), degrees."""
    return float(np.degrees(np.arctan2(*ab.sum(axis=0)[::-1])))


def half_lit(skin: NDArray[np.float32], sun: float = 4.0) -> NDArray[np.uint8]:
    """A face of one skin color whose left half of the image is lit ``sun`` times as strongly."""
    strength = np.where(np.arange(SIDE) < SIDE / 2, sun, 1.0).astype(np.float32)
    smooth = cv2.GaussianBlur(np.tile(strength, (SIDE, 1)), (0, 0), 3)
    return from_linear(smooth[..., None] * skin)


def test_linear_light_of_all_values_is_inverted() -> None:
    values = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 3, axis=2)
    assert (from_linear(to_linear(values)) == values).all()
    assert to_linear(values)[188, 0, 0] == pytest.approx(0.503, abs=0.001)  # IEC 61966-2-1


def test_linear_light_of_lab() -> None:
    color = np.array([[[40, 90, 200]]], np.uint8)
    assert linear_of_lab(lab_of((40, 90, 200))) == pytest.approx(to_linear(color)[0, 0], abs=2e-3)


def test_highlight_is_separated_from_shading() -> None:
    shading = np.tile(np.linspace(0.2, 1.5, 80, dtype=np.float32), (80, 1))
    linear = shading[..., None] * DARK_SKIN
    linear[38:42, 38:42] += 0.4
    found = separate(linear, DARK_SKIN, WHITE)
    away = np.ones((80, 80), bool)
    away[36:44, 36:44] = False
    assert np.abs(found.shading - shading)[away].max() < 1e-3
    spot = np.asarray(found.specular)[39, 39]
    # 0.3 of the luminance may be a variation of the skin's color.
    luminance = float(linear[39, 39] @ LUMINANCE)
    assert spot == pytest.approx(0.4 - 0.3 * luminance, abs=0.01)
    assert np.abs(np.asarray(found.specular)[away]).max() < 1e-4


def test_paint_keeps_highlights() -> None:
    linear = np.tile(DARK_SKIN, (60, 60, 1))
    linear[28:32, 28:32] += 0.4
    red = np.array([0.02, 0.02, 0.4], np.float32)
    reflection = separate(linear, DARK_SKIN, WHITE)
    paint(linear, np.ones((60, 60), np.float32), red, reflection)
    assert linear[5, 5] == pytest.approx(red, abs=1e-3)
    assert (linear[30, 30] - linear[5, 5]).min() > 0.2


@pytest.mark.parametrize("color", ["#d9606a", "#e8c020", "#3060d0"])
@pytest.mark.parametrize("skin", [DARK_SKIN, 2.2 * DARK_SKIN + 0.05])
def test_lit_and_shaded_cheek_have_the_same_hue(color: str, skin: NDArray[np.float32]) -> None:
    face = face_at()
    before = half_lit(skin)
    preset = MakeupPreset(blush=Blush(color, 1.0))
    artist = Makeup(face.model, preset)
    lab = to_lab(artist.apply(before, face))
    cheek = artist.coverage(face, before.shape)["blush"] > 0.95
    sides = [cheek & (np.arange(SIDE) < SIDE / 2), cheek & (np.arange(SIDE) >= SIDE / 2)]
    assert min(side.sum() for side in sides) > 300
    nominal = lab_of(preset.blush.bgr)[1:]
    lit, shaded = (lab[side][:, 1:] for side in sides)
    assert abs(hue(lit) - hue(shaded)) < 4
    assert abs(hue(lit) - hue(nominal[None])) < 6
    # Neither gray nor khaki: at least half of the chroma.
    assert np.linalg.norm(lit, axis=1).mean() > 0.5 * np.linalg.norm(nominal)
    assert np.median(lab[sides[0]][:, 0]) > np.median(lab[sides[1]][:, 0]) + 10


def test_pigment_takes_the_color_of_the_light() -> None:
    face = face_at()
    preset = MakeupPreset(lipstick=Lipstick("#d0d0d0", 1.0))
    lips = Makeup(face.model, preset).coverage(face, (SIDE, SIDE))["lipstick"] > 0.99
    bgr = {}
    for name, light in (("white", (1, 1, 1)), ("orange", (0.1, 0.5, 1))):
        linear = to_linear(portrait(face)) * np.array(light, np.float32)
        after = Makeup(face.model, preset).apply(from_linear(linear), face)
        bgr[name] = np.median(to_linear(after)[lips], axis=0)
    assert bgr["white"].min() > 0.9 * bgr["white"].max()
    assert bgr["orange"][0] < 0.6 * bgr["orange"][2]


def test_gamut_mapping_keeps_the_hue() -> None:
    colors = np.array([[0.1, 0.3, 2.0], [1.5, 3.0, 0.5], [0.2, 0.3, 0.9]], np.float32)
    mapped = into_gamut(colors)
    assert mapped.max() <= 1 + 1e-5 and mapped.min() >= 0
    assert mapped[2] == pytest.approx(colors[2])
    for old, new in zip(colors, mapped, strict=True):
        old, new = old - old @ LUMINANCE, new - new @ LUMINANCE
        assert old @ new == pytest.approx(np.linalg.norm(old) * np.linalg.norm(new), rel=1e-3)


def test_luminance_weights_sum_to_one() -> None:
    assert luminance_of(np.ones((2, 2, 3), np.float32)) == pytest.approx(1)


def test_broad_sheen_counts_as_light() -> None:
    linear = np.tile(DARK_SKIN, (100, 100, 1))
    linear[:, 50:] += 0.2
    spot = linear.copy()
    spot[30:33, 20:23] += 0.2
    found = separate(spot, DARK_SKIN, WHITE, sigma=0.8)
    specular = np.asarray(found.specular)[..., 0]
    assert specular[31, 21] > 2 * specular[50, 80] > 0
    assert found.shading[50, 80] > 2
