"""Texture sampling: what is seen goes where it belongs, what is hidden comes from the other side."""

from types import SimpleNamespace

import numpy as np
import pytest
from support.synthetic_model import synthetic_model

from tddfa_ros.errors import ImageError, ModelError
from tddfa_ros.rendering.raster import rasterize
from tddfa_ros.rendering.texture import (
    fill_gaps,
    mirror_vertices,
    sample_texture,
    uv_pixels,
    vertex_visibility,
)

SIZE = (320, 320)


def posed(yaw_deg):
    model = synthetic_model(rows=48, columns=64)
    a = np.radians(yaw_deg)
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    pixels = (model.mean @ turn.T) * np.array([1200, -1200, 1200]) + np.array([160, 160, 0])
    return SimpleNamespace(model=model, vertices=pixels.astype(np.float32))


def painted(face):
    """An image of a head whose colour tells where on the head a pixel lies, symmetric in x; and those colours."""
    mean = np.abs(face.model.mean)
    colours = (mean / mean.max(0)).astype(np.float32)
    image = rasterize(face.vertices, face.model.triangles, colours, SIZE).values
    return (image * 255).astype(np.uint8), colours * 255


@pytest.mark.parametrize("yaw", [0, 25, -50])
def test_texture_shows_the_colours_of_the_head(yaw):
    face = posed(yaw)
    image, colours = painted(face)
    texture = sample_texture(image, face, 256)
    where = uv_pixels(face.model.uv, 256)
    columns, rows = np.rint(where[:, :2]).astype(int).T.clip(1, 254)
    error = np.abs(texture[rows, columns].astype(float) - colours).max(axis=1)
    # Judge where the head is well seen, or its mirror image is (the colours are symmetric).
    seen = vertex_visibility(face.vertices, face.model.triangles, SIZE)
    mirrored = seen[mirror_vertices(face.model.mean)]
    judged = np.maximum(seen, mirrored) > 0.9
    assert judged.mean() > 0.2
    assert np.percentile(error[judged], 95) < 20
    assert np.median(error[judged]) < 6


def test_visibility_knows_front_back_and_image_border():
    face = posed(0)
    seen = vertex_visibility(face.vertices, face.model.triangles, SIZE)
    z = face.model.mean[:, 2]
    assert seen[z > np.quantile(z, 0.9)].min() > 0.9
    assert seen[z < np.quantile(z, 0.4)].max() == 0
    half = vertex_visibility(face.vertices, face.model.triangles, (320, 160))
    assert half[face.vertices[:, 0] > 160].max() == 0


def test_what_is_behind_the_nose_is_hidden():
    face = posed(65)
    nose = int(np.argmax(face.model.mean[:, 2]))
    seen = vertex_visibility(face.vertices, face.model.triangles, SIZE)
    assert seen[nose] > 0.5 or seen[mirror_vertices(face.model.mean)[nose]] > 0.5
    behind = (face.vertices[:, 2] < face.vertices[:, 2].max() - 100) & (seen > 0.5)
    assert not behind.any()


def test_mirror_is_an_involution_on_a_symmetric_head():
    model = synthetic_model()
    mirror = mirror_vertices(model.mean)
    expected = model.mean * np.array([-1, 1, 1])
    np.testing.assert_allclose(model.mean[mirror], expected, atol=2e-3)
    assert (mirror[mirror] == np.arange(len(mirror))).mean() > 0.9


def test_gaps_are_continued_from_their_surroundings():
    colour = np.zeros((64, 64, 3), np.float32)
    colour[:, :32], colour[:, 32:] = 50, 200
    weight = np.ones((64, 64), np.float32)
    weight[20:44, 10:20] = 0
    weight[20:44, 45:55] = 0
    colour[weight == 0] = 999
    filled = fill_gaps(colour, weight)
    np.testing.assert_allclose(filled[30, 15], 50, atol=15)
    np.testing.assert_allclose(filled[30, 50], 200, atol=15)
    np.testing.assert_array_equal(filled[5, 5], [50, 50, 50])


def test_nothing_seen_at_all_is_grey_and_no_failure():
    face = posed(0)
    face.vertices = face.vertices + np.array([5000, 0, 0], np.float32)
    texture = sample_texture(np.full((*SIZE, 3), 255, np.uint8), face, 64)
    assert texture.std() < 2


def test_wrong_input_is_named():
    face = posed(0)
    with pytest.raises(ImageError, match="uint8"):
        sample_texture(np.zeros((10, 10), np.uint8), face)
    with pytest.raises(ImageError, match="too small"):
        sample_texture(np.zeros((10, 10, 3), np.uint8), face, 4)
    face.model = SimpleNamespace(uv=np.zeros((0, 2), np.float32))
    with pytest.raises(ModelError, match="uv"):
        sample_texture(np.zeros((10, 10, 3), np.uint8), face)
