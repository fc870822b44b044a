"""The rasterizer, against a reference with exact fractions and against known geometry."""

from __future__ import annotations

import functools
import importlib.util
from fractions import Fraction

import numpy as np
import pytest
from support.synthetic_model import synthetic_model

from tddfa_ros.errors import ConfigError
from tddfa_ros.rendering import raster_compiled
from tddfa_ros.rendering.raster import rasterize, visible_surface
from tddfa_ros.rendering.raster_numpy import draw_numpy

NUMBA = pytest.param(
    "numba",
    marks=pytest.mark.skipif(
        importlib.util.find_spec("numba") is None, reason="numba is not installed"
    ),
)
BACKENDS = ["numpy", NUMBA]


def reference(vertices, triangles, shape, cull=False):
    """Depth and triangle of every pixel, by exact arithmetic and the definition alone."""
    depth, owner = np.full(shape, -np.inf, np.float32), np.full(shape, -1, np.int32)
    best = {}
    for t, corners in enumerate(vertices[triangles]):
        (ax, ay, az), (bx, by, bz), (cx, cy, cz) = (map(Fraction, map(float, p)) for p in corners)
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if area == 0 or (cull and area > 0):
            continue
        for y in range(shape[0]):
            for x in range(shape[1]):
                v = ((x - ax) * (cy - ay) - (cx - ax) * (y - ay)) / area
                w = ((bx - ax) * (y - ay) - (x - ax) * (by - ay)) / area
                if v < 0 or w < 0 or v + w > 1:
                    continue
                z = (1 - v - w) * az + v * bz + w * cz
                if (y, x) not in best or z > best[y, x]:
                    best[y, x] = z
                    depth[y, x], owner[y, x] = float(z), t
    return depth, owner


def quad(x0, y0, x1, y1, z):
    corners = [[x0, y0, z], [x1, y0, z], [x1, y1, z], [x0, y1, z]]
    return np.array(corners, np.float32), np.array([[0, 2, 1], [0, 3, 2]], np.int32)


SHAPE = (13, 15)


