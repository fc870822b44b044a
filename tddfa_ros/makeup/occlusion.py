"""Occlusion matte: pixels that do not have the colors of the face's skin or lips are not painted.

Colors are compared as c = (a*, b*) / (L* + 16), which does not change when light is scaled. Skin is the warm color that most samples of the
face have; pixels of another hue (masks, gloves) or almost without color (hair, white and black cloth) are not skin. Small spots, such as
highlights and pores, are filled. What has the color of skin, such as a hand, cannot be told from skin.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.makeup.color import to_lab
from tddfa_ros.makeup.regions import smoothstep
from tddfa_ros.types import FloatArray, ImageBGR

_WARM = (0.015, 0.0)  # least a and b of c of samples that may be skin
_FEWEST = 0.15  # of the samples
_COLORFUL = (
    0.05,
    0.11,
)  # norm of c where the matte begins to count, and counts fully; gray images have 0
_SATURATION = (0.05, 0.25)  # relative to the skin: none and all of it is skin
_TANGENT = (0.8, 1.3)  # of the difference in hue from the skin: all and none is skin
_OVEREXPOSED = (82.0, 92.0)  # L* where the hue begins to count less, and no longer counts
_OPPOSITE = (-0.08, -0.02)  # c in the direction of the skin of what is neither hair nor lid
_LIP_RED, _LIP_BLUE = (0.0, 0.03), (-1.3, -0.8)  # a of c of lips, and their b / a
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


def skin_chroma(lab: FloatArray) -> FloatArray | None:
    """Return c (2,) of skin from samples (n, 3) in CIELAB; None if too few of them may be skin."""
    c = _chroma(lab)
    warm = (c > np.array(_WARM, np.float32)).all(axis=-1)
    if warm.mean() < _FEWEST:
        return None
    return np.asarray(np.median(c[warm], axis=0), dtype=np.float32)


def like_skin(lab: FloatArray, skin: FloatArray | None) -> NDArray[np.bool_]:
    """Return which samples (n, 3) in CIELAB do not have a hue opposite to that of the skin, c (2,); all if it is None."""
    if skin is None:
        return np.ones(len(lab), dtype=bool)
    return np.asarray(_chroma(lab) @ skin > 0)


def find_occlusion(
    window: ImageBGR, skin: FloatArray | None, lips: FloatArray, seen: FloatArray, px_per_mm: float
) -> Occlusion | None:
    """Find what occludes the face in a window of the image.

    Args:
        window: (h, w, 3) uint8 BGR.
        skin: (2,) c of the skin, of :func:`skin_chroma`.
        lips: (gh, gw) signed distance to the lip contour, mm, positive inside, on any grid over the window.
        seen: (gh, gw) 0..1 visibility of the mesh.
        px_per_mm: scale of the window.

    Returns:
        The mattes; None if the skin has no color to compare with.
    """
    trust = 0.0 if skin is None else float(smoothstep(np.hypot(skin[:1], skin[1:]), *_COLORFUL)[0])
    if skin is None or trust == 0:
        return None
    height, width = window.shape[:2]
    scale = min(_PER_MM / max(px_per_mm, 1e-6), 1.0)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    per_mm = px_per_mm * size[0] / width
    small = cv2.resize(window, size, interpolation=cv2.INTER_AREA)
    lab = to_lab(np.asarray(small, dtype=np.uint8))
    c = _chroma(lab)
    power = float(skin @ skin)
    along = (c @ skin) / power
    across = np.abs(c[..., 0] * skin[1] - c[..., 1] * skin[0]) / power
    # Overexposed skin turns yellow.
    tangent = across / np.maximum(along, 0.3) * (1 - smoothstep(lab[..., 0], *_OVEREXPOSED))
    strict = _filled(smoothstep(along, *_SATURATION) * (1 - smoothstep(tangent, *_TANGENT)), per_mm)
    hair = _filled(smoothstep(along * np.sqrt(power), *_OPPOSITE), per_mm)
    far, visible = (
        cv2.resize(grid, size, interpolation=cv2.INTER_NEAREST) for grid in (lips, seen)
    )
    ring = (far > _RING[0]) & (far < _RING[1]) & (visible > 0.5)
    around = float(smoothstep(strict[ring].mean(), *_RING_SEEN)) if ring.any() else 0.0
    reddish = smoothstep(c[..., 0], *_LIP_RED)
    reddish *= smoothstep(c[..., 1] / np.maximum(c[..., 0], 0.01), *_LIP_BLUE)
    lip = np.maximum(strict, around * _filled(reddish, per_mm))

    def finish(matte: FloatArray) -> FloatArray:
        soft = cv2.GaussianBlur(1 - trust * (1 - matte), (0, 0), max(_SOFT * per_mm, 0.5))
        return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR))

    return Occlusion(finish(strict), finish(lip), finish(hair))


def _chroma(lab: FloatArray) -> FloatArray:
    return np.asarray(lab[..., 1:] / (lab[..., :1] + 16), dtype=np.float32)


def _filled(matte: FloatArray, px_per_mm: float) -> FloatArray:
    """Fill spots that are smaller than ``_SPOT`` mm."""
    side = 2 * round(_SPOT * px_per_mm / 2) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (side, side))
    return np.asarray(cv2.morphologyEx(matte, cv2.MORPH_CLOSE, kernel), dtype=np.float32)
