"""Coordinate frames of seg maps, and their conversion to the frame of the training cache.

*Crop pixels* are those of the 120-px crop of the ROI: pixel u is at ``x0 + u * (x1 - x0) / 120`` in the image. A map of the size of the image has
the frame of the image; any other map is a square of one of :data:`MAP_SIDES` px with the 120 px of the crop in its center.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.training.cache import CACHE_SIDE, MARGIN
from tddfa_ros.training.data.layout import ItemError
from tddfa_ros.types import CROP_FRAME, DoubleArray, FloatArray

IGNORE = 255
"""Class id of unlabeled pixels, which the loss ignores."""


MAP_SIDES = (120, 160, 192)


@dataclass(frozen=True, eq=False)
class MapFrame:
    """Frame of a map: its pixel m is crop pixel ``scale * m + offset``, both (2,) x, y."""

    scale: DoubleArray
    offset: DoubleArray

    def from_crop(self, points: FloatArray) -> FloatArray:
        """Convert points (..., 3) from crop px to px of the map; z is relative, in the scale of the map."""
        factor = np.append(1 / self.scale, np.mean(1 / self.scale))
        start = np.append(self.offset, 0.0)
        return np.asarray((points - start) * factor, dtype=np.float32)

    def to_cache(self, ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resample class ids (h, w) of the map to the frame of the cache (192, 192); :data:`IGNORE` outside the map."""
        start = (-MARGIN - self.offset) / self.scale
        matrix = np.array([[1 / self.scale[0], 0, start[0]], [0, 1 / self.scale[1], start[1]]])
        moved = cv2.warpAffine(
            ids,
            matrix,
            (CACHE_SIDE, CACHE_SIDE),
            flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=IGNORE,
        )
        return np.asarray(moved, dtype=np.uint8)


def map_frame(
    map_shape: tuple[int, int], image_shape: tuple[int, int], roi: DoubleArray
) -> MapFrame:
    """Return the frame of a map (h, w), from the size (h, w) of the image of its item and the ROI (4,).

    Raises:
        ItemError: the map has neither the size of the image nor one of the sides.
    """
    if map_shape == image_shape:
        scale = CROP_FRAME / (roi[2:] - roi[:2])
        return MapFrame(scale, -roi[:2] * scale)
    height, width = map_shape
    if height != width or height not in MAP_SIDES:
        sides = ", ".join(f"{side}x{side}" for side in MAP_SIDES)
        raise ItemError(
            f"the seg map has {width}x{height} px, neither the {image_shape[1]}x{image_shape[0]} of the image nor one of {sides}"
        )
    return MapFrame(np.ones(2), np.full(2, -(width - CROP_FRAME) / 2))


def outside_image(image_shape: tuple[int, int], roi: DoubleArray) -> NDArray[np.bool_]:
    """Return the mask (192, 192) of pixels of the stored crop of the ROI (4,) outside the image (h, w)."""
    crop_pixel = np.arange(CACHE_SIDE) - MARGIN
    x, y = (roi[i] + crop_pixel * (roi[i + 2] - roi[i]) / CROP_FRAME for i in (0, 1))
    beyond_x = (x < -0.5) | (x > image_shape[1] - 0.5)
    beyond_y = (y < -0.5) | (y > image_shape[0] - 0.5)
    return np.asarray(beyond_x[None, :] | beyond_y[:, None])
