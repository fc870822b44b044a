"""Openings of the face (mouth and eyes), and soft masks and patches to redraw them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.rendering.protocols import INSIDE_MOUTH, in_regions
from tddfa_ros.rendering.raster import rasterize
from tddfa_ros.rendering.texture import fill_gaps
from tddfa_ros.rendering.window import box_in_image, scaled
from tddfa_ros.types import FloatArray, ImageBGR, IntArray

_INSIDE = {
    "mouth": INSIDE_MOUTH,
    "left_eye": ("left_eye",),
    "right_eye": ("right_eye",),
}
_NEAR = 0.008  # m beside what is inside an eye: its lids
_LIPS = ("upper_lip", "lower_lip")
_SUPERSAMPLING = 3
_EVENED = 3  # rounds of smoothing along a line
_FEWEST_LIPS = 12  # px
_LARGEST = 1200  # px, the longer side of a supersampled patch


@dataclass(frozen=True, eq=False)
class Opening:
    """One opening of the face.

    Attributes:
        name: ``mouth``, ``left_eye`` or ``right_eye`` (the person's own).
        inside: (N,) vertices visible only through it.
        around: (N,) vertices of its lips or lids.
    """

    name: str
    inside: NDArray[np.bool_]
    around: NDArray[np.bool_]


def openings_of(model: MorphableModel) -> tuple[Opening, ...]:
    """Return the openings named by the regions of a model; none for a mask model."""
    found = []
    for name, regions in _INSIDE.items():
        inside = in_regions(model, regions)
        if not inside.any():
            continue
        if name == "mouth":
            around = in_regions(model, _LIPS)
        else:
            low, high = model.mean[inside].min(axis=0), model.mean[inside].max(axis=0)
            box = (model.mean > low - _NEAR) & (model.mean < high + _NEAR)
            around = box.all(axis=1) & ~inside
        if around.any():
            found.append(Opening(name, inside, around))
    return tuple(found)


@dataclass(frozen=True)
class Patch:
    """A rectangle of an image, px."""

    x: int
    y: int
    width: int
    height: int

    @classmethod
    def around(cls, points: FloatArray, margin: float, shape: tuple[int, ...]) -> Patch | None:
        """Return the patch around points (N, 2 or more), px, clipped to an image of this shape; None if empty."""
        x, y, width, height = box_in_image(points, margin, margin, shape)
        return cls(x, y, width, height) if width > 2 and height > 2 else None

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices of the image."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)

    def fine(self) -> float:
        """Supersampling factor of rendered meshes."""
        return min(_SUPERSAMPLING, max(_LARGEST / max(self.width, self.height), 0.25))

    def draw(self, vertices: FloatArray, triangles: IntArray, values: FloatArray) -> FloatArray:
        """Render per-vertex values of a mesh in image px with anti-aliasing: (h, w, C), 0 outside the mesh."""
        fine = self.fine()
        shape = self._fine_shape(fine)
        local = scaled(vertices, (self.x, self.y), fine)
        raster = rasterize(local, triangles, values, shape)
        return self.shrink(raster.values)

    def covered(
        self,
        vertices: FloatArray,
        triangles: IntArray,
        inside: NDArray[np.bool_],
        rounding: float = 0.0,
    ) -> FloatArray:
        """Return the share (h, w) 0..1 of each pixel in which vertices ``inside`` are visible.

        Corners of the outline finer than ``rounding`` px, such as those of the triangles, are rounded.
        """
        fine = self.fine()
        shape = self._fine_shape(fine)
        local = scaled(vertices, (self.x, self.y), fine)
        flags = np.repeat(inside[:, None].astype(np.float32), 3, axis=1)
        raster = rasterize(local, triangles, flags, shape)
        mask = (raster.values[..., 0] > 0.5).astype(np.float32)
        if rounding * fine > 0.3 and mask.any():
            soft = cv2.GaussianBlur(mask, (0, 0), rounding * fine)
            # One px of the image wide, whatever the blur.
            steep = 2.5 * rounding * fine / max(fine, 1.0)
            mask = np.clip((soft - 0.5) * max(steep, 1.0) + 0.5, 0, 1).astype(np.float32)
        return self.shrink(mask)

    def line(self, points: FloatArray, thickness: float) -> FloatArray:
        """Return the coverage (h, w) 0..1 of a soft, smoothed line through points (k, 2 or more), image px."""
        ends = points[[0, -1], :2]
        smooth = np.asarray(points[:, :2], dtype=np.float32)
        for _ in range(_EVENED):
            smooth = np.concatenate(
                [ends[:1], (smooth[:-2] + 2 * smooth[1:-1] + smooth[2:]) / 4, ends[1:]]
            )
        fine = self.fine()
        canvas: NDArray[np.uint8] = np.zeros(self._fine_shape(fine), np.uint8)
        local = (smooth - [self.x, self.y] + 0.5) * fine - 0.5
        drawn = [np.rint(local * 16).astype(np.int32).reshape(-1, 1, 2)]
        cv2.polylines(canvas, drawn, False, 255, max(round(thickness * fine), 1), cv2.LINE_AA, 4)
        soft = cv2.GaussianBlur(canvas, (0, 0), max(0.35 * thickness * fine, 0.5))
        return self.shrink(soft.astype(np.float32) / np.float32(255))

    def _fine_shape(self, fine: float) -> tuple[int, int]:
        return max(round(self.height * fine), 1), max(round(self.width * fine), 1)

    def shrink(self, image: FloatArray) -> FloatArray:
        """Downsample a supersampled image to the patch."""
        size = (self.width, self.height)
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32)


def grown(mask: FloatArray, radius: float) -> FloatArray:
    """Dilate a soft mask (h, w) by ``radius`` px, with an equally soft edge."""
    reach = max(round(radius), 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    larger = cv2.dilate(mask, kernel)
    soft = cv2.GaussianBlur(larger, (0, 0), max(0.5 * radius, 0.6))
    return np.asarray(np.maximum(soft, mask), dtype=np.float32)


def without(image: ImageBGR, zone: FloatArray, lips: FloatArray | None = None) -> FloatArray:
    """Replace a soft zone (h, w) of an image (h, w, 3) by its surroundings.

    Args:
        lips: (h, w) 0..1, coverage by lips and by the opening between them, which is replaced by the color of the lips alone: skin beside thin
            lips would make them pale where they close. None = no lips.
    """
    outside = np.where(zone < 0.02, 1.0, 0.0).astype(np.float32)
    filled = fill_gaps(image.astype(np.float32), outside)
    if lips is not None:
        sure = outside * (lips > 0.9)
        if sure.sum() >= _FEWEST_LIPS:
            own = fill_gaps(image.astype(np.float32), sure)
            filled = filled + lips[..., None] * (own - filled)
    return np.asarray(image * (1 - zone[..., None]) + filled * zone[..., None], np.float32)


def only(image: ImageBGR, zone: FloatArray) -> FloatArray:
    """Return the content of a soft zone (h, w) of an image, extrapolated beyond it."""
    trust = np.where(zone > 0.95, 1.0, 0.0).astype(np.float32)
    return fill_gaps(image.astype(np.float32), trust)


def fading(mask: FloatArray, radius: float) -> FloatArray:
    """Return 1 in the mask (h, w), falling to 0 within about ``radius`` px."""
    outside: Any = (mask < 0.5).astype(np.uint8)
    if outside.all():
        return np.zeros_like(mask)
    away = cv2.distanceTransform(outside, cv2.DIST_L2, 3)
    return np.asarray(np.exp(-((away / max(radius, 0.5)) ** 2)), dtype=np.float32)


def ramp(value: float, low: float, high: float) -> float:
    """Return a smooth step from 0 at ``low`` to 1 at ``high``."""
    x = min(max((value - low) / (high - low), 0.0), 1.0)
    return x * x * (3 - 2 * x)
