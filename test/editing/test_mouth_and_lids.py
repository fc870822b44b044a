"""Opened mouths and closing lids of re-rendered images."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from tddfa_ros.editing import AttributeEditor, rerender
from tddfa_ros.editing.mouth import evened_lips
from tddfa_ros.editing.openings import Patch, openings_of
from tddfa_ros.face import Face
from tddfa_ros.geometry.pose import rotation_from_yaw_pitch_roll
from tddfa_ros.model_store.store import default_store
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.rendering import rasterize

SIDE = 420
ROI = np.array([110.0, 110.0, 310.0, 310.0])
SKIN, LIPS, EYES = (150, 175, 210), (70, 60, 190), (20, 200, 20)


@pytest.fixture(scope="module")
def editor() -> AttributeEditor:
    return AttributeEditor(MorphableModel.load(default_store().path("tddfa-head")))


@pytest.fixture(scope="module")
def face(editor: AttributeEditor) -> Face:
    params = np.zeros(editor.model.layout.size, np.float32)
    params[:12] = np.array([[560, 0, 0, 61], [0, 560, 0, 62], [0, 0, 560, 0]]).ravel()
    return Face(ROI, 1.0, params, ROI, editor.model)


def painted(face: Face, params: np.ndarray) -> np.ndarray:
    """Render a head with skin, red lips and green eyeballs on gray, (SIDE, SIDE, 3) uint8."""
    model = face.model
    table = {"upper_lip": LIPS, "lower_lip": LIPS, "left_eye": EYES, "right_eye": EYES}
    colors = np.array([table.get(name, SKIN) for name in model.region_names], np.float32)
    vertices = Face(ROI, 1.0, params, ROI, model).vertices
    raster = rasterize(vertices, model.triangles, colors[model.regions], (SIDE, SIDE))
    image = np.where(raster.mask[..., None], raster.values, 128)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def region_mask(face: Face, params: np.ndarray, *names: str) -> np.ndarray:
    """Return where regions of the head are visible, (SIDE, SIDE) bool."""
    model = face.model
    vertices = Face(ROI, 1.0, params, ROI, model).vertices
    inside = np.isin(model.regions, [model.region_names.index(name) for name in names])
    return Patch(0, 0, SIDE, SIDE).covered(vertices, model.triangles, inside) > 0.9


def test_lower_lip_stays_a_lip_when_the_jaw_opens(editor: AttributeEditor, face: Face) -> None:
    image = painted(face, face.params)
    for value in (0.5, 1.0):
        params = editor.edit(face.params, {"jawOpen": value})
        got = rerender(image, face, params).astype(int)
        lip = region_mask(face, params, "lower_lip")
        reddish = got[..., 2] - got[..., 1]
        assert lip.sum() > 300
        assert np.median(reddish[lip]) > 0.8 * (LIPS[2] - LIPS[1])
        assert (reddish[lip] > 60).mean() > 0.75


def test_opened_mouth_shows_teeth_and_tongue_darker_than_lips(
    editor: AttributeEditor, face: Face
) -> None:
    image = painted(face, face.params)
    params = editor.edit(face.params, {"jawOpen": 0.8})
    got = rerender(image, face, params).astype(float)
    inside = region_mask(face, params, "inner_mouth", "tongue")
    gray, red = got.mean(axis=2), got[..., 2] - got[..., 1]
    assert inside.sum() > 500
    rows = np.nonzero(inside)[0]
    below = np.arange(SIDE)[:, None] - (rows.min() + rows.max()) / 2
    upper, lower = (inside & side for side in (below < 0, below >= 0))
    assert np.median(gray[inside]) < np.mean(LIPS)
    # Teeth are bright and colorless, below the upper lip; the tongue is reddish, in the lower half.
    assert ((gray > 100) & (red < 45) & upper).sum() > 0.04 * upper.sum()
    assert np.median(red[lower]) > 20


def test_tongue_out_reaches_over_the_lower_lip(editor: AttributeEditor, face: Face) -> None:
    image = painted(face, face.params)
    changes = {"jawOpen": 0.6}
    lip = region_mask(face, editor.edit(face.params, changes), "lower_lip")
    inside, out = (
        rerender(image, face, editor.edit(face.params, {**changes, "tongueOut": value})).astype(int)
        for value in (0.0, 1.0)
    )
    changed = np.abs(out - inside).max(axis=2) > 25
    assert (changed & lip).sum() > 0.2 * lip.sum()


def eye_pixels(image: np.ndarray, box: tuple[slice, slice]) -> np.ndarray:
    part = image[box].astype(int)
    return np.asarray(part[..., 1] - part[..., 2] > 60)


def eye_box(face: Face, eye: int) -> tuple[slice, slice]:
    points = face.landmarks68[(42, 36)[eye] : (48, 42)[eye], :2]
    (x0, y0), (x1, y1) = points.min(axis=0) - 14, points.max(axis=0) + 14
    return slice(int(y0), int(y1)), slice(int(x0), int(x1))


@pytest.mark.parametrize("eye", [0, 1], ids=["left", "right"])
def test_lids_close_monotonically_over_an_eye_that_stays(
    editor: AttributeEditor, face: Face, eye: int
) -> None:
    image, box = painted(face, face.params), eye_box(face, eye)
    name = ("eyeBlinkLeft", "eyeBlinkRight")[eye]
    shown = [
        eye_pixels(rerender(image, face, editor.edit(face.params, {name: value})), box)
        for value in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    counts = [int(mask.sum()) for mask in shown]
    assert counts[0] > 100
    assert counts[-1] == 0
    for wider, narrower in pairwise(shown):
        assert narrower.sum() < wider.sum()
        assert not (narrower & ~cv2.dilate(wider.astype(np.uint8), np.ones((3, 3))).astype(bool)).any()  # fmt: skip
    assert 0.2 * counts[0] < counts[2] < 0.8 * counts[0]


def test_wink_leaves_the_other_eye_unchanged(editor: AttributeEditor, face: Face) -> None:
    image = painted(face, face.params)
    got = rerender(image, face, editor.edit(face.params, {"eyeBlinkLeft": 1}))
    other = eye_box(face, 1)
    assert np.array_equal(got[other], image[other])
    assert not np.array_equal(got[eye_box(face, 0)], image[eye_box(face, 0)])


def test_teeth_do_not_remain_on_lips_when_a_smile_closes(
    editor: AttributeEditor, face: Face
) -> None:
    """White teeth between the lips of the image are gone from the lips of the closed mouth."""
    smiling = editor.edit(
        face.params, {"jawOpen": 0.35, "mouthSmileLeft": 0.7, "mouthSmileRight": 0.7}
    )
    smile = Face(ROI, 1.0, smiling, ROI, face.model)
    image = painted(face, smiling)
    mouth = openings_of(face.model)[0]
    inside = Patch(0, 0, SIDE, SIDE).covered(smile.vertices, face.model.triangles, mouth.inside)
    # The teeth of the image reach 2 px over the lips of the fitted head: fits are not exact.
    image[cv2.dilate((inside > 0.5).astype(np.uint8), np.ones((5, 5))) > 0] = (225, 235, 240)
    got = rerender(image, smile, face.params).astype(int)
    lips = region_mask(face, face.params, "upper_lip", "lower_lip")
    white = got.min(axis=2) > 160
    assert (white & lips).sum() < 0.02 * lips.sum()


def test_corners_of_an_open_mouth_on_a_turned_head_are_dark_red(editor: AttributeEditor) -> None:
    params = np.zeros(editor.model.layout.size, np.float32)
    pose = params[:12].reshape(3, 4)
    pose[:, :3] = 560 * rotation_from_yaw_pitch_roll(np.array([-35.0, 0, 0]))
    pose[:2, 3] = 61, 62
    face = Face(ROI, 1.0, params, ROI, editor.model)
    wide = editor.edit(params, {"jawOpen": 1.0})
    got = rerender(painted(face, params), face, wide).astype(int)
    cavity = region_mask(face, wide, "inner_mouth")
    assert cavity.sum() > 300
    assert (got[cavity].max(axis=1) < 20).mean() < 0.02, "black"
    assert np.median(got[cavity][:, 2]) > 1.3 * np.median(got[cavity][:, 1])


def test_pale_lips_of_a_smile_are_evened_when_they_close() -> None:
    image = np.full((40, 60, 3), SKIN, np.float32)
    image[10:30, 10:50] = LIPS
    image[20:28, 20:40] = (190, 190, 235)  # a highlight
    lips = np.zeros((40, 60), np.float32)
    lips[10:30, 10:50] = 1
    got = evened_lips(image, lips, 0.7)
    shine = got[22:26, 25:35].reshape(-1, 3).mean(axis=0)
    assert shine[2] - shine[1] > 0.5 * (LIPS[2] - LIPS[1]), "45 before"
    np.testing.assert_allclose(got[:5], image[:5], atol=1)
    np.testing.assert_array_equal(evened_lips(image, lips, 0.0), image)


def test_mouth_of_a_mask_model_has_no_inside() -> None:
    from support.synthetic_model import synthetic_model

    from tddfa_ros.morphable.teeth import teeth_of

    model = synthetic_model()
    assert "inner_mouth" not in model.region_names
    assert teeth_of(model) is None