def soup(seed, count=20, spread=6.0):
    """Triangles of all sizes that cross the border, cut each other and share corners."""
    rng = np.random.default_rng(seed)
    center = rng.uniform(-3, 17, (count, 1, 3))
    vertices = (center + rng.normal(0, spread, (count, 3, 3))).reshape(-1, 3).astype(np.float32)
    own = np.arange(3 * count, dtype=np.int32).reshape(-1, 3)
    mixed = rng.integers(0, 3 * count, (count // 2, 3)).astype(np.int32)
    return vertices, np.concatenate([own, mixed])


@functools.lru_cache
def solved(seed, spread, cull):
    return reference(*soup(seed, spread=spread), SHAPE, cull)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("seed", "spread", "cull"), [(0, 6.0, False), (0, 6.0, True), (1, 1.5, False), (2, 30.0, True)]
)
def test_matches_exact_arithmetic(backend, seed, spread, cull):
    vertices, triangles = soup(seed, spread=spread)
    depth, owner = solved(seed, spread, cull)
    surface = visible_surface(vertices, triangles, SHAPE, cull_backfaces=cull, backend=backend)
    np.testing.assert_array_equal(surface.triangle, owner)
    np.testing.assert_allclose(surface.depth, depth, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_values_are_barycentric(backend):
    vertices, triangles = soup(3)
    values = np.random.default_rng(4).normal(0, 1, (len(vertices), 5)).astype(np.float32)
    drawn = rasterize(vertices, triangles, values, SHAPE, backend=backend)
    surface = visible_surface(vertices, triangles, SHAPE, backend=backend)
    assert drawn.values.shape == (*SHAPE, 5) and not drawn.values[~drawn.mask].any()
    rows, columns = np.nonzero(surface.mask)
    for k, (row, column) in enumerate(zip(rows, columns, strict=True)):
        corners = triangles[surface.triangle[row, column]]
        system = np.vstack([vertices[corners, :2].T, np.ones(3)]).astype(float)
        weights = np.linalg.solve(system, [column, row, 1])
        np.testing.assert_allclose(surface.weights[k], weights, atol=1e-4)
        np.testing.assert_allclose(
            drawn.values[row, column], weights @ values[corners], rtol=1e-3, atol=1e-3
        )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("seed", range(2))
def test_shared_edges_leave_no_hole(backend, seed):
    """A fan of slivers around points that lie on pixel centers, on edges and anywhere."""
    rng = np.random.default_rng(seed)
    side = 9
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).reshape(-1, 2) * 5.0
    inner = (grid > 0).all(axis=1) & (grid < 5 * (side - 1)).all(axis=1)
    moved = inner & (rng.random(len(grid)) < 0.7)
    grid[moved] += rng.uniform(-2, 2, (moved.sum(), 2))
    vertices = np.column_stack([grid, rng.uniform(-1, 1, len(grid))]).astype(np.float32)
    a = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).ravel()
    triangles = np.concatenate([np.stack([a, a + 1, a + side], 1), np.stack([a + 1, a + side + 1, a + side], 1)])  # fmt: skip
    rng.shuffle(triangles)
    edge = 5 * (side - 1) + 1
    surface = visible_surface(vertices, triangles.astype(np.int32), (edge, edge), backend=backend)
    assert surface.mask.all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_integer_borders_are_inside(backend):
    vertices, triangles = quad(3, 2, 30, 21, 0)
    drawn = rasterize(vertices, triangles, vertices, (24, 40), backend=backend)
    rows, columns = np.nonzero(drawn.mask)
    assert len(rows) == 28 * 20
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (2, 21, 3, 30)
    np.testing.assert_allclose(drawn.values[rows, columns, 0], columns, atol=1e-5)
    np.testing.assert_allclose(drawn.values[rows, columns, 1], rows, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_nearer_surface_occludes_in_any_order(backend, order):
    far, triangles = quad(0, 0, 20, 20, -50)
    near, _ = quad(5, 5, 15, 15, 10)
    both = [triangles, triangles + 4]
    colors = np.repeat(np.eye(3, dtype=np.float32)[:2], 4, axis=0)
    faces = np.concatenate([both[i] for i in order])
    drawn = rasterize(np.concatenate([far, near]), faces, colors, (21, 21), backend=backend)
    np.testing.assert_allclose(drawn.values[10, 10], [0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(drawn.values[2, 2], [1, 0, 0], atol=1e-6)
    assert (drawn.depth[10, 10], drawn.depth[2, 2]) == (10, -50)


@pytest.mark.parametrize("backend", BACKENDS)
def test_first_triangle_wins_at_equal_depth(backend):
    vertices, triangles = quad(0, 0, 8, 8, 1)
    surface = visible_surface(vertices, np.tile(triangles, (3, 1)), (9, 9), backend=backend)
    assert set(np.unique(surface.triangle)) == {0, 1}
    assert (surface.triangle[np.arange(9), np.arange(9)] == 0).all()  # the edge that both share


@pytest.mark.parametrize("backend", BACKENDS)
def test_tilted_plane_depth_is_linear(backend):
    vertices, triangles = quad(0, 0, 40, 40, 0)
    vertices[:, 2] = 0.5 * vertices[:, 0] - 0.25 * vertices[:, 1]
    depth = visible_surface(vertices, triangles, (41, 41), backend=backend).depth
    rows, columns = np.indices(depth.shape)
    np.testing.assert_allclose(depth, 0.5 * columns - 0.25 * rows, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_backfaces_are_those_wound_clockwise_in_the_model_frame(backend):
    vertices, triangles = quad(2, 2, 12, 12, 0)
    front = visible_surface(vertices, triangles, (16, 16), cull_backfaces=True, backend=backend)
    back = visible_surface(
        vertices, triangles[:, ::-1], (16, 16), cull_backfaces=True, backend=backend
    )
    assert front.mask.sum() == 11 * 11
    assert not back.mask.any()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shift", [(-1000, 0), (8, 8), (3e9, 3e9)])
def test_partly_and_wholly_outside(backend, shift):
    vertices, triangles = quad(0, 0, 15, 15, 0)
    vertices += np.array([*shift, 0], np.float32)
    drawn = rasterize(vertices, triangles, vertices, (16, 16), backend=backend)
    assert drawn.mask.sum() == (64 if shift == (8, 8) else 0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("axis", [0, 2])
def test_skips_non_finite_vertices(backend, bad, axis):
    vertices, triangles = quad(0, 0, 15, 15, 0)
    vertices[1, axis] = bad
    drawn = rasterize(vertices, triangles, np.ones((4, 3)), (16, 16), backend=backend)
    assert drawn.mask[12, 3] and not drawn.mask[3, 12]


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_to_draw(backend):
    none = np.zeros((0, 3), np.int32)
    drawn = rasterize(np.zeros((0, 3)), none, np.zeros((0, 3)), (4, 5), backend=backend)
    assert not drawn.mask.any() and drawn.values.shape == (4, 5, 3)
    vertices, triangles = quad(0, 0, 3, 0, 0)  # without an area
    assert not visible_surface(vertices, triangles, (4, 5), backend=backend).mask.any()


@pytest.mark.parametrize("cull", [False, True])
def test_backends_are_equal(cull):
    """Run the Numba kernels interpreted, so that they are tested without Numba, too."""
    model = synthetic_model()
    vertices = (model.mean * [400, -400, 400] + [30, 45, 0]).astype(np.float32)
    one = raster_compiled.draw(vertices, model.triangles, 90, 60, cull)
    two = draw_numpy(vertices, model.triangles, 90, 60, cull)
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])


def test_large_images_are_drawn_in_parts(monkeypatch):
    vertices, triangles = soup(5)
    whole = draw_numpy(vertices, triangles, *SHAPE, False)
    monkeypatch.setattr("tddfa_ros.rendering.raster_numpy._CHUNK", 50)
    parts = draw_numpy(vertices, triangles, *SHAPE, False)
    np.testing.assert_array_equal(whole[0], parts[0])
    np.testing.assert_array_equal(whole[1], parts[1])


def test_unknown_and_missing_backends(monkeypatch):
    vertices, triangles = quad(0, 0, 3, 3, 0)
    with pytest.raises(ConfigError, match="auto, numba or numpy"):
        visible_surface(vertices, triangles, (4, 4), backend="opengl")
    monkeypatch.setattr("tddfa_ros.rendering.raster.has_compiler", lambda: False)
    assert visible_surface(vertices, triangles, (4, 4)).backend == "numpy"
    with pytest.raises(ConfigError, match="pip install numba"):
        visible_surface(vertices, triangles, (4, 4), backend="numba")
