"""Matting of lips and brows by color.

A regressed mesh is off by one or two millimeters. It provides a trimap (foreground, background, unknown band); colors decide in the band, which
also excludes teeth. Where the contrast of lips and skin is low, the mesh alone decides.
"""

from __future__ import annotations

import cv2
import numpy as np

from tddfa_ros.rendering.skin_color import smoothstep
from tddfa_ros.types import FloatArray

_REACH = 3.0  # mm beyond the outline of the mesh where lips may still be
_CORE = 1.0  # mm inside it, where their color is measured
_RING = (-8.0, -3.5)  # mm, where the skin's color is measured
# mm inside, away from the opening of the mouth, that are lip regardless of color, as highlights are white.
_SURE = (1.5, 3.5)
# Lightness is weighted less than chroma: it depends on the illumination.
_SCALE = np.array([0.35, 1.0, 1.0], np.float32)
_CONTRAST = (3.0, 8.0)  # of lips and skin: where colors begin to count, and count fully
_FEWEST = 12  # px
# Darkness relative to the skin around: where hairs begin, and where they surely are.
_HAIR = (0.10, 0.32)
_LOCAL, _BETWEEN = 6.0, 1.0  # mm: what is around, and what is between hairs
_BROW_REACH = 6.0  # mm


def lip_matte(
    lab: FloatArray, lips: FloatArray, mouth: FloatArray, prior: FloatArray, seen: FloatArray
) -> FloatArray:
    """Return the coverage (h, w) 0..1 of lips.

    Args:
        lab: (h, w, 3) CIELAB of the image.
        lips: (h, w) signed distance to the lip contour of the mesh, mm, positive inside.
        mouth: (h, w) signed distance to the inside of the mouth, mm, positive outside.
        prior: (h, w) coverage by the mesh.
        seen: (h, w) 0..1, visibility of the face.
    """
    here = seen > 0.5
    core = here & (lips > _CORE) & (mouth > _CORE)
    ring = here & (lips < _RING[1]) & (lips > _RING[0])
    if core.sum() < _FEWEST or ring.sum() < _FEWEST:
        return prior
    even = cv2.GaussianBlur(lab, (0, 0), 0.8)
    skin, lip = (np.median(even[mask], axis=0) for mask in (ring, core))
    axis = _SCALE * (lip - skin)
    contrast = float(np.linalg.norm(axis))
    trust = float(smoothstep(np.array(contrast), *_CONTRAST))
    if trust == 0:
        return prior
    score = (_SCALE * (even - skin)) @ axis / contrast**2
    likely = smoothstep(score, 0.2, 0.7)
    sure = smoothstep(lips, *_SURE) * smoothstep(mouth, *_SURE)
    reach = smoothstep(lips, -_REACH, -0.4 * _REACH) * smoothstep(mouth, -0.5, 0.5) * seen
    decided = np.maximum(likely, sure) * reach
    return np.asarray(prior + trust * (decided - prior), dtype=np.float32)


def brow_matte(
    lab: FloatArray, brows: FloatArray, prior: FloatArray, fill: float, px_per_mm: float
) -> FloatArray:
    """Return the coverage (h, w) 0..1 of brows: 1 on hairs, ``fill`` on the skin between them.

    Brows move more than the mesh, so dark pixels within some millimeters count as hair.

    Args:
        lab: (h, w, 3) CIELAB.
        brows: (h, w) signed distance to the brows of the mesh, mm, positive inside.
        prior: (h, w) 0..1, zone of possible hairs.
        fill: 0..1, coverage of skin between hairs.
    """
    here = prior > 0.5
    if here.sum() < _FEWEST:
        return np.zeros_like(prior)
    light = lab[..., 0]
    level = _around(light, prior, _LOCAL * px_per_mm)
    skin = _around(light, prior * (light >= level), _LOCAL * px_per_mm)
    dark = smoothstep((skin - light) / np.maximum(skin, 1.0), *_HAIR)
    hair = dark * prior
    reach = max(_BETWEEN * px_per_mm, 0.6)
    near = np.asarray(cv2.GaussianBlur(hair, (0, 0), reach), dtype=np.float32)
    between = smoothstep(near, 0.1, 0.45) * prior * smoothstep(brows, -_BROW_REACH, -2.0)
    return np.asarray(np.maximum(hair, fill * between), dtype=np.float32)


def _around(values: FloatArray, weight: FloatArray, sigma: float) -> FloatArray:
    """Return the weighted mean (h, w) around each pixel, weight (h, w)."""
    total = cv2.GaussianBlur(weight, (0, 0), sigma)
    mean = cv2.GaussianBlur(values * weight, (0, 0), sigma) / np.maximum(total, 1e-4)
    return np.asarray(mean, dtype=np.float32)
