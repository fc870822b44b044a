"""A z-buffer rasteriser: triangles and per-vertex values in, a picture of interpolated values and a depth map out.

OpenCV 5 draws triangles in C++; older versions do not, and there the same picture is made with NumPy (slower, same
pixels up to the rule for edges). Both use the image frame: pixel centres at integers, y down, z nearer = larger.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.types import FloatArray, IntArray

HAS_OPENCV_RASTERIZER = hasattr(cv2, "triangleRasterize")
_CHUNK_PIXELS = 2_000_000
_cv2: Any = cv2  # the type stubs of OpenCV 4 do not know the rasteriser


@dataclass(frozen=True, eq=False)
class Raster:
    """What a mesh looks like from the camera.

    Attributes:
        values: (h, w, 3) float32, the interpolated per-vertex values; 0 where there is no mesh.
        depth: (h, w) float32, z of the nearest surface; -inf where there is no mesh.
    """

    values: FloatArray
    depth: FloatArray

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(h, w) bool: where the mesh is."""
        return np.isfinite(self.depth)


def rasterize(
    vertices: FloatArray,
    triangles: IntArray,
    values: FloatArray,
    shape: tuple[int, int],
    *,
    cull_backfaces: bool = False,
) -> Raster:
    """Draw a mesh under parallel projection along z.

    Args:
        vertices: (N, 3) px, image frame; only differences of z matter.
        triangles: (T, 3) int32. Counter-clockwise seen from outside in the model frame (y up).
        values: (N, 3) float32, anything to interpolate: colours, texture coordinates, normals.
        shape: (height, width) of the picture, px.
        cull_backfaces: leave out triangles that turn their back on the viewer.
    """
    height, width = shape
    vertices = np.ascontiguousarray(vertices, dtype=np.float32)
    values = np.ascontiguousarray(values, dtype=np.float32)
    triangles = _drawable(vertices, triangles, shape, cull_backfaces)
    if len(triangles) == 0:
        empty = np.full(shape, -np.inf, dtype=np.float32)
        return Raster(np.zeros((height, width, 3), dtype=np.float32), empty)
    if HAS_OPENCV_RASTERIZER:
        return _rasterize_opencv(vertices, triangles, values, shape)
    return rasterize_numpy(vertices, triangles, values, shape)


def _drawable(
    vertices: FloatArray, triangles: IntArray, shape: tuple[int, int], cull_backfaces: bool
) -> IntArray:
    """The triangles that touch the picture and have an area (and face the viewer)."""
    corners = vertices[triangles]
    x, y = corners[..., 0], corners[..., 1]
    xab, yab, xac, yac = x[:, 1] - x[:, 0], y[:, 1] - y[:, 0], x[:, 2] - x[:, 0], y[:, 2] - y[:, 0]
    area: FloatArray = xab * yac - xac * yab
    # y points down, so a triangle that is counter-clockwise in the model frame has a negative area here.
    keep = area < -1e-9 if cull_backfaces else np.abs(area) > 1e-9
    keep &= np.isfinite(corners).all(axis=(1, 2))
    keep &= (x.max(1) >= 0) & (x.min(1) <= shape[1] - 1)
    keep &= (y.max(1) >= 0) & (y.min(1) <= shape[0] - 1)
    return np.ascontiguousarray(triangles[keep], dtype=np.int32)


