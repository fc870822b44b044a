"""Visibility of mesh points: occlusion (z-buffer), viewing angle and image border."""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np

from tddfa_ros.rendering.raster import visible_surface
from tddfa_ros.rendering.shading import image_normals
from tddfa_ros.types import FloatArray, IntArray

_BUFFER = 384  # px, longest side of the z-buffer
_TOLERANCE = 0.015  # of the mesh's extent: coarser than a triangle, finer than a nose
_STEP = 0.03  # of the extent: depth by which a contour occludes what lies behind it
_MARGIN = (
    0.003,
    0.014,
)  # of the extent: distances from a contour where colors begin to count, and count fully
_BLUR = 0.7  # px of the image, in which the colors of both sides of a contour are mixed
_GRAZING = (0.15, 0.40)  # cosines to the line of sight between which visibility rises from 0 to 1


class DepthBuffer:
    """The z-buffer of one mesh.

    Args:
        vertices: (N, 3) px.
        triangles: (T, 3).
        image_shape: (height, width) or more; points outside are not visible.
    """

    def __init__(
        self, vertices: FloatArray, triangles: IntArray, image_shape: tuple[int, ...]
    ) -> None:
        self.normals: FloatArray = image_normals(vertices, triangles)
        """Vertex normals (N, 3), y up, z toward the viewer."""
        self._image_shape = image_shape
        low, extent = vertices[:, :2].min(0), np.ptp(vertices[:, :2], axis=0)
        self._scale = _BUFFER / max(float(extent.max()), 1e-6)
        self._origin = np.append(low, 0).astype(np.float32)
        shape = (int(extent[1] * self._scale) + 3, int(extent[0] * self._scale) + 3)
        surface = self._surface = visible_surface(self._local(vertices), triangles, shape)
        # At a silhouette one pixel holds several surfaces; the farthest of its neighbors counts.
        solid = np.where(surface.mask, surface.depth, np.float32(1e9))
        self._farthest = cv2.erode(solid, np.ones((3, 3), np.uint8))

    def seen(self, points: FloatArray, normals: FloatArray) -> FloatArray:
        """Return the visibility (k,) float32 0..1 of surface points (k, 3) px with normals (k, 3).

        0 = occluded, facing away or outside the image; grazing angles are in between.
        """
        row, column = self._cells(points)
        behind = self._farthest[row, column] - self._local(points)[:, 2]
        open_view = 1 - np.clip(behind / (_TOLERANCE * _BUFFER) - 1, 0, 1)
        begin, full = _GRAZING
        length = np.maximum(np.linalg.norm(normals, axis=1), 1e-9)
        facing = np.clip((normals[:, 2] / length - begin) / (full - begin), 0, 1)
        x, y = points[:, 0], points[:, 1]
        inside = (x >= 0) & (x <= self._image_shape[1] - 1)
        inside &= (y >= 0) & (y <= self._image_shape[0] - 1)
        return (open_view * facing * inside).astype(np.float32)

    def contour_distance(self, points: FloatArray) -> FloatArray:
        """Return the distance (k,) of points (k, 3) px to the nearest occluding contour in the image, as a share of the mesh's extent.

        A contour is the outline of the mesh, or a step in depth; points on both sides of a step are near it.
        """
        row, column = self._cells(points)
        return np.asarray(self._from_contour[row, column] / np.float32(_BUFFER))

    def clear_of_contours(self, points: FloatArray) -> FloatArray:
        """Return 0..1 (k,) for points (k, 3) px: 0 at occluding contours, 1 at a distance that the mesh may be off."""
        begin, full = _MARGIN
        begin = max(begin, _BLUR * self._scale / _BUFFER)
        share = (self.contour_distance(points) - begin) / (full - _MARGIN[0])
        return np.clip(share, 0, 1).astype(np.float32)

    @cached_property
    def _from_contour(self) -> FloatArray:
        kernel = np.ones((3, 3), np.uint8)
        depth = np.where(self._surface.mask, self._surface.depth, np.float32(-1e9))
        depth = depth.astype(np.float32)
        step = cv2.dilate(depth, kernel) - cv2.erode(depth, kernel)
        smooth = (step < _STEP * _BUFFER).astype(np.uint8)
        return np.asarray(cv2.distanceTransform(smooth, cv2.DIST_L2, 5), dtype=np.float32)

    def _cells(self, points: FloatArray) -> tuple[IntArray, IntArray]:
        """Return row and column (k,) of the buffer for points (k, 3) px."""
        local = self._local(points)
        height, width = self._farthest.shape
        column = np.clip(np.rint(local[:, 0]).astype(np.int32), 0, width - 1)
        return np.clip(np.rint(local[:, 1]).astype(np.int32), 0, height - 1), column

    def _local(self, points: FloatArray) -> FloatArray:
        """Convert image px to px of the buffer, with a margin of 1 px."""
        margin = np.array([1, 1, 0], np.float32)
        return ((points - self._origin) * np.float32(self._scale) + margin).astype(np.float32)


def vertex_visibility(
    vertices: FloatArray, triangles: IntArray, image_shape: tuple[int, ...]
) -> FloatArray:
    """Return the visibility of each vertex, (N,) float32 0..1; see :meth:`DepthBuffer.seen`."""
    buffer = DepthBuffer(vertices, triangles, image_shape)
    return buffer.seen(vertices, buffer.normals)
