from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from support.painted import PX_PER_MM, SIDE, changed, face_at, head_model, portrait

from tddfa_ros.errors import ImageError
from tddfa_ros.face import Face
from tddfa_ros.makeup import Blush, BrowTint, EyeShadow, Lipstick, Makeup, MakeupPreset
from tddfa_ros.makeup.color import to_lab
from tddfa_ros.makeup.matte import lip_matte
from tddfa_ros.rendering.raster import visible_surface

RED_LIPS = MakeupPreset(lipstick=Lipstick("#a01830", 0.9, softness=0.3))
ALL = MakeupPreset(Lipstick("#a01830", 0.9), Blush("#d04050", 0.8), EyeShadow("#304080", 0.8))


def polygon(points: NDArray[np.floating], grow: float = 0) -> NDArray[np.bool_]:
    """Pixels inside a polygon (n, 2 or more), made larger by some px (or smaller)."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillPoly(mask, [np.rint(points[:, :2]).astype(np.int32)], 1)
    side = 2 * int(np.ceil(abs(grow))) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    change: Any = cv2.dilate if grow >= 0 else cv2.erode
    return change(mask, kernel) > 0


def lightness(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    return to_lab(image)[..., 0]


def test_lipstick_stays_on_the_lips() -> None:
    face = face_at()
    before = portrait(face)
    after = Makeup(face.model, RED_LIPS).apply(before, face)
    touched = changed(before, after)
    outline = face.landmarks68[48:60]
    # The lower lip reaches 2 mm below its landmarks; the soft edge, half of it outside, is 0.8 mm; and a pixel.
    assert not (touched & ~polygon(outline, (2.0 + 0.8) * PX_PER_MM + 1)).any()
    assert touched[polygon(outline, -3)].mean() > 0.97
    lab = to_lab(after)[polygon(outline, -4)]
    assert np.median(lab[:, 1]) > np.median(to_lab(before)[polygon(outline, -4)][:, 1]) + 20


def test_lips_keep_their_shading() -> None:
    face = face_at()
    before = portrait(face)
    artist = Makeup(face.model, RED_LIPS)
    after = artist.apply(before, face)
    middle = artist.coverage(face, before.shape)["lipstick"] > 0.999
    assert middle.sum() > 1000
    old, new = lightness(before)[middle], lightness(after)[middle]
    assert np.ptp(old) > 15, "the test needs light from one side"
    assert np.corrcoef(old, new)[0, 1] > 0.99
    order = np.argsort(old)
    dark, bright = new[order[: len(order) // 4]], new[order[-len(order) // 4 :]]
    assert dark.mean() < bright.mean() - 5
    # A pigment takes the same share of light everywhere.
    ratio = new / old
    assert ratio.std() / ratio.mean() < 0.03


def test_open_mouth_is_not_painted() -> None:
    face = face_at(jawOpen=0.9)
    before = portrait(face)
    after = Makeup(face.model, RED_LIPS).apply(before, face)
    inside = polygon(face.landmarks68[60:68], -5)
    assert inside.sum() > 800
    assert np.abs(after.astype(int) - before)[inside].max() <= 1
    assert changed(before, after).sum() > 2000


def test_eyes_are_not_painted() -> None:
    face = face_at()
    before = portrait(face)
    preset = MakeupPreset(eye_shadow=EyeShadow("#304080", 0.8))
    after = Makeup(face.model, preset).apply(before, face)
    for eye in (slice(36, 42), slice(42, 48)):
        inside = polygon(face.landmarks68[eye], -4)
        assert inside.sum() > 100
        assert np.abs(after.astype(int) - before)[inside].max() <= 1
        lid = face.landmarks68[eye][1:3, :2].mean(axis=0)
        above = np.s_[int(lid[1] - 4 * PX_PER_MM), int(lid[0])]
        assert changed(before, after)[above], "the lid is painted"
    below = np.s_[int(face.landmarks68[41, 1] + 8), int(face.landmarks68[41, 0])]
    assert not changed(before, after)[below], "under the eye it is not"


@pytest.mark.parametrize("yaw", [65.0, -65.0])
def test_occluded_cheek_is_not_painted(yaw: float) -> None:
    face = face_at(yaw=yaw)
    cover = Makeup(face.model, ALL).coverage(face, (SIDE, SIDE))["blush"]
    surface = visible_surface(face.vertices, face.model.triangles, (SIDE, SIDE))
    x = surface.interpolate(face.model.mean[:, :1])[..., 0]
    # yaw > 0 turns to the person's own left, so the left cheek (x > 0) is turned away.
    hidden = (x * np.sign(yaw) > 0.01) & surface.mask
    assert cover[~hidden].sum() > 1000
    assert cover[hidden].sum() < 0.01 * cover[~hidden].sum()
    assert cover[~surface.mask].max() == 0, "no paint on the background"


def test_paint_fades_at_grazing_angles() -> None:
    face = face_at(yaw=50.0)
    cover = Makeup(face.model, ALL).coverage(face, (SIDE, SIDE))["blush"]
    surface = visible_surface(face.vertices, face.model.triangles, (SIDE, SIDE))
    rim = surface.mask & (cv2.erode(surface.mask.astype(np.uint8), np.ones((3, 3))) == 0)
    assert cover.max() > 0.95 and cover[rim].max() < 0.2


def test_nose_occludes_cheek() -> None:
    face = face_at(yaw=45.0)
    cover = Makeup(face.model, ALL).coverage(face, (SIDE, SIDE))["blush"]
    surface = visible_surface(face.vertices, face.model.triangles, (SIDE, SIDE))
    names = face.model.region_names
    nose = face.model.regions == names.index("nose")
    tip = nose & (face.model.mean[:, 2] > 0.028)
    shown = surface.interpolate(tip[:, None].astype(np.float32))[..., 0] > 0.9
    assert shown.sum() > 200 and cover[shown].max() == 0


def test_gray_image_stays_gray() -> None:
    face = face_at()
    gray = cv2.cvtColor(cv2.cvtColor(portrait(face), cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    after = Makeup(face.model, ALL).apply(gray, face)
    assert changed(gray, after).sum() > 1000
    assert np.ptp(after.astype(int), axis=2).max() <= 2


def test_makeup_is_darker_in_a_dark_image() -> None:
    face = face_at()
    before = portrait(face)
    middle = polygon(face.landmarks68[48:60], -5)
    artist = Makeup(face.model, RED_LIPS)
    bright, dim = (lightness(artist.apply(image, face))[middle] for image in (before, before // 4))
    assert dim.mean() < 0.75 * bright.mean()


def test_brow_tint_colors_hairs_only() -> None:
    face = face_at()
    before = portrait(face)
    # Hairs are drawn two millimeters below the brow of the mesh.
    hairs = np.zeros((SIDE, SIDE), np.uint8)
    line = face.landmarks68[22:27, :2] + [0, 2 * PX_PER_MM]
    cv2.polylines(hairs, [np.rint(line).astype(np.int32)], False, 1, 5)
    before[hairs > 0] = (before[hairs > 0] * 0.45).astype(np.uint8)
    preset = MakeupPreset(brow_tint=BrowTint("#101008", 0.9, fill=0.0))
    after = Makeup(face.model, preset).apply(before, face)
    amount = np.abs(after.astype(int) - before).sum(axis=2)
    amount[:, : SIDE // 2] = 0  # the other side has no hairs, but a shadow as dark as some
    near = cv2.dilate(hairs, np.ones((3, 3), np.uint8)) > 0
    assert (amount[hairs > 0] > 20).mean() > 0.9
    assert amount[~near].max() < 0.4 * np.median(amount[hairs > 0])
    assert amount[~near].sum() < 0.2 * amount[near].sum()


def lip_scene(offset: float) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """A stripe of lip from row 40 to 80 in Lab, distances as a mesh ``offset`` px too high says, and the true stripe."""
    rows = np.repeat(np.arange(120, dtype=np.float32)[:, None], 60, axis=1)
    true = (rows >= 40) & (rows < 80)
    lab = np.where(true[..., None], [55, 32, 14], [68, 14, 18]).astype(np.float32)
    lips = 0.25 * (20 - np.abs(rows - 59.5 + offset))
    return lab, lips, true


def test_matting_corrects_a_shifted_mesh() -> None:
    lab, lips, true = lip_scene(offset=6)
    prior = (lips > 0).astype(np.float32)
    far = np.full_like(lips, 10)
    seen = np.ones_like(lips)
    found = lip_matte(lab, lips, far, prior, seen)
    assert np.abs(prior - true).sum() == 2 * 6 * 60
    assert np.abs(found - true).sum() < 0.35 * np.abs(prior - true).sum()


def test_teeth_are_not_painted() -> None:
    lab, lips, true = lip_scene(offset=0)
    teeth = np.zeros_like(true)
    teeth[56:64, 10:50] = True
    lab[teeth] = [82, 2, 10]
    mouth = (
        0.25 * np.abs(np.arange(120, dtype=np.float32) - 60)[:, None] * np.ones((1, 60), np.float32)
    )
    found = lip_matte(lab, lips, mouth, true.astype(np.float32), np.ones_like(lips))
    assert found[57:63, 12:48].max() < 0.05
    assert found[45:50].min() > 0.95


def test_mesh_defines_lips_without_contrast() -> None:
    lab, lips, _ = lip_scene(offset=6)
    lab[:] = [68, 14, 18]
    prior = (lips > 0).astype(np.float32)
    ten = np.full_like(lips, 10)
    assert lip_matte(lab, lips, ten, prior, np.ones_like(lips)) is prior


def test_pixels_beside_the_face_and_the_input_do_not_change() -> None:
    face = face_at()
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    kept = noise.copy()
    after = Makeup(face.model, ALL).apply(noise, [face])
    assert (noise == kept).all() and not np.shares_memory(noise, after)
    outside = ~visible_surface(face.vertices, face.model.triangles, (SIDE, SIDE)).mask
    assert not changed(noise, after)[cv2.erode(outside.astype(np.uint8), np.ones((3, 3))) > 0].any()
    assert (Makeup(face.model, MakeupPreset()).apply(noise, face) == noise).all()
    assert (Makeup(face.model, ALL).apply(noise, []) == noise).all()


def test_faces_at_border_outside_and_non_finite() -> None:
    face = face_at()
    artist = Makeup(face.model, ALL)
    image = portrait(face)
    for x, y in ((-200, 0), (190, 150), (5000, 0)):
        roi = face.roi + [x, y, x, y]
        moved = Face(roi, 1.0, face.params, roi, face.model)
        assert artist.apply(image, moved).shape == image.shape
    broken = Face(face.roi, 1.0, face.params * np.nan, face.roi, face.model)
    assert (artist.apply(image, broken) == image).all()


def test_rejects_invalid_image() -> None:
    face = face_at()
    with pytest.raises(ImageError, match="the image for virtual makeup must be"):
        Makeup(face.model, ALL).apply(np.zeros((9, 9), np.uint8), face)


def test_model_with_landmark_regions_only() -> None:
    """A model without inner mouth and tongue, with regions from landmark outlines."""
    from dataclasses import fields

    from tddfa_ros.morphable.model import MorphableModel
    from tddfa_ros.official.regions import REGION_NAMES, regions_from_landmarks

    own = head_model()
    values = {f.name: getattr(own, f.name) for f in fields(own) if f.name != "topology_id"}
    values["regions"] = regions_from_landmarks(own.mean, own.landmarks_of(own.mean))
    values["region_names"] = REGION_NAMES
    model = MorphableModel.create(half=False, **values)
    face, other = face_at(), face_at(model=model)
    cover, wanted = (Makeup(f.model, ALL).coverage(f, (SIDE, SIDE)) for f in (other, face))
    for part in ("lipstick", "blush", "eye_shadow"):
        assert wanted[part].sum() > 500
        assert np.abs(cover[part] - wanted[part]).sum() < 0.25 * wanted[part].sum(), part
