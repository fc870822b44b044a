"""Re-rendered images, against a direct rendering of the mesh with the new parameters."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tddfa_ros.editing import AttributeEditor, Rerenderer, rerender
from tddfa_ros.editing.field import MARGIN, Window, displacement, seen_vertices
from tddfa_ros.editing.openings import Patch, openings_of
from tddfa_ros.errors import ImageError, ModelError
from tddfa_ros.face import Face
from tddfa_ros.model_store.store import default_store
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.rendering import rasterize

SIDE = 420
ROI = np.array([110.0, 110.0, 310.0, 310.0])


@pytest.fixture(scope="module")
def editor() -> AttributeEditor:
    return AttributeEditor(MorphableModel.load(default_store().path("tddfa-head")))


@pytest.fixture(scope="module")
def face(editor: AttributeEditor) -> Face:
    params = np.zeros(editor.model.layout.size, np.float32)
    params[:12] = np.array([[560, 0, 0, 61], [0, 560, 0, 62], [0, 0, 560, 0]]).ravel()
    return Face(ROI, 1.0, params, ROI, editor.model)


def drawn(face: Face, params: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Render a head colored by a smooth function of its surface on a smooth background; return image and mask."""
    model = face.model
    moved = Face(face.box, 1.0, params, face.roi, model)
    place = 1e3 * model.mean
    paint = 130 + 50 * np.stack([np.sin(place[:, i] / (9 + i)) for i in range(3)], axis=1)
    raster = rasterize(moved.vertices, model.triangles, paint.astype(np.float32), (SIDE, SIDE))
    ramp = np.linspace(60, 200, SIDE, dtype=np.float32)
    wall = np.stack([np.tile(ramp, (SIDE, 1))] * 3, axis=2)
    image = np.where(raster.mask[..., None], raster.values, wall)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), raster.mask


def test_unchanged_parameters_give_the_same_image(face: Face) -> None:
    image, _ = drawn(face, face.params)
    assert np.array_equal(rerender(image, face, face.params), image)


@pytest.mark.parametrize(
    "changes",
    [
        {"nose_width": 3},
        {"jaw_width": 3},
        {"masculine_proportions": 1},
        {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8},
        {"browInnerUp": 1.0},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_skin_follows_the_new_mesh(
    editor: AttributeEditor, face: Face, changes: dict[str, float]
) -> None:
    image, before = drawn(face, face.params)
    params = editor.edit(face.params, changes)
    wanted, after = drawn(face, params)
    got = rerender(image, face, params)
    inside = cv2.erode((before & after).astype(np.uint8), np.ones((9, 9))) > 0
    error = np.abs(got.astype(float) - wanted).mean(axis=2)[inside]
    idle = np.abs(image.astype(float) - wanted).mean(axis=2)[inside]
    assert (
        np.median(error) < 1.5
    )  # gray levels of 255: interpolation and the coarser grid of the field
    moves = idle > 3
    assert error[moves].mean() < 0.4 * idle[moves].mean()


def test_image_is_unchanged_away_from_the_head(editor: AttributeEditor, face: Face) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (900, 900, 3), dtype=np.uint8)
    got = rerender(image, face, editor.edit(face.params, {"child_proportions": 1, "jawOpen": 1}))
    window = Window.around(face.vertices, face.face_size, image.shape)
    assert window.width < 900
    outside = np.ones((900, 900), bool)
    outside[window.slices] = False
    assert np.array_equal(got[outside], image[outside])
    assert not np.array_equal(got, image)
    assert window.x + window.width >= face.vertices[:, 0].max() + 0.9 * MARGIN * face.face_size


@pytest.mark.parametrize("changes", [{"jawOpen": 1}, {"mouthPucker": 1}, {"child_proportions": 1}])
def test_warp_does_not_tear(editor: AttributeEditor, face: Face, changes: dict[str, float]) -> None:
    """Neighboring pixels of the new image are sampled at most 2 px apart, also below a lowered chin."""
    after = Face(ROI, 1.0, editor.edit(face.params, changes), ROI, face.model).vertices
    window = Window.around(face.vertices, face.face_size, (SIDE, SIDE))
    known = seen_vertices(face.vertices, face.model.triangles, window, face.face_size)
    for opening in openings_of(face.model):
        known &= ~opening.inside
    field = displacement(face.vertices, after, known, face.model.triangles, window, face.face_size)
    steps = [np.linalg.norm(np.diff(field, axis=axis), axis=2) for axis in (0, 1)]
    for step in steps:
        assert np.quantile(step, 0.999) < 1.0
        assert step.max() < 2.5


def test_opened_mouth_is_dark_inside(editor: AttributeEditor, face: Face) -> None:
    image = np.full((SIDE, SIDE, 3), (140, 165, 205), np.uint8)
    mouth = next(o for o in openings_of(face.model) if o.name == "mouth")
    patch = Patch(0, 0, SIDE, SIDE)
    opened = editor.edit(face.params, {"jawOpen": 1})
    got = rerender(image, face, opened)
    after = Face(ROI, 1.0, opened, ROI, face.model)
    covered = patch.covered(after.vertices, face.model.triangles, mouth.inside) > 0.9
    assert covered.sum() > 500
    assert np.median(got[covered].mean(axis=1)) < 0.5 * 170
    assert (
        np.abs(
            got[~(cv2.dilate(covered.astype(np.uint8), np.ones((9, 9))) > 0)] - image[0, 0]
        ).max()
        < 3
    )
    # Close the mouth of the edited image: skin covers the interior.
    closed = rerender(got, after, face.params)
    lips = face.landmarks68[60:68, :2].mean(axis=0).astype(int)
    near = closed[lips[1] - 12 : lips[1] + 12, lips[0] - 12 : lips[0] + 12].reshape(-1, 3)
    assert np.median(near.mean(axis=1)) > 120


def test_closed_lids_cover_the_eyes(editor: AttributeEditor, face: Face) -> None:
    image = np.full((SIDE, SIDE, 3), 180, np.uint8)
    triangles, eyes = face.model.triangles, openings_of(face.model)[1:]
    patch = Patch(0, 0, SIDE, SIDE)
    shown = sum(patch.covered(face.vertices, triangles, eye.inside) for eye in eyes)
    image[shown > 0.5] = (20, 20, 200)
    shut = editor.edit(face.params, {"eyeBlinkLeft": 1, "eyeBlinkRight": 1})
    got = rerender(image, face, shut).astype(int)
    reds = [int((p[..., 2] - p[..., 1] > 60).sum()) for p in (image.astype(int), got)]
    assert reds[0] > 200 and reds[1] < 0.02 * reds[0]


def test_rejects_invalid_faces(face: Face) -> None:
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    with pytest.raises(ModelError, match="parameters must be finite"):
        rerender(image, face, np.full_like(face.params, np.nan))
    with pytest.raises(ModelError, match="takes 104"):
        rerender(image, face, face.params[:62])
    with pytest.raises(ImageError):
        rerender(image[..., 0], face, face.params)
    away = Face(ROI, 1.0, face.params, ROI + 5000, face.model)
    with pytest.raises(ImageError, match="outside"):
        Rerenderer(image, away)
