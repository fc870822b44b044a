"""Blend pigments in CIELAB, preserving the shading of the skin.

A pigment scales the reflectance of skin by about the same factor everywhere. L* follows the cube root of luminance, so a factor of
luminance is a factor of L*:

    L' = L (L_t / L_r) ^ w

with L_t the lightness of the pigment, L_r that of the region as the image shows it, and w = opacity x coverage of the pixel. Lightness is scaled,
so shadows, wrinkles and the order of lightness are preserved. The chroma moves from that of the pixel toward that of the pigment at the new
lightness:

    (a', b') = (1 - w) (a, b) + w (a_p, b_p)
    (a_p, b_p) = (a_t, b_t) L' / L_t                     where it is darker than the pigment: toward black
    (a_p, b_p) = s (a_t, b_t) + (1 - s) (a, b)           where it is lighter, s = (100 - L') / (100 - L_t)

so specular highlights, which have the color of the light source, are preserved.
Separate lightness and color layers follow Guo and Sim, "Digital Face Makeup by Example" (CVPR 2009), section 3.4; the factor instead of their sum,
and the chroma path, are original.
"""

from __future__ import annotations

import numpy as np

from tddfa_ros.types import FloatArray

_DARKEST, _LIGHTEST = 0.15, 1.8  # factors of lightness
_GLOSS = 1.6  # gain of highlights at full gloss


def paint(lab: FloatArray, weight: FloatArray, pigment: FloatArray, reference: float) -> None:
    """Paint in place.

    Args:
        lab: (h, w, 3) float32 CIELAB, modified.
        weight: (h, w) 0..1.
        pigment: (3,) or (h, w, 3) CIELAB, under the illumination of the image.
        reference: L* of the unpainted region, 0..100.
    """
    target = np.clip(pigment[..., 0], 2, 98)
    factor = np.clip(target / max(reference, 2.0), _DARKEST, _LIGHTEST)
    light = lab[..., 0] * np.power(factor, weight)
    np.clip(light, 0, 100, out=light)
    shade = np.minimum(light / target, 1)
    share = weight * np.minimum((100 - light) / (100 - target), 1)
    for channel in (1, 2):
        own = lab[..., channel]
        own += share * (pigment[..., channel] * shade - own)
    lab[..., 0] = light


def add_gloss(lab: FloatArray, weight: FloatArray, gloss: float, reach: float) -> None:
    """Amplify highlights in place: pixels lighter than their surroundings within ``reach`` px.

    Args:
        lab: (h, w, 3) CIELAB, modified.
        weight: (h, w) 0..1.
        gloss: 0..1.
        reach: px.
    """
    import cv2

    sigma = max(reach, 0.6)
    inside = np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma), 1e-4)
    level = cv2.GaussianBlur(lab[..., 0] * weight, (0, 0), sigma) / inside
    above = np.maximum(lab[..., 0] - level, 0) * weight
    room = (100 - lab[..., 0]) / 100
    lab[..., 0] += _GLOSS * gloss * above * room
    lab[..., 1:] *= (1 - 0.02 * gloss * above)[..., None].clip(0, 1)


def level_of(lab: FloatArray, weight: FloatArray, otherwise: float) -> float:
    """Return the weighted mean of L*, weight (h, w); ``otherwise`` if all weights are 0."""
    total = float(weight.sum())
    return float((lab[..., 0] * weight).sum()) / total if total > 1 else otherwise
