"""Age of skin, on renderings of the head with known colors."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tddfa_ros.editing import AttributeEditor, age_skin, edit_image, rerender
from tddfa_ros.editing.skin_view import SkinView, view_skin
from tddfa_ros.editing.wrinkles import map_pixels, old_skin
from tddfa_ros.errors import ConfigError
from tddfa_ros.face import Face
from tddfa_ros.model_store.store import default_store
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.rendering import rasterize
from tddfa_ros.rendering.protocols import in_regions
from tddfa_ros.rendering.shading import image_normals

SIDE = 480
ROI = np.array([110.0, 120.0, 370.0, 380.0])
LIGHT, DARK = (150, 175, 215), (45, 65, 100)  # BGR of skin
BROW = 0.35  # of the skin's brightness


@pytest.fixture(scope="module")
def editor() -> AttributeEditor:
    return AttributeEditor(MorphableModel.load(default_store().path("tddfa-head")))


def face_at(editor: AttributeEditor, yaw: float = 0.0) -> Face:
    params = np.zeros(editor.model.layout.size, np.float32)
    c, s = np.cos(np.deg2rad(yaw)), np.sin(np.deg2rad(yaw))
    rotation = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    params[:12] = np.column_stack([560 * rotation, [61, 62, 0]]).ravel()
    return Face(ROI, 1.0, params, ROI, editor.model)


def portrait(face: Face, color: tuple[int, int, int] = LIGHT) -> np.ndarray:
    """Render the head in one color, shaded softly, with dark brows, on a gray wall."""
    model = face.model
    shade = 0.8 + 0.2 * np.clip(image_normals(face.vertices, model.triangles)[:, 2:], 0, 1)
    colors = shade * np.float32(color)
    colors[in_regions(model, ("left_brow", "right_brow"))] *= BROW
    raster = rasterize(face.vertices, model.triangles, colors.astype(np.float32), (SIDE, SIDE))
    image = np.where(raster.mask[..., None], raster.values, np.float32(90))
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def seen(image: np.ndarray, face: Face) -> SkinView:
    view = view_skin(image, face)
    assert view is not None
    return view


def log_change(image: np.ndarray, got: np.ndarray, view: SkinView) -> np.ndarray:
    before, after = (cv2.cvtColor(i, cv2.COLOR_BGR2GRAY)[view.slices] for i in (image, got))
    return np.log((after + 1.0) / (before + 1.0))


def sampled(values: np.ndarray, view: SkinView) -> np.ndarray:
    at = map_pixels(view.places)
    return cv2.remap(values, at[..., 0], at[..., 1], cv2.INTER_LINEAR)


def test_age_0_leaves_the_image_unchanged(editor: AttributeEditor) -> None:
    face = face_at(editor)
    image = portrait(face)
    assert np.array_equal(age_skin(image, face, 0.0), image)


@pytest.mark.parametrize("color", [LIGHT, DARK])
@pytest.mark.parametrize("yaw", [-45.0, 0.0, 30.0])
def test_old_skin_is_darker_in_its_lines(
    editor: AttributeEditor, yaw: float, color: tuple[int, int, int]
) -> None:
    face = face_at(editor, yaw)
    image = portrait(face, color)
    view = seen(image, face)
    relief = sampled(old_skin(face.model).relief, view)
    got = log_change(image, age_skin(image, face, 1.0), view)
    skin = view.skin > 0.8
    grooves, flat = skin & (relief < -0.18), skin & (np.abs(relief) < 0.03)
    assert grooves.sum() > 100
    assert got[grooves].mean() < got[flat].mean() - 0.12
    half = log_change(image, age_skin(image, face, 0.5), view)
    assert got[grooves].mean() < half[grooves].mean() - 0.03


def test_lines_are_as_strong_on_dark_skin(editor: AttributeEditor) -> None:
    face = face_at(editor)
    changes = []
    for color in (LIGHT, DARK):
        image = portrait(face, color)
        view = seen(image, face)
        relief = sampled(old_skin(face.model).relief, view)
        change = log_change(image, age_skin(image, face, 1.0), view)
        changes.append(change[(view.skin > 0.8) & (relief < -0.18)].mean())
    assert changes[1] == pytest.approx(changes[0], rel=0.35)


def test_eyes_lips_and_background_are_not_aged(editor: AttributeEditor) -> None:
    face = face_at(editor)
    image = portrait(face)
    got = np.abs(age_skin(image, face, 1.0).astype(int) - image).max(axis=2)
    for name in ("left_eye", "right_eye", "upper_lip", "lower_lip"):
        flags = np.repeat(in_regions(face.model, (name,))[:, None], 3, axis=1)
        drawn = rasterize(
            face.vertices, face.model.triangles, flags.astype(np.float32), (SIDE, SIDE)
        )
        inside = cv2.erode((drawn.values[..., 0] > 0.99).astype(np.uint8), np.ones((3, 3))) > 0
        assert inside.sum() > 20
        assert got[inside].max() <= 2, name
    outside = ~rasterize(face.vertices, face.model.triangles, face.vertices, (SIDE, SIDE)).mask
    assert got[outside].max() == 0


def test_what_covers_the_skin_is_not_aged(editor: AttributeEditor) -> None:
    face = face_at(editor)
    image = portrait(face)
    nose = face.landmarks68[33, :2].round().astype(int)
    x, y = nose
    image[y : y + 70, x - 60 : x + 60] = (200, 120, 60)  # a blue mask
    got = np.abs(age_skin(image, face, 1.0).astype(int) - image).max(axis=2)
    assert got[y + 6 : y + 64, x - 54 : x + 54].max() <= 2
    assert got[y - 120 : y - 60, x - 40 : x + 40].max() > 10


def test_younger_skin_loses_its_lines_and_older_deepens_them(editor: AttributeEditor) -> None:
    face = face_at(editor)
    smooth = portrait(face)
    lined = smooth.astype(np.float32)
    left, right = face.landmarks68[19, :2], face.landmarks68[24, :2]
    x0, x1 = int(left[0]), int(right[0])
    rows = [int(left[1]) - 30 - 9 * i for i in range(3)]
    for row in rows:
        lined[row - 1 : row + 2, x0:x1] *= 0.85
    image = np.clip(np.rint(lined), 0, 255).astype(np.uint8)

    def contrast(got: np.ndarray) -> float:
        gray = cv2.cvtColor(got, cv2.COLOR_BGR2GRAY).astype(float)[:, x0 + 5 : x1 - 5]
        return float(np.mean([gray[row].mean() - gray[row + 4].mean() for row in rows[1:]]))

    before = contrast(image)
    assert before < -10
    assert contrast(age_skin(image, face, -1.0)) > 0.6 * before
    assert contrast(age_skin(image, face, 1.0)) < 1.2 * before


def test_brows_turn_gray(editor: AttributeEditor) -> None:
    face = face_at(editor)
    image = portrait(face)
    brown = np.float32([20, 45, 80])
    dark = image.max(axis=2) < 95
    dark &= image[..., 2] > image[..., 0] + 10  # not the wall
    image[dark] = brown
    assert dark.sum() > 100
    inner = cv2.erode(dark.astype(np.uint8), np.ones((3, 3))) > 0
    got = age_skin(image, face, 1.0)[inner].astype(float).mean(axis=0)
    assert got.mean() > brown.mean() + 10
    assert np.ptp(got) / got.mean() < 0.6 * np.ptp(brown) / brown.mean()


@pytest.mark.parametrize("age", [1.5, -1.01, np.nan])
def test_rejects_ages_out_of_range(editor: AttributeEditor, age: float) -> None:
    face = face_at(editor)
    with pytest.raises(ConfigError, match="within -1 to 1"):
        age_skin(portrait(face), face, age)


def test_age_edits_shape_and_skin(editor: AttributeEditor) -> None:
    face = face_at(editor)
    image = portrait(face)
    got = edit_image(image, face, {"age": 1.0})
    shape_only = rerender(image, face, editor.edit(face.params, {"age": 1.0}))
    skin = seen(image, face).skin > 0.8
    here = seen(image, face).slices
    assert np.abs(got[here].astype(int) - shape_only[here])[skin].mean() > 3
    other = {"jaw_width": 2.0}
    assert np.array_equal(
        edit_image(image, face, other), rerender(image, face, editor.edit(face.params, other))
    )
