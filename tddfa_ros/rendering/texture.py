"""Unwrap the image of a face to a UV texture; occluded parts are mirrored, inpainted or left black.

A regressed mesh is off by a millimeter or two, so colors next to an occluding contour may be those of the background. They count only if they
look like the skin of the face; hues opposite to that of the skin (masks, gloves) do not count anywhere on the face.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tddfa_ros.errors import ConfigError, ImageError
from tddfa_ros.rendering.protocols import (
    INSIDE_MOUTH,
    MeshFace,
    SurfaceModel,
    in_regions,
)
from tddfa_ros.rendering.texel_matte import TexelMatte
from tddfa_ros.rendering.uv_surface import UvSurface, uv_surface
from tddfa_ros.rendering.visibility import DepthBuffer
from tddfa_ros.types import FloatArray, ImageBGR, IntArray, check_image


def fill_gaps(color: FloatArray, weight: FloatArray) -> FloatArray:
    """Continue colors smoothly into texels without weight.

    "Pull-push" over an image pyramid: Gortler et al., "The Lumigraph" (SIGGRAPH 1996), section 3.4.

    Args:
        color: (h, w, 3) float32. weight: (h, w) float32 0..1, the trust in each texel.
    """
    if min(weight.shape) <= 2 or float(weight.min()) >= 0.999:
        total = float(weight.sum())
        mean = (color * weight[..., None]).sum((0, 1)) / total if total > 1e-6 else np.full(3, 128)
        return np.asarray(weight[..., None] * color + (1 - weight[..., None]) * mean, np.float32)
    height, width = weight.shape
    small_size = ((width + 1) // 2, (height + 1) // 2)
    small_weight = cv2.resize(weight, small_size, interpolation=cv2.INTER_AREA)
    weighted = cv2.resize(color * weight[..., None], small_size, interpolation=cv2.INTER_AREA)
    small = weighted / np.maximum(small_weight, 1e-6)[..., None]
    trust = np.clip(small_weight * 4, 0, 1).astype(np.float32)
    coarse = fill_gaps(small.astype(np.float32), trust)
    background = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(weight[..., None] * color + (1 - weight[..., None]) * background, np.float32)


Fill = Literal["mirror", "inpaint", "none"]
FILLS: tuple[Fill, ...] = ("mirror", "inpaint", "none")

_SMALLEST = 16  # px
_GAIN = 2.0  # the mirrored half is made at most this much brighter or darker
_BLACK = 8.0  # gray levels added to both sides of a ratio, which is noise where it is dark
_LIPS = ("upper_lip", "lower_lip")
_INSIDE_COLORS = {  # shares of the mean color of the lips, blue, green, red
    "inner_mouth": (0.35, 0.35, 0.45),
    "tongue": (0.70, 0.70, 0.80),
}
_UNSEEN_LIPS = np.array([120.0, 120.0, 180.0])  # BGR
_SEEN_LIPS = 0.02  # of the lips; with less, their color is derived from the skin
_LIPS_TO_SKIN = np.array([0.86, 0.76, 0.92])  # BGR


@dataclass(frozen=True, eq=False)
class Texture:
    """A UV texture.

    Attributes:
        image: (s, s, 3) uint8 BGR; row 0 is v = 1, as OBJ viewers expect.
        known: (s, s) bool, texels whose color is that of the image, at least in part.
    """

    image: ImageBGR
    known: NDArray[np.bool_]


def uv_texture(face: MeshFace, image: ImageBGR, size: int = 512, fill: Fill = "mirror") -> Texture:
    """Unwrap the image of a face to the UV map of its model.

    A texel has the color of the image where its surface point is visible: not occluded (z-buffer), not facing away (normal), not outside
    the image, not within a few millimeters of an occluding contour, and not covered by something of another color than the face. At grazing
    angles and toward contours that color fades into the one of ``fill``.

    Args:
        face: a face whose ``vertices`` are in px of the image.
        image: (H, W, 3) uint8 BGR.
        size: side of the square texture, px; at least 16.
        fill: ``mirror``: the same point of the other half of the head, where that is seen, in the light of this half, and else as ``inpaint``;
            ``inpaint``: a smooth continuation, but dark lips for what lies inside the mouth, so that a mesh whose mouth is opened later shows no
            skin in it; ``none``: black.

    Raises:
        ImageError: the image is not (H, W, 3) uint8, or ``size`` is too small. ConfigError: ``fill`` is unknown. ModelError: the model has no UV map.
    """
    check_image(image, "the image for a texture")
    if size < _SMALLEST:
        raise ImageError(f"the side of a texture must be at least {_SMALLEST} px, not {size}")
    if fill not in FILLS:
        raise ConfigError(f"fill must be one of {', '.join(FILLS)}, not {fill!r}")
    model = face.model
    surface = uv_surface(model, size)
    vertices = np.asarray(face.vertices, dtype=np.float32)
    buffer = DepthBuffer(vertices, model.triangles, image.shape[:2])
    own, seen, points = _unroll(image, vertices, buffer, surface, model)
    matte = TexelMatte(model, surface, buffer, own, seen)
    clear, looks = matte(own, points)
    lit, seen = seen * looks, seen * looks * clear
    known = seen > 0
    if fill == "none":
        return Texture(np.where(known[..., None], own, 0).astype(np.uint8), known)
    color, trust = own, seen
    if fill == "mirror":
        mirror = _mirror_of(model)
        other, other_seen, points = _unroll(image, vertices, buffer, surface, model, mirror)
        clear, looks = matte(other, points)
        other_lit, other_seen = other_seen * looks, other_seen * looks * clear
        other = _in_light_of(own, other, lit * other_lit)
        rest = other_seen * (1 - seen)
        trust = seen + rest
        mixed = own * seen[..., None] + other * rest[..., None]
        color = (mixed / np.maximum(trust, 1e-6)[..., None]).astype(np.float32)
    color, trust = _with_mouth(color, trust, model, surface)
    filled = np.clip(np.rint(fill_gaps(color, trust)), 0, 255).astype(np.uint8)
    return Texture(filled, known)


def sample_texture(image_bgr: ImageBGR, face: MeshFace, size: int = 512) -> ImageBGR:
    """Return the image of :func:`uv_texture`, (size, size, 3) uint8 BGR, with occluded parts mirrored."""
    return uv_texture(face, image_bgr, size).image


def mirror_vertices(mean: FloatArray) -> IntArray:
    """Return for each vertex of the mean head (model frame, x to the left) the vertex nearest to its mirror image, (N,)."""
    reflected = mean * np.array([-1, 1, 1], dtype=np.float32)
    index = cKDTree(mean).query(reflected)[1]
    return np.asarray(index, dtype=np.int32)


@lru_cache(maxsize=4)
def _mirror_of(model: SurfaceModel) -> IntArray:
    return mirror_vertices(model.mean)


def _unroll(
    image: ImageBGR,
    vertices: FloatArray,
    buffer: DepthBuffer,
    surface: UvSurface,
    model: SurfaceModel,
    instead: IntArray | None = None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the image color (s, s, 3) and visibility (s, s) of texels, and the image position (k, 3) of covered ones.

    ``instead`` replaces vertices, as for mirroring.
    """
    chosen = slice(None) if instead is None else instead
    points = surface.interpolate(model, vertices[chosen])
    normals = surface.interpolate(model, buffer.normals[chosen])
    x, y = np.zeros((2, *surface.mask.shape), dtype=np.float32)
    x[surface.mask], y[surface.mask] = points[:, 0], points[:, 1]
    color = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    seen = np.zeros(surface.mask.shape, dtype=np.float32)
    seen[surface.mask] = buffer.seen(points, normals)
    return color.astype(np.float32), seen, points


