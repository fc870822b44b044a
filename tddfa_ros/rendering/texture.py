"""The picture of a face unrolled into its UV map, hidden parts taken from the mirrored half."""

from __future__ import annotations

from typing import Any, Protocol

import cv2
import numpy as np
from scipy.spatial import cKDTree

from tddfa_ros.errors import ImageError, ModelError
from tddfa_ros.rendering.raster import rasterize
from tddfa_ros.rendering.shading import image_normals
from tddfa_ros.types import FloatArray, ImageBGR, IntArray

_DEPTH_TOLERANCE = 0.015  # of the face's extent: coarser than a triangle, finer than a nose
_DEPTH_PICTURE = 384  # px, longest side of the depth map that visibility is tested against


class TexturedModel(Protocol):
    """What texture sampling needs from a ``MorphableModel``."""

    @property
    def mean(self) -> FloatArray: ...

    @property
    def triangles(self) -> IntArray: ...

    @property
    def uv(self) -> FloatArray: ...


class TexturedFace(Protocol):
    """What texture sampling needs from a ``Face``."""

    @property
    def vertices(self) -> FloatArray: ...

    @property
    def model(self) -> Any: ...


def sample_texture(image_bgr: ImageBGR, face: TexturedFace, size: int = 512) -> ImageBGR:
    """Unroll the picture of a face into its UV map.

    A texel takes the image where its surface point is visible (nearest in the depth map and not turned away), the
    mirrored point where only that is visible, and otherwise a smooth continuation of the texels around it.

    Args:
        image_bgr: (H, W, 3) uint8, the image the face was found in.
        face: its ``vertices`` are (N, 3) px of that image; ``face.model`` gives triangles, uv and the mean head.
        size: side of the square texture, px; at least 16.

    Returns:
        (size, size, 3) uint8 BGR; row 0 is v = 1, as OBJ viewers expect.

    Raises:
        ImageError: the image is not (H, W, 3) uint8, or ``size`` is too small. ModelError: the model has no UV map.
    """
    if image_bgr.ndim != 3 or image_bgr.shape[2] != 3 or image_bgr.dtype != np.uint8:
        raise ImageError(
            f"a texture needs an (H, W, 3) uint8 image, not {image_bgr.shape} {image_bgr.dtype}"
        )
    if size < 16:
        raise ImageError(f"a texture of {size} px is too small, 16 is the least")
    model, vertices = face.model, np.asarray(face.vertices, dtype=np.float32)
    if len(model.uv) != len(vertices):
        raise ModelError(f"the model has {len(model.uv)} uv points for {len(vertices)} vertices")
    visibility = vertex_visibility(vertices, model.triangles, image_bgr.shape[:2])
    mirror = mirror_vertices(model.mean)
    uv = uv_pixels(model.uv, size)
    own, own_weight = _unroll(image_bgr, vertices, visibility, model.triangles, uv, size)
    other, other_weight = _unroll(
        image_bgr, vertices[mirror], visibility[mirror], model.triangles, uv, size
    )
    # The own side wins wherever it is seen at all well; the mirrored side fills what is left.
    mirrored = other_weight * (1 - own_weight)
    total = own_weight + mirrored
    colour = (own * own_weight[..., None] + other * mirrored[..., None]) / np.maximum(total, 1e-6)[
        ..., None
    ]
    filled = fill_gaps(colour.astype(np.float32), total)
    return np.clip(np.rint(filled), 0, 255).astype(np.uint8)


def uv_pixels(uv: FloatArray, size: int) -> FloatArray:
    """UV coordinates (v up, 0..1) as (N, 3) texture pixels (y down, z = 0)."""
    flat = np.zeros((len(uv), 3), dtype=np.float32)
    flat[:, 0] = uv[:, 0] * size - 0.5
    flat[:, 1] = (1 - uv[:, 1]) * size - 0.5
    return flat