def _rasterize_opencv(
    vertices: FloatArray, triangles: IntArray, values: FloatArray, shape: tuple[int, int]
) -> Raster:
    """OpenCV's rasteriser is a perspective one: put its camera so far away that the difference is nil.

    Each vertex is placed on the ray through its pixel, so it lands exactly where it should; only the interpolation
    between vertices feels the perspective, by less than the mesh's depth over the distance.
    """
    height, width = shape
    used = vertices[triangles]
    z_far, z_near = float(used[..., 2].min()), float(used[..., 2].max())
    distance = 30.0 * (z_near - z_far + 1.0)
    away = distance + z_near - vertices[:, 2]
    focal = height / 2.0  # field of view 90 degrees
    points = np.empty_like(vertices)
    points[:, 0] = (vertices[:, 0] + 0.5 - width / 2.0) * away / focal
    points[:, 1] = -(vertices[:, 1] + 0.5 - height / 2.0) * away / focal
    points[:, 2] = -away
    near = 0.9 * distance
    far = float(np.float32(distance + 1.1 * (z_near - z_far + 1.0)))
    picture = np.zeros((height, width, 3), dtype=np.float32)
    depth = np.full((height, width), far, dtype=np.float32)
    settings = _cv2.TriangleRasterizeSettings()
    settings.setCullingMode(_cv2.RASTERIZE_CULLING_NONE)
    settings.setShadingType(_cv2.RASTERIZE_SHADING_SHADED)
    world_to_camera = np.eye(4, dtype=np.float32)
    picture, depth = _cv2.triangleRasterize(
        points, triangles, values, picture, depth, world_to_camera, np.pi / 2, near, far, settings
    )
    # Where nothing was drawn the buffer need not come back bit for bit; the far plane lies well behind the mesh.
    background = depth > 0.5 * (far + distance + z_near - z_far)
    return Raster(
        picture, np.where(background, -np.inf, distance + z_near - depth).astype(np.float32)
    )


def rasterize_numpy(
    vertices: FloatArray, triangles: IntArray, values: FloatArray, shape: tuple[int, int]
) -> Raster:
    """The same with NumPy alone: every pixel of every triangle's bounding box is tested at once, in chunks."""
    height, width = shape
    depth = np.full(height * width, -np.inf, dtype=np.float32)
    picture = np.zeros((height * width, 3), dtype=np.float32)
    corners = vertices[triangles]
    low = np.maximum(np.ceil(corners[..., :2].min(1)).astype(np.int64), 0)
    high = np.floor(corners[..., :2].max(1)).astype(np.int64)
    high = np.minimum(high, [width - 1, height - 1])
    extent = np.maximum(high - low + 1, 0)
    count = extent[:, 0] * extent[:, 1]
    chunk = np.cumsum(count) // _CHUNK_PIXELS
    for part in range(int(chunk[-1]) + 1 if len(chunk) else 0):
        rows = np.nonzero((chunk == part) & (count > 0))[0]
        _draw_chunk(rows, corners, triangles, values, low, extent, count, width, picture, depth)
    return Raster(picture.reshape(height, width, 3), depth.reshape(height, width))


def _draw_chunk(
    rows: NDArray[np.int64],
    corners: FloatArray,
    triangles: IntArray,
    values: FloatArray,
    low: NDArray[np.int64],
    extent: NDArray[np.int64],
    count: NDArray[np.int64],
    width: int,
    picture: FloatArray,
    depth: FloatArray,
) -> None:
    if len(rows) == 0:
        return
    owner = np.repeat(rows, count[rows])
    start = np.repeat(np.cumsum(count[rows]) - count[rows], count[rows])
    offset = np.arange(len(owner)) - start
    px = low[owner, 0] + offset % extent[owner, 0]
    py = low[owner, 1] + offset // extent[owner, 0]
    a, b, c = (corners[owner, i] for i in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1])
    w1 = ((px - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (py - a[:, 1])) / area
    w2 = ((b[:, 0] - a[:, 0]) * (py - a[:, 1]) - (px - a[:, 0]) * (b[:, 1] - a[:, 1])) / area
    w0 = 1 - w1 - w2
    inside = np.nonzero((w0 >= -1e-6) & (w1 >= -1e-6) & (w2 >= -1e-6))[0]
    weights = np.stack([w0, w1, w2], axis=1)[inside].astype(np.float32)
    owner, pixel = owner[inside], py[inside] * width + px[inside]
    z = (weights * corners[owner, :, 2]).sum(1)
    nearest_last = np.argsort(z, kind="stable")
    owner, pixel, z = owner[nearest_last], pixel[nearest_last], z[nearest_last]
    weights = weights[nearest_last]
    in_front = z > depth[pixel]
    owner, pixel, z, weights = owner[in_front], pixel[in_front], z[in_front], weights[in_front]
    depth[pixel] = z  # of several writes to one pixel the last, nearest one stays
    picture[pixel] = np.einsum("nk,nkc->nc", weights, values[triangles[owner]])