def _with_mouth(
    color: FloatArray, trust: FloatArray, model: SurfaceModel, surface: UvSurface
) -> tuple[FloatArray, FloatArray]:
    """Give lips that are not seen a color derived from the skin, and texels inside the mouth one derived from the lips.

    So inpainting does not spread skin into the mouth, and teeth of a smile do not appear on the tongue when the mouth of the mesh opens.
    """
    place = surface.unroll(model, _membership(model, _LIPS))[..., 0]
    lips = trust * place
    total = float(lips.sum())
    if total > _SEEN_LIPS * float(place.sum()) > 0:
        mean = np.tensordot(lips, color, 2) / total
    else:  # such as below a mask
        skin = trust * surface.unroll(model, _membership(model, ("skin", "nose")))[..., 0]
        amount = float(skin.sum())
        mean = _UNSEEN_LIPS
        if amount > 1:
            mean = np.tensordot(skin, color, 2) / amount * _LIPS_TO_SKIN
        unseen = place * (1 - trust)
        color = (color * trust[..., None] + unseen[..., None] * mean).astype(np.float32)
        color /= np.maximum(trust + unseen, 1e-6)[..., None]
        trust = trust + unseen
    for region in INSIDE_MOUTH:
        share = surface.unroll(model, _membership(model, (region,)))[..., 0]
        trust = trust * (1 - share)
        known, total_trust = color * trust[..., None], trust + share
        inside = share[..., None] * mean * _INSIDE_COLORS[region]
        mixed = (known + inside) / np.maximum(total_trust, 1e-6)[..., None]
        color, trust = mixed.astype(np.float32), total_trust
    return color, trust


def _membership(model: SurfaceModel, regions: Collection[str]) -> FloatArray:
    """Return 1 at the vertices of the regions, 0 elsewhere, (N, 1)."""
    return in_regions(model, regions).astype(np.float32)[:, None]


def _in_light_of(own: FloatArray, other: FloatArray, both: FloatArray) -> FloatArray:
    """Adapt the colors of the mirrored half to the illumination of this half.

    The gain is the blurred ratio where both halves are visible, extrapolated to where only the mirrored half is.
    """
    if not both.any():
        return other
    side = max(3, (len(own) // 16) | 1)
    weight = both[..., None]

    def level(color: FloatArray) -> FloatArray:
        return np.asarray(cv2.blur((color + _BLACK) * weight, (side, side)), dtype=np.float32)

    ratio = level(own) / np.maximum(level(other), 1e-3)
    gain = fill_gaps(np.clip(ratio, 1 / _GAIN, _GAIN).astype(np.float32), both)
    return np.asarray(other * gain, dtype=np.float32)