def vertex_visibility(
    vertices: FloatArray, triangles: IntArray, image_shape: tuple[int, ...]
) -> FloatArray:
    """How well each vertex is seen, (N,) float32 in 0..1: 0 hidden, outside the image or turned away."""
    low, extent = vertices[:, :2].min(0), np.ptp(vertices[:, :2], axis=0)
    scale = _DEPTH_PICTURE / max(float(extent.max()), 1e-6)
    local = (vertices - np.append(low, 0)) * np.float32(scale) + np.array([1, 1, 0], np.float32)
    shape = (int(extent[1] * scale) + 3, int(extent[0] * scale) + 3)
    depth = rasterize(local.astype(np.float32), triangles, local.astype(np.float32), shape).depth
    # At a silhouette one pixel holds several surfaces; the farthest of its neighbours decides in favour of "seen".
    solid = np.where(np.isfinite(depth), depth, 1e9).astype(np.float32)
    farthest = cv2.erode(solid, np.ones((3, 3)))
    column = np.clip(np.rint(local[:, 0]).astype(int), 0, shape[1] - 1)
    row = np.clip(np.rint(local[:, 1]).astype(int), 0, shape[0] - 1)
    behind = farthest[row, column] - local[:, 2]
    seen = 1 - np.clip(behind / (_DEPTH_TOLERANCE * _DEPTH_PICTURE) - 1, 0, 1)
    facing = np.clip((image_normals(vertices, triangles)[:, 2] - 0.15) / 0.25, 0, 1)
    x, y = vertices[:, 0], vertices[:, 1]
    inside = (x >= 0) & (x <= image_shape[1] - 1) & (y >= 0) & (y <= image_shape[0] - 1)
    return (seen * facing * inside).astype(np.float32)


def mirror_vertices(mean: FloatArray) -> IntArray:
    """For each vertex of the mean head (model frame, x to the left) the vertex nearest to its mirror image, (N,)."""
    reflected = mean * np.array([-1, 1, 1], dtype=np.float32)
    index = cKDTree(mean).query(reflected)[1]
    return np.asarray(index, dtype=np.int32)


def _unroll(
    image: ImageBGR,
    vertices: FloatArray,
    visibility: FloatArray,
    triangles: IntArray,
    uv: FloatArray,
    size: int,
) -> tuple[FloatArray, FloatArray]:
    """Colours (size, size, 3) that the texels see in the image and how much to trust them (size, size)."""
    where = np.column_stack([vertices[:, :2], visibility]).astype(np.float32)
    raster = rasterize(uv, triangles, where, (size, size))
    x = np.ascontiguousarray(raster.values[..., 0])
    y = np.ascontiguousarray(raster.values[..., 1])
    colour = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    weight = np.where(raster.mask, raster.values[..., 2], 0).astype(np.float32)
    return colour.astype(np.float32), weight


def fill_gaps(colour: FloatArray, weight: FloatArray) -> FloatArray:
    """Continue colours smoothly into texels without weight ("pull-push" over an image pyramid).

    Args:
        colour: (h, w, 3) float32. weight: (h, w) float32 0..1, the trust in each texel.
    """
    if min(weight.shape) <= 2 or float(weight.min()) >= 0.999:
        total = float(weight.sum())
        mean = (colour * weight[..., None]).sum((0, 1)) / total if total > 1e-6 else np.full(3, 128)
        return np.asarray(weight[..., None] * colour + (1 - weight[..., None]) * mean, np.float32)
    height, width = weight.shape
    small_size = ((width + 1) // 2, (height + 1) // 2)
    small_weight = cv2.resize(weight, small_size, interpolation=cv2.INTER_AREA)
    weighted = cv2.resize(colour * weight[..., None], small_size, interpolation=cv2.INTER_AREA)
    small = weighted / np.maximum(small_weight, 1e-6)[..., None]
    trust = np.clip(small_weight * 4, 0, 1).astype(np.float32)
    coarse = fill_gaps(small.astype(np.float32), trust)
    background = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(weight[..., None] * colour + (1 - weight[..., None]) * background, np.float32)
