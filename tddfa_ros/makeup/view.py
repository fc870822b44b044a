"""Render vertex fields and visibility of a face in a window of the image."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.rendering.raster import visible_surface
from tddfa_ros.rendering.skin_color import smoothstep
from tddfa_ros.rendering.window import box_in_image, scaled
from tddfa_ros.types import FloatArray, IntArray

_FINE_BELOW, _COARSE_ABOVE = (
    200,
    480,
)  # px; smaller faces are drawn twice as fine, larger ones coarser
_MARGIN = 3  # px
_GRAZING = (0.12, 0.42)  # cosine between normal and view where paint begins, and where it is full


@dataclass(frozen=True, eq=False)
class FaceView:
    """A window of the image with rendered fields of a face.

    Attributes:
        x: left column of the window, px.
        y: top row of the window, px.
        width: px.
        height: px.
        px_per_mm: approximate scale of the face.
        fields: (gh, gw, C) fields of the nearest surface, on a grid over the window.
        seen: (gh, gw) 0..1 visibility: 0 outside the face and for skin facing away, in between at grazing angles.
    """

    x: int
    y: int
    width: int
    height: int
    px_per_mm: float
    fields: FloatArray
    seen: FloatArray

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices of the image."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)

    def to_pixels(self, grid: FloatArray) -> FloatArray:
        """Resample a map (gh, gw) or (gh, gw, C) from the grid to image resolution."""
        size = (self.width, self.height)
        if grid.shape[:2] == (self.height, self.width):
            return grid
        finer = grid.shape[1] > self.width
        way = cv2.INTER_AREA if finer else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(grid, size, interpolation=way), dtype=np.float32)


def view_face(
    vertices: FloatArray,
    normals: FloatArray,
    triangles: IntArray,
    fields: FloatArray,
    wanted: NDArray[np.bool_],
    shape: tuple[int, ...],
    px_per_mm: float,
) -> FaceView | None:
    """Render the fields of a part of a face.

    The whole head occludes. Skin fades out at grazing angles.

    Args:
        vertices: (N, 3) px.
        normals: (N, 3) unit, z toward the viewer.
        triangles: (T, 3).
        fields: (N, C).
        wanted: (N,) vertices that the window must include.
        shape: shape of the image.
        px_per_mm: approximate scale of the face.

    Returns:
        The view; None if the part is outside the image.
    """
    points = vertices[wanted & (normals[:, 2] > 0), :2]
    if len(points) == 0 or not np.isfinite(vertices).all():
        return None
    x, y, width, height = box_in_image(points, _MARGIN, _MARGIN + 1, shape)
    if width < 2 or height < 2:
        return None
    scale = _grid_scale(max(width, height))
    grid = (max(round(height * scale), 1), max(round(width * scale), 1))
    surface = visible_surface(scaled(vertices, (x, y), scale), triangles, grid, cull_backfaces=True)
    drawn = surface.interpolate(np.column_stack([fields, normals[:, 2]]).astype(np.float32))
    seen = smoothstep(drawn[..., -1], *_GRAZING)
    return FaceView(x, y, width, height, px_per_mm, drawn[..., :-1], seen)


def _grid_scale(longest: int) -> float:
    """Return the grid px per image px: fields are smooth, so the grid is bounded."""
    return 2.0 if longest < _FINE_BELOW else min(1.0, _COARSE_ABOVE / longest)
