"""The rasteriser against geometry that is known exactly; both back ends against each other."""

import numpy as np
import pytest

from tddfa_ros.rendering import raster
from tddfa_ros.rendering.raster import rasterize, rasterize_numpy

BACK_ENDS = [
    pytest.param(rasterize_numpy, id="numpy"),
    pytest.param(
        raster._rasterize_opencv,
        id="opencv",
        marks=pytest.mark.skipif(
            not raster.HAS_OPENCV_RASTERIZER, reason="this OpenCV has no rasteriser"
        ),
    ),
]


def quad(x0, y0, x1, y1, z):
    corners = [[x0, y0, z], [x1, y0, z], [x1, y1, z], [x0, y1, z]]
    return np.array(corners, np.float32), np.array([[0, 2, 1], [0, 3, 2]], np.int32)


@pytest.mark.parametrize("draw", BACK_ENDS)
def test_interpolates_pixel_positions_exactly(draw):
    vertices, triangles = quad(3.25, 2.5, 30.75, 21.5, 0)
    picture = draw(vertices, triangles, vertices, (24, 40))
    rows, columns = np.nonzero(picture.mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 21, 4, 30)
    np.testing.assert_allclose(picture.values[rows, columns, 0], columns, atol=2e-3)
    np.testing.assert_allclose(picture.values[rows, columns, 1], rows, atol=2e-3)


@pytest.mark.parametrize("draw", BACK_ENDS)
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_nearer_surface_hides_farther_whatever_the_order(draw, order):
    far, triangles = quad(0, 0, 20, 20, -50)
    near, _ = quad(5, 5, 15, 15, 10)
    vertices = np.concatenate([far, near])
    both = [triangles, triangles + 4]
    colours = np.repeat(np.eye(3, dtype=np.float32)[:2], 4, axis=0)
    faces = np.concatenate([both[i] for i in order])
    picture = draw(vertices, faces, colours, (21, 21))
    np.testing.assert_allclose(picture.values[10, 10], [0, 1, 0], atol=1e-5)
    np.testing.assert_allclose(picture.values[2, 2], [1, 0, 0], atol=1e-5)
    np.testing.assert_allclose([picture.depth[10, 10], picture.depth[2, 2]], [10, -50], atol=0.01)


def test_tilted_plane_depth_is_linear():
    vertices, triangles = quad(0, 0, 40, 40, 0)
    vertices[:, 2] = 0.5 * vertices[:, 0] - 0.25 * vertices[:, 1]
    picture = rasterize(vertices, triangles, vertices, (41, 41))
    rows, columns = np.nonzero(picture.mask)
    expected = 0.5 * columns - 0.25 * rows
    # OpenCV's camera is far away, not infinitely far: linear to within 1/30 of a pixel per pixel of relief.
    np.testing.assert_allclose(picture.depth[rows, columns], expected, atol=0.3)


def test_backfaces_are_those_wound_clockwise_in_the_model_frame():
    vertices, triangles = quad(2, 2, 12, 12, 0)
    front = rasterize(vertices, triangles, vertices, (16, 16), cull_backfaces=True)
    back = rasterize(vertices, triangles[:, ::-1], vertices, (16, 16), cull_backfaces=True)
    assert front.mask.sum() == 11 * 11
    assert not back.mask.any()


@pytest.mark.parametrize("shift", [(-1000, 0), (8, 8)])
def test_partly_and_wholly_outside(shift):
    vertices, triangles = quad(0, 0, 15, 15, 0)
    vertices += np.array([*shift, 0], np.float32)
    picture = rasterize(vertices, triangles, vertices, (16, 16))
    assert picture.mask.sum() == (64 if shift == (8, 8) else 0)


def test_vertices_that_are_not_finite_are_left_out():
    vertices, triangles = quad(0, 0, 15, 15, 0)
    vertices[1] = np.nan
    picture = rasterize(vertices, triangles, np.ones((4, 3), np.float32), (16, 16))
    assert picture.mask[12, 3]
    assert not picture.mask[3, 12]


@pytest.mark.skipif(not raster.HAS_OPENCV_RASTERIZER, reason="this OpenCV has no rasteriser")
def test_back_ends_agree_on_random_triangles():
    rng = np.random.default_rng(1)
    vertices = rng.uniform(0, 60, (90, 3)).astype(np.float32)
    triangles = np.arange(90, dtype=np.int32).reshape(30, 3)
    colours = rng.uniform(0, 1, (90, 3)).astype(np.float32)
    one = rasterize(vertices, triangles, colours, (60, 60))
    two = rasterize_numpy(vertices, triangles, colours, (60, 60))
    different = np.abs(one.values - two.values).max(-1) > 0.05
    assert different.mean() < 0.02  # pixels on edges and where two surfaces cut each other
