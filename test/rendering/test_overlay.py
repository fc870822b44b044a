"""Overlay: positions of drawn elements, unchanged pixels, and invalid faces."""

from types import SimpleNamespace

import numpy as np
import pytest
from support.synthetic_model import frontal_params, synthetic_model

from tddfa_ros.errors import ImageError
from tddfa_ros.face import TrackedFace
from tddfa_ros.rendering.overlay import (
    IBUG_GROUPS,
    OverlayFace,
    OverlayOptions,
    draw_overlay,
    head_axes,
    tint_of,
)
from tddfa_ros.types import Intrinsics

QUIET = {"box": False, "axes": False, "caption": False, "landmarks": False}


def face_at(x, y, side=160.0, face_id="f1"):
    model = synthetic_model()
    roi = np.array([x - side / 2, y - side / 2, x + side / 2, y + side / 2])
    return TrackedFace(
        box=roi,
        confidence=0.9,
        params=frontal_params(model),
        roi=roi,
        model=model,
        intrinsics=Intrinsics.from_fov(640, 480),
        id=face_id,
        stamp=0.0,
        age=1,
    )


def changed(before, after):
    return (before != after).any(axis=2)


@pytest.mark.parametrize("mesh", ["coarse", "dense"])
def test_mesh_covers_the_head_and_nothing_else(mesh):
    face, image = face_at(300, 240), np.full((480, 640, 3), 90, np.uint8)
    touched = changed(
        image, draw_overlay(image, [face], face.model, OverlayOptions(mesh=mesh, **QUIET))
    )
    rows, columns = np.nonzero(touched)
    low, high = face.vertices[:, :2].min(0), face.vertices[:, :2].max(0)
    np.testing.assert_allclose([columns.min(), rows.min()], low, atol=6)
    np.testing.assert_allclose([columns.max(), rows.max()], high, atol=6)
    ellipse = np.pi / 4 * np.prod(high - low)
    assert 0.85 * ellipse < touched.sum() < 1.1 * ellipse


def test_overlay_is_a_translucent_copy():
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    original, face = image.copy(), face_at(300, 240)
    drawn = draw_overlay(image, [face], face.model, OverlayOptions(**QUIET))
    np.testing.assert_array_equal(image, original)
    region = np.s_[200:280, 270:330]
    correlation = np.corrcoef(drawn[region].ravel(), image[region].ravel())[0, 1]
    assert 0.3 < correlation < 0.999


def test_landmarks_are_drawn_on_their_pixels():
    face, image = face_at(300, 240, 300), np.zeros((480, 640, 3), np.uint8)
    options = OverlayOptions(mesh="none", box=False, axes=False, caption=False)
    drawn = draw_overlay(image, [face], None, options)
    pixels = np.rint(face.landmarks68[:, :2]).astype(int)
    assert (drawn[pixels[:, 1], pixels[:, 0]].max(axis=1) > 150).all()


def test_groups_cover_all_68_points_once():
    indices = sorted(i for group, _ in IBUG_GROUPS.values() for i in group)
    assert indices == list(range(68))


@pytest.mark.parametrize(
    ("angles", "axis", "expected"),
    [
        ((0, 0, 0), 0, (0, 0, 1)),  # a frontal face looks at the viewer,
        ((0, 0, 0), 1, (1, 0, 0)),  # its left is right in the image,
        ((0, 0, 0), 2, (0, -1, 0)),  # its up is up
        ((90, 0, 0), 0, (1, 0, 0)),  # yaw > 0: the nose moves right
        ((0, 90, 0), 0, (0, 1, 0)),  # pitch > 0: looks down
        (
            (0, 0, 90),
            2,
            (-1, 0, 0),
        ),  # roll > 0: the crown leans to the person's right, left in the image
    ],
)
def test_axes_follow_the_angles(angles, axis, expected):
    np.testing.assert_allclose(head_axes(angles)[axis], expected, atol=1e-9)


@pytest.mark.parametrize("position", [(5, 5), (640, 480), (-400, 100), (320, 479)])
def test_faces_at_and_outside_the_border(position):
    face, image = face_at(*position), np.zeros((480, 640, 3), np.uint8)
    drawn = draw_overlay(image, [face], face.model)
    assert drawn.shape == image.shape
    assert changed(image, drawn).any()


def test_skips_faces_that_are_not_finite():
    good = face_at(300, 240)
    bad = OverlayFace("f9", 0.5, np.full((68, 3), np.nan, np.float32), (np.nan,) * 3)
    image = np.zeros((480, 640, 3), np.uint8)
    np.testing.assert_array_equal(
        draw_overlay(image, [good, bad], good.model), draw_overlay(image, [good], good.model)
    )


def test_many_faces_and_none():
    image = np.zeros((480, 640, 3), np.uint8)
    faces = [face_at(60 + 130 * (i % 5), 60 + 110 * (i // 5), 90, f"f{i + 1}") for i in range(20)]
    touched = changed(image, draw_overlay(image, faces, faces[0].model))
    assert all(touched[60 + 110 * (i // 5), 60 + 130 * (i % 5)] for i in range(20))
    np.testing.assert_array_equal(draw_overlay(image, [], faces[0].model), image)


def test_nearer_face_is_drawn_on_top():
    near, far = face_at(300, 240, 260, "f1"), face_at(340, 240, 120, "f2")
    image = np.full((480, 640, 3), 30, np.uint8)
    options = OverlayOptions(opacity=1.0, **QUIET)
    both = draw_overlay(image, [near, far], near.model, options)
    only_near = draw_overlay(image, [near], near.model, options)
    np.testing.assert_array_equal(both[240, 300], only_near[240, 300])


def test_neighboring_ids_have_different_colors():
    assert len({tint_of(f"f{i}") for i in range(1, 7)}) == 6
    assert tint_of("f3") == tint_of("f3")
    assert len(tint_of("somebody")) == 3


@pytest.mark.parametrize(
    "image", [np.zeros((480, 640), np.uint8), np.zeros((480, 640, 3), np.float32)]
)
def test_rejects_images_that_are_not_uint8_bgr(image):
    with pytest.raises(ImageError, match="uint8"):
        draw_overlay(image, [], None)


def test_text_scales_with_the_image():
    for height, width in ((64, 64), (1080, 1920)):
        image = np.zeros((height, width, 3), np.uint8)
        face = face_at(width / 2, height / 2, height / 3)
        drawn = draw_overlay(image, [face], face.model, OverlayOptions(fps=30.0, note="demo"))
        assert changed(image, drawn).any()


def test_overlay_needs_only_topology():
    face = face_at(300, 240)
    light = OverlayFace("f1", 0.9, face.landmarks68, face.yaw_pitch_roll, face.coarse_vertices)
    topology = SimpleNamespace(
        triangles=face.model.triangles, coarse_triangles=face.model.coarse_triangles
    )
    image = np.zeros((480, 640, 3), np.uint8)
    options = OverlayOptions(caption=False)
    np.testing.assert_array_equal(
        draw_overlay(image, [light], topology, options),
        draw_overlay(image, [face], face.model, options),
    )
