"""Similarity of image colors to the skin of one face.

Colors are compared as c = (a*, b*) / (L* + 16), which does not change when light is scaled.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.types import FloatArray, ImageBGR, RealArray

_WARM = (0.015, 0.0)  # least a and b of c of samples that may be skin
_FEWEST = 0.15  # of the samples
# Norm of c where colors begin to count, and count fully; gray images have 0.
_COLORFUL = (0.05, 0.11)
_SATURATION = (0.05, 0.25)  # relative to the skin: none and all of it is skin
_TANGENT = (0.8, 1.3)  # of the difference in hue from the skin: all and none is skin
_OVEREXPOSED = (82.0, 92.0)  # L* where the hue begins to count less, and no longer counts
_OPPOSITE = (-0.08, -0.02)  # c in the direction of the skin of what is neither hair nor lid
_LIP_RED, _LIP_BLUE = (0.0, 0.03), (-1.3, -0.8)  # a of c of lips, and their b / a


@dataclass(frozen=True, eq=False)
class SkinLikeness:
    """Similarity (h, w) 0..1 of colors to those of a face.

    Attributes:
        trust: 0..1, how much colors count; 0 in gray images.
        skin: warm colors of the hue of the skin.
        reddish: colors that lips may have.
        hair: everything but hues opposite to that of the skin.
        saturation: relative to the skin, not limited to 1.
    """

    trust: float
    skin: FloatArray
    reddish: FloatArray
    hair: FloatArray
    saturation: FloatArray


def smoothstep(values: RealArray, low: float, high: float) -> FloatArray:
    """Return a smooth step from 0 at ``low`` to 1 at ``high``, float32."""
    x = np.subtract(values, low, dtype=np.float32)
    x *= np.float32(1 / max(high - low, 1e-6))
    x = np.clip(x, 0, 1)
    return np.asarray(x * x * (3 - 2 * x), dtype=np.float32)


def to_lab(bgr: RealArray | ImageBGR) -> FloatArray:
    """Convert sRGB colors (h, w, 3) BGR 0..255, float32, to CIELAB (D65; L 0..100)."""
    scaled = np.multiply(bgr, np.float32(1 / 255), dtype=np.float32)
    return np.asarray(cv2.cvtColor(scaled, cv2.COLOR_BGR2LAB), dtype=np.float32)


def skin_chroma(lab: FloatArray) -> FloatArray | None:
    """Return c (2,) of skin from samples (n, 3) in CIELAB; None if too few of them may be skin."""
    c = _chroma(lab)
    warm = np.asarray((c > np.array(_WARM, np.float32)).all(axis=-1))
    if warm.size == 0 or warm.mean() < _FEWEST:
        return None
    return np.asarray(np.median(c[warm], axis=0), dtype=np.float32)


def like_skin(lab: FloatArray, skin: FloatArray | None) -> NDArray[np.bool_]:
    """Return which samples (n, 3) in CIELAB do not have a hue opposite to that of the skin, c (2,); all if it is None."""
    if skin is None:
        return np.ones(len(lab), dtype=bool)
    return np.asarray(_chroma(lab) @ skin > 0)


def skin_likeness(lab: FloatArray, skin: FloatArray | None) -> SkinLikeness | None:
    """Compare colors (h, w, 3) in CIELAB with the skin, c (2,); None if the skin has no color to compare with."""
    trust = 0.0 if skin is None else float(smoothstep(np.hypot(skin[:1], skin[1:]), *_COLORFUL)[0])
    if skin is None or trust == 0:
        return None
    c = _chroma(lab)
    power = float(skin @ skin)
    along = (c @ skin) / power
    across = np.abs(c[..., 0] * skin[1] - c[..., 1] * skin[0]) / power
    # Overexposed skin turns yellow.
    tangent = across / np.maximum(along, 0.3) * (1 - smoothstep(lab[..., 0], *_OVEREXPOSED))
    warm = smoothstep(along, *_SATURATION) * (1 - smoothstep(tangent, *_TANGENT))
    reddish = smoothstep(c[..., 0], *_LIP_RED)
    reddish *= smoothstep(c[..., 1] / np.maximum(c[..., 0], 0.01), *_LIP_BLUE)
    hair = smoothstep(along * np.sqrt(power), *_OPPOSITE)
    return SkinLikeness(trust, warm, reddish, hair, np.asarray(along, dtype=np.float32))


def _chroma(lab: FloatArray) -> FloatArray:
    return np.asarray(lab[..., 1:] / (lab[..., :1] + 16), dtype=np.float32)
