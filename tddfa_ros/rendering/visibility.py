"""Visibility of mesh points: occlusion (z-buffer), viewing angle and image border."""

from __future__ import annotations

import cv2
import numpy as np

from tddfa_ros.rendering.raster import visible_surface
from tddfa_ros.rendering.shading import image_normals
from tddfa_ros.types import FloatArray, IntArray

_BUFFER = 384  # px, longest side of the z-buffer
_TOLERANCE = 0.015  # of the mesh's extent: coarser than a triangle, finer than a nose
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
        surface = visible_surface(self._local(vertices), triangles, shape)
        # At a silhouette one pixel holds several surfaces; the farthest of its neighbors counts.
        solid = np.where(surface.mask, surface.depth, np.float32(1e9))
        self._farthest = cv2.erode(solid, np.ones((3, 3), np.uint8))

    def seen(self, points: FloatArray, normals: FloatArray) -> FloatArray:
        """Return the visibility (k,) float32 0..1 of surface points (k, 3) px with normals (k, 3).

        0 = occluded, facing away or outside the image; grazing angles are in between.
        """
        local = self._local(points)
        height, width = self._farthest.shape
        column = np.clip(np.rint(local[:, 0]).astype(int), 0, width - 1)
        row = np.clip(np.rint(local[:, 1]).astype(int), 0, height - 1)
        behind = self._farthest[row, column] - local[:, 2]
        open_view = 1 - np.clip(behind / (_TOLERANCE * _BUFFER) - 1, 0, 1)
        begin, full = _GRAZING
        length = np.maximum(np.linalg.norm(normals, axis=1), 1e-9)
        facing = np.clip((normals[:, 2] / length - begin) / (full - begin), 0, 1)
        x, y = points[:, 0], points[:, 1]
        inside = (x >= 0) & (x <= self._image_shape[1] - 1)
        inside &= (y >= 0) & (y <= self._image_shape[0] - 1)
        return (open_view * facing * inside).astype(np.float32)

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
