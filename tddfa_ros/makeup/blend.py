"""Blend pigments in linear light, under the local illumination of the skin.

The dichromatic model (Shafer, "Using Color to Separate Reflection Components", Color Research & Application 10, 1985) writes the linear
color of a pixel as a diffuse part, which has the color b of the surface, and a specular part, which has the color e of the light source:

    I = d b + s e

d is the shading: 1 where the surface is lit as the reference. Paint replaces the color of the surface, and is lit by the same light:

    I' = (1 - w) I + w (d p + s e)

with p the linear color of the pigment and w = opacity x coverage of the pixel. So shadows, wrinkles and pores remain, and highlights keep the
color of the light. Colors brighter than the sensor's range are mapped into it at constant hue of linear light.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from tddfa_ros.makeup.color import LUMINANCE
from tddfa_ros.types import FloatArray

_SHADE = (0.0, 4.0)  # range of the shading
_LEAST_SPECULAR = 0.3  # of the luminance: less may be a variation of the skin's color
_BROAD, _BROAD_SHARE = (
    12,
    0.7,
)  # half side in sigmas of what is a broad sheen, and its share that is shading
_SEPARABLE = (0.06, 0.16)  # sine of the angle between b and e where separation begins, and is full
_DARKEN = 0.8  # exponent of the peak; 1 would darken only, 0 would only desaturate
_GLOSS = 1.6  # gain of highlights at full gloss


@dataclass(frozen=True, eq=False)
class Reflection:
    """Shading and highlights of a region.

    Attributes:
        shading: (h, w), 1 = lit as the reference.
        specular: (h, w, 3) linear light of the highlights, or 0.
    """

    shading: FloatArray
    specular: FloatArray | float


def separate(
    linear: FloatArray, surface: FloatArray, source: FloatArray, sigma: float = 0.0
) -> Reflection:
    """Separate diffuse and specular reflection.

    Args:
        linear: (h, w, 3) linear light.
        surface: (3,) linear color of the surface at shading 1.
        source: (3,) color of the light source, luminance 1.
        sigma: px, smoothing of the highlights against noise of the chroma; most of a sheen that is broader than 24 sigma counts as shading.
            0 = as measured.
    """
    level = max(float(surface @ LUMINANCE), 1e-4)
    dot = float(surface @ source)
    cosine = dot / max(float(np.linalg.norm(surface) * np.linalg.norm(source)), 1e-9)
    sine = float(np.sqrt(max(1 - cosine**2, 0)))
    trust = float(np.clip((sine - _SEPARABLE[0]) / (_SEPARABLE[1] - _SEPARABLE[0]), 0, 1))
    if trust == 0:
        return Reflection(np.clip(luminance_of(linear) / level, *_SHADE), 0.0)
    # The second row of the least-squares solution of I = d b + s e, above the least part of the luminance.
    own = float(surface @ surface)
    solve = (own * source - dot * surface) / (own * float(source @ source) - dot**2)
    rows = np.stack([LUMINANCE, solve - _LEAST_SPECULAR * LUMINANCE]).astype(np.float32)
    luminance, specular = cv2.split(cv2.transform(linear, rows))
    if sigma > 0.4:
        specular = cv2.GaussianBlur(specular, (0, 0), sigma)
    specular = np.minimum(np.maximum(specular, 0), luminance)
    side = 2 * round(_BROAD * sigma) + 1
    if side > 1:
        sheen = cv2.blur(specular, (side, side))
        specular = np.maximum(specular - np.float32(_BROAD_SHARE) * sheen, 0)
    specular = specular * np.float32(trust)
    shading = np.clip((luminance - specular) * np.float32(1 / level), *_SHADE)
    return Reflection(shading, specular[..., None] * source.astype(np.float32))


def paint(
    linear: FloatArray, weight: FloatArray, pigment: FloatArray, reflection: Reflection
) -> None:
    """Paint in place.

    Args:
        linear: (h, w, 3) linear light, modified.
        weight: (h, w) 0..1.
        pigment: (3,) or (h, w, 3) linear color at shading 1.
        reflection: of the unpainted surface.
    """
    layer = reflection.shading[..., None] * pigment + reflection.specular
    blue, green, red = cv2.split(layer)
    bright = np.maximum(np.maximum(blue, green), red) > 1
    if bright.any():
        layer[bright] = into_gamut(layer[bright])
    layer -= linear
    layer *= weight[..., None]
    linear += layer


def into_gamut(linear: FloatArray) -> FloatArray:
    """Map colors (n, 3) brighter than 1 into the gamut at constant hue: mostly darker, then toward white."""
    peak = linear.max(axis=-1, keepdims=True)
    darker = linear / np.maximum(peak, 1) ** np.float32(_DARKEN)
    peak = darker.max(axis=-1, keepdims=True)
    gray = np.minimum(darker @ LUMINANCE, 1)[..., None]
    share = np.where(peak > 1, (1 - gray) / np.maximum(peak - gray, 1e-6), 1)
    return np.asarray(gray + share * (darker - gray), dtype=np.float32)


def add_gloss(linear: FloatArray, weight: FloatArray, gloss: float, reach: float) -> None:
    """Amplify highlights in place: pixels brighter than their surroundings within ``reach`` px.

    Args:
        linear: (h, w, 3) linear light, modified.
        weight: (h, w) 0..1.
        gloss: 0..1.
        reach: px.
    """
    sigma = max(reach, 0.6)
    luminance = luminance_of(linear)
    inside = np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma), 1e-4)
    level = cv2.GaussianBlur(luminance * weight, (0, 0), sigma) / inside
    above = np.maximum(luminance - level, 0) * weight
    room = np.maximum(1 - np.maximum(np.maximum(linear[..., 0], linear[..., 1]), linear[..., 2]), 0)
    linear += (_GLOSS * gloss * above * room)[..., None]


def luminance_of(linear: FloatArray) -> FloatArray:
    """Return the luminance (h, w) of linear light (h, w, 3)."""
    return np.asarray(cv2.transform(linear, LUMINANCE[None]), dtype=np.float32)


def mean_color(linear: FloatArray, weight: FloatArray, otherwise: FloatArray) -> FloatArray:
    """Return the weighted mean color (3,) of a region, weight (h, w); ``otherwise`` if all weights are 0."""
    total = float(weight.sum())
    if total <= 1:
        return otherwise
    return np.asarray(np.tensordot(weight, linear, axes=2) / total, dtype=np.float32)
