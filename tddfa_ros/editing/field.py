"""Dense backward warp of an image from the displacement of a mesh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.editing.harmonic import fill_harmonic
from tddfa_ros.rendering.raster import rasterize
from tddfa_ros.rendering.shading import image_normals
from tddfa_ros.rendering.window import box_in_image, scaled
from tddfa_ros.types import FloatArray, IntArray

MARGIN = 0.7
"""Width of the band around the head that is warped, in face sizes."""

_LONGEST = 360  # px, the longer side of the grid on which the field is found
_FINEST = 1.5  # grid px per image px, at most
_SLACK = 0.04  # of the face size: a vertex this far behind the nearest surface still counts as seen
_FACING = 0.03  # smallest cosine between normal and view of usable skin
_MOSTLY = 0.6  # of a pixel's mesh is skin that the source image shows
_HOLE = 0.4  # of a pixel's mesh
_STEEPEST = 0.6  # px of displacement per px; above, the image tears or folds
_HEALING = 5  # rounds
_BEHIND = (
    0.05  # of the face size: distance behind the front of a step from which the field is discarded
)


@dataclass(frozen=True)
class Window:
    """The part of an image that an edit may change, and a grid over it.

    Attributes:
        x: left column, image px.
        y: top row, image px.
        width: image px.
        height: image px.
        scale: grid px per image px.
    """

    x: int
    y: int
    width: int
    height: int
    scale: float

    @classmethod
    def around(cls, vertices: FloatArray, face_size: float, shape: tuple[int, ...]) -> Window:
        """Return the window around a head (N, 3), px, in an image of this shape; empty if the head is outside."""
        margin = MARGIN * face_size
        x, y, width, height = box_in_image(vertices, margin, margin, shape)
        longest = max(width, height, 1)
        return cls(x, y, width, height, min(_LONGEST / longest, _FINEST))

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices of the image."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)

    @property
    def grid(self) -> tuple[int, int]:
        """Number of rows and columns of the grid."""
        return max(round(self.height * self.scale), 1), max(round(self.width * self.scale), 1)

    def to_grid(self, vertices: FloatArray) -> FloatArray:
        """Convert image px (N, 3) to grid px; pixel centers are at integers in both."""
        return scaled(vertices, (self.x, self.y), self.scale)


def seen_vertices(
    vertices: FloatArray, triangles: IntArray, window: Window, face_size: float
) -> NDArray[np.bool_]:
    """Return a bool mask (N,) of the vertices visible in the source image."""
    local = window.to_grid(vertices)
    rows, columns = window.grid
    depth = rasterize(local, triangles, local, (rows, columns)).depth
    # At an outline one pixel holds several surfaces; the farthest of its neighbors decides.
    solid = np.where(np.isfinite(depth), depth, 1e9).astype(np.float32)
    farthest = np.asarray(cv2.erode(solid, np.ones((3, 3), np.uint8)))
    column, row = (np.rint(local[:, axis]).astype(int) for axis in (0, 1))
    inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    nearest = np.full(len(vertices), np.inf)
    nearest[inside] = farthest[row[inside], column[inside]]
    facing = image_normals(vertices, triangles)[:, 2] > _FACING
    return np.asarray(inside & facing & (local[:, 2] > nearest - _SLACK * face_size * window.scale))


def displacement(
    before: FloatArray,
    after: FloatArray,
    known_vertices: NDArray[np.bool_],
    triangles: IntArray,
    window: Window,
    face_size: float,
    holes: NDArray[np.bool_] | None = None,
) -> FloatArray:
    """Compute the backward displacement field of a window, px (h, w, 2): source position minus target position.

    Exact on skin visible in both images; beside the head it fades to 0 within :data:`MARGIN`; elsewhere, and where one part of the face
    slides over another, it is extrapolated smoothly.

    Args:
        before: (N, 3) the head in the source image, px.
        after: (N, 3) the head in the new image, px.
        known_vertices: (N,) vertices visible in the source image.
        holes: (N,) vertices of what is drawn over the field, such as the inside of an open mouth, at whose edges the field may be
            steep; None = none.
    """
    if holes is None:
        holes = np.zeros(len(after), dtype=np.bool_)
    flags = np.stack([known_vertices, holes], axis=1)
    values = np.concatenate([(before - after)[:, :2], flags], axis=1)
    raster = rasterize(window.to_grid(after), triangles, values.astype(np.float32), window.grid)
    field = np.ascontiguousarray(raster.values[..., :2])
    known = raster.mask & (raster.values[..., 2] > _MOSTLY)
    open_hole = (raster.values[..., 3] > _HOLE).astype(np.uint8)
    hole = np.asarray(cv2.dilate(open_hole, np.ones((3, 3), np.uint8)), np.uint8)
    known = _healed(field, known, raster.depth, window.scale, face_size, hole)
    away = cv2.distanceTransform((~raster.mask).astype(np.uint8), cv2.DIST_L2, 3)
    at_rest = away > 0.9 * MARGIN * face_size * window.scale
    edge = np.zeros_like(known)
    edge[[0, -1], :], edge[:, [0, -1]] = True, True
    at_rest |= edge & ~raster.mask
    field[at_rest] = 0
    filled = fill_harmonic(field, known | at_rest)
    size = (window.width, window.height)
    return np.asarray(cv2.resize(filled, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _healed(
    field: FloatArray,
    known: NDArray[np.bool_],
    depth: FloatArray,
    scale: float,
    face_size: float,
    hole: NDArray[np.uint8],
) -> NDArray[np.bool_]:
    """Discard the field next to steps at occlusions until it can be interpolated over them without tears.

    The surface behind is discarded: the neck below a dropping chin, not the chin. Steps in a ``hole`` (h, w) do not count.
    """
    kernel = np.ones((3, 3), np.uint8)
    steepest = _STEEPEST / scale
    front = np.where(np.isfinite(depth), depth, -1e9).astype(np.float32)
    wide = np.ones((9, 9), np.uint8)
    gives_way = front < cv2.dilate(front, wide) - _BEHIND * face_size * scale
    for _ in range(_HEALING):
        filled = fill_harmonic(field, known)
        steps = [np.linalg.norm(np.diff(filled, axis=axis), axis=2) for axis in (0, 1)]
        steep = np.zeros(known.shape, np.uint8)
        steep[:-1] |= steps[0] > steepest
        steep[:, :-1] |= steps[1] > steepest
        steep[hole > 0] = 0
        if not steep.any():
            break
        near: Any = cv2.dilate(steep, kernel, iterations=4)
        forgotten = (near > 0) & known
        behind = forgotten & gives_way
        known = known & ~(behind if behind.any() else forgotten)
        gives_way = cv2.dilate(gives_way.astype(np.uint8), kernel) > 0
    return known
