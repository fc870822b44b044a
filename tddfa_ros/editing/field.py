"""From a moved mesh to a moved image: where every pixel of the new image lies in the old one."""

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
"""How far beside the head the image may follow it, in units of the face size."""

_LONGEST = 360  # px, the longer side of the grid on which the field is found
_FINEST = 1.5  # grid px per image px, at most
_SLACK = 0.04  # of the face size: a vertex this far behind the nearest surface still counts as seen
_FACING = 0.03  # smallest cosine between normal and view of skin whose place is worth having
_MOSTLY = 0.6  # of a pixel's mesh is skin that the source image shows
_STEEPEST = 0.6  # px of displacement per px; beyond it the image would tear or fold
_HEALING = 5  # rounds
_BEHIND = 0.05  # of the face size: what lies so far behind the front of a step gives way


@dataclass(frozen=True)
class Window:
    """The part of an image that an edit may change, and the grid over it.

    Attributes:
        x, y, width, height: px of the image. scale: grid px per image px.
    """

    x: int
    y: int
    width: int
    height: int
    scale: float

    @classmethod
    def around(cls, vertices: FloatArray, face_size: float, shape: tuple[int, ...]) -> Window:
        """The window around a head (N, 3), px, in an image of this shape; empty when the head lies outside."""
        margin = MARGIN * face_size
        x, y, width, height = box_in_image(vertices, margin, margin, shape)
        longest = max(width, height, 1)
        return cls(x, y, width, height, min(_LONGEST / longest, _FINEST))

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of the image."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the grid."""
        return max(round(self.height * self.scale), 1), max(round(self.width * self.scale), 1)

    def to_grid(self, vertices: FloatArray) -> FloatArray:
        """Image px (N, 3) to grid px; pixel centers at integers in both."""
        return scaled(vertices, (self.x, self.y), self.scale)


def seen_vertices(
    vertices: FloatArray, triangles: IntArray, window: Window, face_size: float
) -> NDArray[np.bool_]:
    """Which vertices (N,) of a head in px the source image shows."""
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
) -> FloatArray:
    """Where in the old image each pixel of the window of the new one is, relative to itself, px (h, w, 2).

    Exact on skin that both show; beside the head the image follows its outline and comes to rest within
    :data:`MARGIN`; between, and where one part of the face slides over another, the field is continued smoothly.

    Args:
        before, after: (N, 3) the head in image px, old and new.
        known_vertices: (N,) whose old places the source image shows.
    """
    values = np.concatenate([(before - after)[:, :2], known_vertices[:, None]], axis=1)
    raster = rasterize(window.to_grid(after), triangles, values.astype(np.float32), window.grid)
    field = np.ascontiguousarray(raster.values[..., :2])
    known = raster.mask & (raster.values[..., 2] > _MOSTLY)
    known = _healed(field, known, raster.depth, window.scale, face_size)
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
) -> NDArray[np.bool_]:
    """Forget the field beside steps, where a part of the face hides another, until it can bridge them without a tear.

    What lies behind gives way: the neck below a chin that drops, not the chin.
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
        if not steep.any():
            break
        near: Any = cv2.dilate(steep, kernel, iterations=4)
        forgotten = (near > 0) & known
        behind = forgotten & gives_way
        known = known & ~(behind if behind.any() else forgotten)
        gives_way = cv2.dilate(gives_way.astype(np.uint8), kernel) > 0
    return known
