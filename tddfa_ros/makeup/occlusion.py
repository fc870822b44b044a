"""Occlusion matte: pixels that do not have the colors of the face's skin or lips are not painted.

Skin is the warm color that most samples of the face have (:mod:`tddfa_ros.rendering.skin_color`); pixels of another hue (masks, gloves) or
almost without color (hair, white and black cloth) are not skin. Small spots, such as highlights and pores, are filled. What has the color of skin, such as a hand, cannot be told from skin.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from tddfa_ros.rendering.skin_color import skin_likeness, smoothstep, to_lab
from tddfa_ros.types import FloatArray, ImageBGR

_RING = (-9.0, -4.0)  # mm from the lips, where skin must be seen
_RING_SEEN = (0.3, 0.55)  # share of skin in it
_PER_MM = 0.7  # px, resolution of the matte
_SPOT, _SOFT = 5, 0.8  # mm, size of the spots filled, and width of the edge


@dataclass(frozen=True, eq=False)
class Occlusion:
    """Mattes (h, w) of a window, 0 = occluded .. 1.

    Attributes:
        skin: for makeup on skin.
        lips: for makeup on lips.
        hair: for makeup on brows and lids, which may have little color.
    """

    skin: FloatArray
    lips: FloatArray
    hair: FloatArray

    def of(self, part: str) -> FloatArray:
        """Return the matte of a part of a preset, or of a ``sticker``."""
        if part == "lipstick":
            return self.lips
        return self.hair if part in ("brow_tint", "eye_shadow") else self.skin


def find_occlusion(
    window: ImageBGR, skin: FloatArray | None, lips: FloatArray, seen: FloatArray, px_per_mm: float
) -> Occlusion | None:
    """Find what occludes the face in a window of the image.

    Args:
        window: (h, w, 3) uint8 BGR.
        skin: (2,) c of the skin, of :func:`tddfa_ros.rendering.skin_color.skin_chroma`.
        lips: (gh, gw) signed distance to the lip contour, mm, positive inside, on any grid over the window.
        seen: (gh, gw) 0..1 visibility of the mesh.
        px_per_mm: scale of the window.

    Returns:
        The mattes; None if the skin has no color to compare with.
    """
    height, width = window.shape[:2]
    scale = min(_PER_MM / max(px_per_mm, 1e-6), 1.0)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    per_mm = px_per_mm * size[0] / width
    small = cv2.resize(window, size, interpolation=cv2.INTER_AREA)
    lab = to_lab(np.asarray(small, dtype=np.uint8))
    like = skin_likeness(lab, skin)
    if like is None:
        return None
    strict, hair = _filled(like.skin, per_mm), _filled(like.hair, per_mm)
    far, visible = (
        cv2.resize(grid, size, interpolation=cv2.INTER_NEAREST) for grid in (lips, seen)
    )
    ring = (far > _RING[0]) & (far < _RING[1]) & (visible > 0.5)
    around = float(smoothstep(strict[ring].mean(), *_RING_SEEN)) if ring.any() else 0.0
    lip = np.maximum(strict, around * _filled(like.reddish, per_mm))

    def finish(matte: FloatArray) -> FloatArray:
        soft = cv2.GaussianBlur(1 - like.trust * (1 - matte), (0, 0), max(_SOFT * per_mm, 0.5))
        return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR))

    return Occlusion(finish(strict), finish(lip), finish(hair))


def _filled(matte: FloatArray, px_per_mm: float) -> FloatArray:
    """Fill spots that are smaller than ``_SPOT`` mm."""
    side = 2 * round(_SPOT * px_per_mm / 2) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (side, side))
    return np.asarray(cv2.morphologyEx(matte, cv2.MORPH_CLOSE, kernel), dtype=np.float32)
