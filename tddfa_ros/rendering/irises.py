"""Irises and pupils on the eyeballs of a morphable model, as colors of texels."""

from __future__ import annotations

import cv2
import numpy as np

from tddfa_ros.rendering.protocols import SurfaceModel, in_regions
from tddfa_ros.rendering.uv_surface import uv_surface
from tddfa_ros.types import FloatArray, ImageBGR

EYES = ("left_eye", "right_eye")
"""Regions of the eyeballs, the person's own left first."""

IRIS_RADIUS, PUPIL_RADIUS = 0.0059, 0.0019
"""m; the iris of adults is 11.7 mm wide with little variation."""

BROWN = (58.0, 82.0, 112.0)
"""BGR 0..255 of an iris whose color is not known."""

_SCLERA = np.array([212, 216, 222], np.float32)
_VEINS = np.array([176, 178, 214], np.float32)
_PUPIL = np.array([16, 14, 14], np.float32)
_SOFT = 0.00035  # m
_LIMBUS = 0.62  # brightness of the dark ring at the edge of the iris


def with_eyes(texture: ImageBGR, model: SurfaceModel, iris: FloatArray | None = None) -> ImageBGR:
    """Return a texture with eyeballs painted: sclera, iris and pupil that look straight ahead at rest.

    Args:
        texture: (s, s, 3) uint8 BGR, row 0 at v = 1.
        model: the morphable model; one without eyeballs returns the texture unchanged.
        iris: (3,) BGR 0..255; None = brown.
    """
    out = texture.astype(np.float32)
    surface = uv_surface(model, len(texture))
    for name in EYES:
        inside = in_regions(model, (name,))
        if not inside.any():
            continue
        share = surface.unroll(model, inside.astype(np.float32)[:, None])[..., 0]
        chosen = share > 0.5
        points = surface.unroll(model, model.mean)[chosen]
        colors = np.zeros_like(out)
        colors[chosen] = eyeball_colors(points, model.mean[inside], iris)
        # Texels next to the seams of the eyeball get its color, too, or the gap would shine through.
        wide = cv2.dilate(chosen.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        spread = cv2.dilate(colors, np.ones((5, 5), np.uint8))
        ring = wide & ~chosen & ~surface.mask
        out[chosen], out[ring] = colors[chosen], spread[ring]
    return np.clip(np.rint(out), 0, 255).astype(np.uint8)


def eyeball_colors(
    points: FloatArray, eyeball: FloatArray, iris: FloatArray | None = None
) -> FloatArray:
    """Return the BGR colors (n, 3) 0..255 of points (n, 3), m, of an eyeball with vertices (k, 3), m, looking along +z."""
    center = (eyeball.min(axis=0) + eyeball.max(axis=0)) / 2
    color = np.asarray(BROWN if iris is None else iris, dtype=np.float32)
    offset = points - center
    radius = np.where(offset[:, 2] > 0, np.hypot(offset[:, 0], offset[:, 1]), 1.0)
    inside, pupil = (_disc(radius, size)[:, None] for size in (IRIS_RADIUS, PUPIL_RADIUS))
    place = np.clip(radius / IRIS_RADIUS, 0, 1)[:, None]
    angle = np.arctan2(offset[:, 1], offset[:, 0])[:, None]
    fibers = 1 + 0.10 * np.sin(31 * angle) * np.sin(9 * place) + 0.06 * np.sin(53 * angle)
    limbus = np.where(place > 0.82, 1 - (1 - _LIMBUS) * (place - 0.82) / 0.18, 1.0)
    away = np.clip((radius[:, None] - IRIS_RADIUS) / 0.008, 0, 1)
    white = _SCLERA * (1 - 0.5 * away) + _VEINS * 0.5 * away
    colored = color * fibers * limbus * (1.1 - 0.25 * (1 - place))
    out = white * (1 - inside) + inside * (colored * (1 - pupil) + _PUPIL * pupil)
    return np.clip(out, 0, 255).astype(np.float32)


def _disc(radius: FloatArray, size: float) -> FloatArray:
    return np.clip((size - radius) / _SOFT + 0.5, 0, 1)
