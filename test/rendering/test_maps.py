"""Maps of a head with a known pose, compared with the mesh."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from support.synthetic_model import synthetic_model

from tddfa_ros.errors import ConfigError, ImageError
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.rendering import (
    color_depth,
    colorize,
    depth_map,
    draw_pose_box,
    parsing_map,
    pncc,
    uv_position_map,
)
from tddfa_ros.rendering.maps import coordinate_code
from tddfa_ros.rendering.parsing import CLASSES
from tddfa_ros.rendering.pose_box import pose_box_corners
from tddfa_ros.rendering.uv_surface import uv_pixels, uv_surface

SHAPE = (160, 240)


def face_at(x, y, scale=500, model=None):
    """A frontal head of ``scale`` px per meter, its origin at (x, y) px."""
    model = model or synthetic_model()
    vertices = model.mean * [scale, -scale, scale] + [x, y, 0]
    vertices = vertices.astype(np.float32)
    return SimpleNamespace(
        model=model,
        vertices=vertices,
        landmarks68=model.landmarks_of(vertices),
        yaw_pitch_roll=np.zeros(3),
    )


def frontmost(face):
    """Return the visible vertices of the front of the head."""
    return np.flatnonzero(face.model.mean[:, 2] > 0.03)


def pixel_of(face, index):
    return np.rint(face.vertices[index, :2]).astype(int)


def test_depth_is_that_of_the_nearest_vertices():
    face = face_at(120, 80)
    depth = depth_map(face, SHAPE)
    assert depth.dtype == np.float32 and depth.shape == SHAPE
    assert np.isnan(depth[0, 0]) and np.isnan(depth[:, 0]).all()
    chosen = frontmost(face)
    column, row = pixel_of(face, chosen).T
    # a pixel is up to 0.7 px from its vertex, and the front slopes by less than 2 px a px away from the rim
    inner = np.abs(face.model.mean[chosen, 0]) < 0.04
    error = depth[row, column] - face.vertices[chosen, 2]
    assert np.abs(error[inner]).max() < 1.5
    assert np.nanmax(depth) <= face.vertices[:, 2].max()
    covered = np.isfinite(depth).sum()
    ellipse = np.pi / 4 * np.prod(np.ptp(face.vertices[:, :2], axis=0))
    assert 0.9 * ellipse < covered < 1.05 * ellipse


def test_near_is_brighter():
    depth = np.full((4, 3), np.nan, np.float32)
    depth[1], depth[2] = -20, 35
    image = color_depth(depth)
    assert image.shape == (4, 3, 3) and image.dtype == np.uint8
    assert not image[[0, 3]].any()
    assert image[2].sum() > image[1].sum() > 0
    assert not color_depth(np.full((2, 2), np.nan, np.float32)).any()
    with pytest.raises(ImageError, match=r"\(h, w\)"):
        color_depth(np.zeros((2, 2, 3), np.float32))


def test_pncc_is_the_coordinate_of_the_mean_head():
    face = face_at(120, 80)
    code = pncc([face], SHAPE)
    assert code.dtype == np.uint8 and not code[0].any()
    chosen = frontmost(face)
    column, row = pixel_of(face, chosen).T
    low, high = face.model.mean.min(0), face.model.mean.max(0)
    x, y = (column - 120) / 500, (80 - row) / 500  # of the pixel, in meters
    np.testing.assert_allclose(code[row, column, 2], 255 * (x - low[0]) / (high - low)[0], atol=2)
    np.testing.assert_allclose(code[row, column, 1], 255 * (y - low[1]) / (high - low)[1], atol=2)
    ncc = coordinate_code(face.model)
    np.testing.assert_array_equal((ncc.min(0), ncc.max(0)), ([0, 0, 0], [1, 1, 1]))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_larger_face_occludes_smaller_face(order):
    pair = [face_at(110, 80, 550), face_at(130, 80, 250)]
    faces = [pair[i] for i in order]
    np.testing.assert_array_equal(pncc(faces, SHAPE), pncc(pair[:1], SHAPE))
    np.testing.assert_array_equal(parsing_map(faces, SHAPE), parsing_map(pair[:1], SHAPE))


def test_parsing_shows_the_regions():
    face = face_at(120, 80)
    classes = parsing_map([face], SHAPE)
    names = {"skin": 1, "nose": 4, "neck": 8}
    assert classes.dtype == np.uint8 and set(np.unique(classes)) == {0, *names.values()}
    x, y = pixel_of(face, int(np.argmax(face.model.mean[:, 2])))
    assert classes[y, x] == names["nose"]
    x, y = np.rint(face.landmarks68[36, :2]).astype(int)
    assert classes[y, x] == names["skin"]
    x, y = pixel_of(face, int(np.argmin(face.model.mean[:, 1])))
    assert classes[y - 2, x] == names["neck"]
    assert (colorize(classes)[y - 2, x] == CLASSES[names["neck"]].color).all()


def test_position_map_holds_every_vertex(repo_root):
    face = face_at(120, 80, model=MorphableModel.load(repo_root / "models" / "tddfa_head.npz"))
    position = uv_position_map(face, 256)
    assert position.shape == (256, 256, 3) and position.dtype == np.float32
    assert not position[-1, 0].any()
    where = uv_pixels(face.model.uv, 256)
    skin = face.model.regions == face.model.region_names.index("skin")
    x, y = (np.ascontiguousarray(where[skin, i : i + 1]) for i in (0, 1))
    covered = uv_surface(face.model, 256).mask.astype(np.float32)
    whole = cv2.remap(covered, x, y, cv2.INTER_LINEAR)[:, 0] > 0.999
    found = cv2.remap(position, x, y, cv2.INTER_LINEAR)[:, 0]
    error = np.abs(found - face.vertices[skin]).max(axis=1)[whole]
    # linear between texels half a pixel apart; at the border of an island there is nothing on one side
    assert whole.mean() > 0.9
    assert np.median(error) < 0.05 and np.percentile(error, 99) < 0.5


def test_pose_box_is_drawn_at_its_corners_and_on_a_copy():
    face, image = face_at(120, 80, 300), np.zeros((*SHAPE, 3), np.uint8)
    drawn = draw_pose_box(image, face, (10, 250, 20))
    assert not image.any() and drawn.any()
    corners = np.rint(pose_box_corners(face)).astype(int)
    assert (drawn[corners[:, 1], corners[:, 0], 1] > 60).all()
    # a frontal face: back and front are squares around the same middle
    back, front = corners[:4], corners[4:]
    np.testing.assert_allclose(back.mean(0), front.mean(0), atol=1)
    face.yaw_pitch_roll = np.array([0.0, np.nan, 0.0])
    assert not draw_pose_box(image, face).any()


def test_skips_non_finite_faces():
    face = face_at(120, 80)
    face.vertices = face.vertices * np.nan
    assert not pncc([face], SHAPE).any() and not parsing_map([face], SHAPE).any()
    assert np.isnan(depth_map(face, SHAPE)).all()


def test_rejects_invalid_input():
    face = face_at(120, 80)
    for draw in (lambda s: depth_map(face, s), lambda s: pncc([face], s), lambda s: parsing_map([face], s)):  # fmt: skip
        assert draw((20, 30, 3)).shape[:2] == (20, 30)
        with pytest.raises(ConfigError, match="height and a width"):
            draw((0, 30))
    with pytest.raises(ImageError, match="uint8"):
        draw_pose_box(np.zeros((5, 5)), face)
    with pytest.raises(ConfigError, match="the side of a texture must be 8 to 8192 px"):
        uv_position_map(face, 2)
