"""Texture sampling: visible texels, and the fills mirror, inpaint and none."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from support.painted import PX_PER_MM, SIDE, SKIN, face_at
from support.synthetic_model import synthetic_model

from tddfa_ros.errors import ConfigError, ImageError, ModelError
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.rendering.protocols import in_regions
from tddfa_ros.rendering.raster import rasterize
from tddfa_ros.rendering.texture import fill_gaps, mirror_vertices, sample_texture, uv_texture
from tddfa_ros.rendering.uv_surface import uv_pixels, uv_surface
from tddfa_ros.rendering.visibility import DepthBuffer, vertex_visibility

SIZE = (320, 320)


def posed(yaw_deg):
    model = synthetic_model(rows=48, columns=64)
    a = np.radians(yaw_deg)
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    pixels = (model.mean @ turn.T) * np.array([1200, -1200, 1200]) + np.array([160, 160, 0])
    return SimpleNamespace(model=model, vertices=pixels.astype(np.float32))


def painted(face, mirrored=True):
    """Render a head whose color encodes the surface position (symmetric in x or not); return image and colors."""
    mean = np.abs(face.model.mean) if mirrored else face.model.mean - face.model.mean.min(0)
    colors = (mean / mean.max(0)).astype(np.float32)
    image = rasterize(face.vertices, face.model.triangles, colors, SIZE).values
    return (image * 255).astype(np.uint8), colors * 255


def at_vertices(image, model):
    columns, rows = np.rint(uv_pixels(model.uv, len(image))[:, :2]).astype(int).T
    last = len(image) - 2
    return image[rows.clip(1, last), columns.clip(1, last)]


@pytest.mark.parametrize("yaw", [0, 25, -50])
def test_texture_shows_the_colors_of_the_head(yaw):
    face = posed(yaw)
    image, colors = painted(face)
    texture = uv_texture(face, image, 256)
    error = np.abs(at_vertices(texture.image, face.model).astype(float) - colors).max(axis=1)
    # Compare where the head or its mirror image is visible (the colors are symmetric).
    seen = vertex_visibility(face.vertices, face.model.triangles, SIZE)
    mirrored = seen[mirror_vertices(face.model.mean)]
    judged = np.maximum(seen, mirrored) > 0.9
    assert judged.mean() > 0.2
    assert np.percentile(error[judged], 95) < 20
    assert np.median(error[judged]) < 6


def test_fill_does_not_change_visible_texels():
    face = posed(40)
    image, colors = painted(face, mirrored=False)
    mirror, inpaint, none = (uv_texture(face, image, 192, f) for f in ("mirror", "inpaint", "none"))
    np.testing.assert_array_equal(none.known, mirror.known)
    assert not none.image[~none.known].any()
    seen = vertex_visibility(face.vertices, face.model.triangles, SIZE)
    clear = DepthBuffer(face.vertices, face.model.triangles, SIZE).clear_of_contours(face.vertices)
    well, hidden = (seen > 0.95) & (clear > 0.5), seen == 0
    assert well.sum() > 500
    known = at_vertices(none.known[..., None], face.model)[:, 0]
    # The colors of this head are no skin, so a few count as covered.
    assert known[well].mean() > 0.93 and known[hidden].mean() < 0.1
    for texture in (mirror, inpaint, none):
        error = np.abs(at_vertices(texture.image, face.model)[well].astype(float) - colors[well])
        assert np.median(error) < 6 and np.percentile(error, 95) < 20
    # the far cheek: mirrored from the near one, or inpainted from its own edge
    mirror_of = mirror_vertices(face.model.mean)
    cheek = hidden & (seen[mirror_of] > 0.95)
    assert cheek.sum() > 100
    near = at_vertices(mirror.image, face.model)[cheek].astype(float)
    assert np.median(np.abs(near - colors[mirror_of[cheek]])[:, 1:]) < 12
    assert at_vertices(inpaint.image, face.model)[cheek].any()


def test_mirrored_half_adapts_to_illumination():
    """A gray head whose left half has half the brightness: mirrored texels adapt to it."""
    face = posed(-35)  # turned to its right: the left half is visible
    left = face.model.mean[:, 0] > 0
    for dark in (left, ~left):
        colors = np.where(dark[:, None], 0.35, 0.7).astype(np.float32).repeat(3, axis=1)
        colors[np.abs(face.model.mean[:, 0]) < 0.004] = 0.5
        image = rasterize(face.vertices, face.model.triangles, colors, SIZE).values
        texture = uv_texture(face, (255 * image).astype(np.uint8), 192)
        seen = vertex_visibility(face.vertices, face.model.triangles, SIZE)
        mirrored = seen[mirror_vertices(face.model.mean)]
        near_middle = (seen == 0) & (mirrored > 0.9) & (np.abs(face.model.mean[:, 0]) < 0.05)
        assert near_middle.sum() > 20
        level = np.median(at_vertices(texture.image, face.model)[near_middle & ~left])
        wanted, other = (0.35 * 255, 0.7 * 255) if dark is not left else (0.7 * 255, 0.35 * 255)
        assert abs(level - wanted) < abs(level - other)


def test_inside_of_closed_mouth_is_not_skin(repo_root):
    model = MorphableModel.load(repo_root / "models" / "tddfa_head.npz")
    vertices = (model.mean * [1000, -1000, 1000] + [160, 160, 0]).astype(np.float32)
    skin, lips = np.float32([140, 160, 200]), np.float32([100, 100, 180])
    is_lip = in_regions(model, ("upper_lip", "lower_lip"))
    colors = np.where(is_lip[:, None], lips, skin).astype(np.float32)
    drawn = rasterize(vertices, model.triangles, colors, SIZE).values.astype(np.uint8)
    face = SimpleNamespace(model=model, vertices=vertices)
    image = uv_texture(face, drawn, 512).image
    found = at_vertices(image, model).astype(float)
    hidden = vertex_visibility(vertices, model.triangles, SIZE) < 0.01
    for region, share in (("inner_mouth", (0.35, 0.35, 0.45)), ("tongue", (0.7, 0.7, 0.8))):
        inside = found[in_regions(model, (region,)) & hidden]
        assert len(inside) > 300
        assert np.abs(np.median(inside, axis=0) - lips * share).max() < 12
    nose = found[in_regions(model, ("nose",)) & ~hidden]
    assert np.abs(np.median(nose, axis=0) - skin).max() < 3
    assert (uv_texture(face, drawn, 512, "none").image[image[..., 2] < 90] == 0).mean() > 0.95


def test_visibility_knows_front_back_and_image_border():
    face = posed(0)
    seen = vertex_visibility(face.vertices, face.model.triangles, SIZE)
    z = face.model.mean[:, 2]
    assert seen[z > np.quantile(z, 0.9)].min() > 0.9
    assert seen[z < np.quantile(z, 0.4)].max() == 0
    half = vertex_visibility(face.vertices, face.model.triangles, (320, 160))
    assert half[face.vertices[:, 0] > 160].max() == 0


def test_nose_occludes_surfaces_behind_it():
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


def known_head(yaw, background, covered=None):
    """Render the default head in skin and lip colors; return face, image and colors. The face is off by 1.5 mm and 2 degrees, as fits are."""
    true = face_at(yaw)
    model = true.model
    lips = in_regions(model, ("upper_lip", "lower_lip"))
    colors = np.where(lips[:, None], np.float32([95, 90, 170]), SKIN)
    raster = rasterize(true.vertices, model.triangles, colors, (SIDE, SIDE))
    image = np.where(raster.mask[..., None], raster.values, np.float32(background)).astype(np.uint8)
    params = face_at(yaw - 2 * np.sign(yaw)).params.copy()
    params[[3, 7]] += np.float32(120 / SIDE * 1.5 * PX_PER_MM) * np.float32([np.sign(yaw), 0.5])
    return replace(true, params=params), image, colors


@pytest.mark.parametrize("yaw", [40, 60, 80, -70])
@pytest.mark.parametrize("background", [(255, 255, 255), (90, 160, 60), (30, 30, 30)])
def test_background_does_not_bleed_into_profile(yaw, background):
    face, image, colors = known_head(yaw, background)
    found = at_vertices(uv_texture(face, image, 512).image, face.model).astype(float)
    error = np.abs(found - colors).mean(axis=1)
    mean = face.model.mean
    front = mean[:, 2] > np.quantile(mean[:, 2], 0.6)
    straight = face_at().vertices
    front &= vertex_visibility(straight, face.model.triangles, (SIDE, SIDE)) > 0.9
    middle = front & (np.abs(mean[:, 0]) < 0.012) & in_regions(face.model, ("skin", "nose"))
    assert middle.sum() > 500
    assert error[middle].mean() < 6
    assert np.percentile(error[middle], 99) < 50
    lips = found[in_regions(face.model, ("upper_lip", "lower_lip"))]
    assert np.abs(np.median(lips, axis=0) - [95, 90, 170]).max() < 25


def test_blue_mask_is_not_part_of_the_texture():
    face, image, _ = known_head(0.0, (200, 200, 200))
    corners = np.concatenate([face.landmarks68[2:15, :2], face.landmarks68[28:29, :2]])
    masked = image.copy()
    cv2.fillPoly(masked, [np.rint(corners).astype(np.int32)], (190, 140, 90))
    texture = uv_texture(face, masked, 512)
    found = at_vertices(texture.image, face.model).astype(float)
    chin = in_regions(face.model, ("skin",)) & (face.model.mean[:, 2] > 0)
    chin &= face.model.mean[:, 1] < face.model.landmarks_of(face.model.mean)[57, 1]
    assert chin.sum() > 100
    assert np.abs(np.median(found[chin], axis=0) - SKIN).max() < 30
    lips = np.median(found[in_regions(face.model, ("lower_lip",))], axis=0)
    assert lips[2] - lips[1] > 40, "lips that are not seen are red"
    known = at_vertices(texture.known[..., None], face.model)[:, 0]
    assert known[chin].mean() < 0.2


def test_beard_and_dark_hair_stay_in_the_texture():
    face, image, _ = known_head(0.0, (200, 200, 200))
    corners = face.landmarks68[[3, 5, 8, 11, 13, 57], :2]
    bearded = image.copy()
    cv2.fillPoly(bearded, [np.rint(corners).astype(np.int32)], (30, 32, 36))
    found = at_vertices(uv_texture(face, bearded, 512).image, face.model).astype(float)
    tip = np.linalg.norm(face.model.mean - face.model.landmarks_of(face.model.mean)[8], axis=1)
    chin = (tip < 0.03) & (face.model.mean[:, 1] > face.model.landmarks_of(face.model.mean)[8, 1])
    chin &= face.model.mean[:, 1] < face.model.landmarks_of(face.model.mean)[57, 1] - 0.008
    assert chin.sum() > 30
    assert np.median(found[chin]) < 60


def test_gaps_are_continued_from_their_surroundings():
    color = np.zeros((64, 64, 3), np.float32)
    color[:, :32], color[:, 32:] = 50, 200
    weight = np.ones((64, 64), np.float32)
    weight[20:44, 10:20] = 0
    weight[20:44, 45:55] = 0
    color[weight == 0] = 999
    filled = fill_gaps(color, weight)
    np.testing.assert_allclose(filled[30, 15], 50, atol=15)
    np.testing.assert_allclose(filled[30, 50], 200, atol=15)
    np.testing.assert_array_equal(filled[5, 5], [50, 50, 50])


def test_invisible_face_gives_gray_texture():
    face = posed(0)
    face.vertices = face.vertices + np.array([5000, 0, 0], np.float32)
    texture = uv_texture(face, np.full((*SIZE, 3), 255, np.uint8), 64)
    assert texture.image.std() < 2 and not texture.known.any()


@dataclass(frozen=True)
class NoTexture:
    """A model without texture coordinates."""

    name = "bare"
    mean = np.zeros((5, 3), np.float32)
    triangles = np.zeros((0, 3), np.int32)
    uv = np.zeros((0, 2), np.float32)


def test_rejects_invalid_input():
    face, image = posed(0), np.zeros((10, 10, 3), np.uint8)
    with pytest.raises(ImageError, match="uint8"):
        sample_texture(np.zeros((10, 10), np.uint8), face)
    with pytest.raises(ImageError, match="the side of a texture must be at least 16 px"):
        uv_texture(face, image, 4)
    with pytest.raises(ConfigError, match="mirror, inpaint, none"):
        uv_texture(face, image, fill="magic")
    with pytest.raises(ConfigError, match="8 to 8192"):
        uv_surface(face.model, 10**6)
    face.model = NoTexture()
    with pytest.raises(ModelError, match="uv"):
        uv_texture(face, image)
