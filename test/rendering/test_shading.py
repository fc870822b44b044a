"""Normals and light."""

import numpy as np
import pytest
from support.synthetic_model import synthetic_model

from tddfa_ros.rendering.raster_compiled import compiled_kernels
from tddfa_ros.rendering.shading import _normals_numpy, image_normals, lambert, vertex_normals


def test_normals_of_a_closed_head_point_outwards():
    model = synthetic_model()
    normals = vertex_normals(model.mean, model.triangles)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    outward = model.mean - model.mean.mean(0)
    assert ((normals * outward).sum(1) > 0).mean() > 0.97


def test_image_normals_face_the_viewer_where_the_face_does():
    model = synthetic_model()
    pixels = model.mean * np.array([1000, -1000, 1000], np.float32)
    np.testing.assert_allclose(
        image_normals(pixels, model.triangles),
        vertex_normals(model.mean, model.triangles),
        atol=1e-4,
    )


def test_surface_facing_the_light_is_brighter():
    key, side, away = lambert(
        np.array([[0.35, 0.45, 0.82], [0.9, -0.4, 0], [0, 0, -1]], np.float32)
    )
    assert key > side > 0
    assert away < 0.5 < key <= 1


def test_unused_vertices_get_no_normal():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [9, 9, 9]], np.float32)
    normals = vertex_normals(vertices, np.array([[0, 1, 2]], np.int32))
    np.testing.assert_allclose(normals, [[0, 0, 1]] * 3 + [[0, 0, 0]], atol=1e-6)


def test_compiled_normals_equal_those_of_numpy():
    pytest.importorskip("numba")
    model = synthetic_model()
    vertices = np.concatenate([model.mean * 800, [[1, 2, 3]]]).astype(np.float32)  # one unused
    compiled = compiled_kernels().normals(vertices, model.triangles)
    np.testing.assert_allclose(compiled, _normals_numpy(vertices, model.triangles), atol=1e-6)
    lengths = np.linalg.norm(compiled, axis=1)
    np.testing.assert_allclose(lengths[:-1], 1, atol=1e-6)
    assert lengths[-1] == 0
