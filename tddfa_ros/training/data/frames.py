"""In which frame a seg map lies, and how it gets into the cache's.

*Crop pixels* are those of the 120-px crop of the ROI: pixel u shows the photograph at ``x0 + u * (x1 - x0) / 120``. A map of the photograph's own
size lies over the photograph; any other map is a square of one of :data:`MAP_SIDES` px with the crop's 120 px in the middle."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.training.cache import CACHE_SIDE, MARGIN
from tddfa_ros.training.data.layout import ItemError
from tddfa_ros.types import CROP_FRAME, DoubleArray, FloatArray

IGNORE = 255
"""Id of pixels that nothing is known about; no loss looks at them."""


MAP_SIDES = (120, 160, 192)


@dataclass(frozen=True, eq=False)
class MapFrame:
    """Pixel m of a map is crop pixel ``scale * m + offset``, both (2,) x, y."""

    scale: DoubleArray
    offset: DoubleArray

    def from_crop(self, points: FloatArray) -> FloatArray:
        """Points (..., 3) in crop px to px of the map; z in the map's scale, relative."""
        factor = np.append(1 / self.scale, np.mean(1 / self.scale))
        start = np.append(self.offset, 0.0)
        return np.asarray((points - start) * factor, dtype=np.float32)

    def to_cache(self, ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Class ids (h, w) of the map, resampled to the cache's (192, 192); beyond the map: ignore."""
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
    """The frame of a map (h, w) of an item with this photograph (h, w) and ROI (4,).

    Raises:
        ItemError: the map has neither the photograph's size nor one of the sides.
    """
    if map_shape == image_shape:
        scale = CROP_FRAME / (roi[2:] - roi[:2])
        return MapFrame(scale, -roi[:2] * scale)
    height, width = map_shape
    if height != width or height not in MAP_SIDES:
        sides = ", ".join(f"{side}x{side}" for side in MAP_SIDES)
        raise ItemError(
            f"the seg map has {width}x{height} px, neither the {image_shape[1]}x{image_shape[0]} of the picture nor one of {sides}"
        )
    return MapFrame(np.ones(2), np.full(2, -(width - CROP_FRAME) / 2))


def outside_picture(image_shape: tuple[int, int], roi: DoubleArray) -> NDArray[np.bool_]:
    """Which pixels (192, 192) of the cache's crop of the ROI (4,) lie beyond the photograph (h, w)."""
    crop_pixel = np.arange(CACHE_SIDE) - MARGIN
    x, y = (roi[i] + crop_pixel * (roi[i + 2] - roi[i]) / CROP_FRAME for i in (0, 1))
    beyond_x = (x < -0.5) | (x > image_shape[1] - 0.5)
    beyond_y = (y < -0.5) | (y > image_shape[0] - 0.5)
    return np.asarray(beyond_x[None, :] | beyond_y[:, None])
