"""Estimate the illumination of a face from its skin: exposure, saturation and color of the light."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tddfa_ros.makeup.color import LUMINANCE, linear_of_lab, to_linear
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.rendering.protocols import in_regions
from tddfa_ros.rendering.shading import image_normals
from tddfa_ros.rendering.skin_color import like_skin, skin_chroma, to_lab
from tddfa_ros.types import FloatArray, ImageBGR, IntArray

_WELL_LIT = 66.0  # L* of a light face in good light
_BRIGHTEST = 80.0  # L* of its brightest parts
_EXPOSURE = (0.35, 1.1)
_LIT_SHARE = 60.0  # percentile of the luminance of skin that counts as well lit
# Linear B/R, G/R and R/R of human skin under white light, from dark to light.
_LEAST_RATIO: FloatArray = np.array([0.10, 0.27, 1.0], np.float32)
_MOST_RATIO: FloatArray = np.array([0.70, 0.80, 1.0], np.float32)
_COLORFUL = 7.0  # chroma of skin in an image with colors; gray images have none
_SAMPLES = 400
_SKIN = ("skin", "nose")


@dataclass(frozen=True, eq=False)
class SkinLight:
    """Illumination of one face.

    Attributes:
        exposure: factor on a pigment's CIELAB. Skin tone and illumination cannot be separated; the geometric mean of the two extremes is a
            compromise, in which the brightest skin counts as much as the typical skin.
        colorful: 0..1, 0 in a gray image.
        skin: (3,) linear B, G, R of the skin where it is well lit, without highlights.
        source: (3,) linear color of the light source, luminance 1. White, unless no human skin has the chromaticity measured.
        chroma: (2,) of the skin, of :func:`tddfa_ros.rendering.skin_color.skin_chroma`.
    """

    exposure: float
    colorful: float
    skin: FloatArray
    source: FloatArray
    chroma: FloatArray | None

    def on_skin(self, lab: FloatArray) -> FloatArray:
        """Return the linear color (..., 3) of a pigment, CIELAB (..., 3), under this illumination."""
        chroma = self.exposure * self.colorful
        seen = linear_of_lab(lab * np.array([self.exposure, chroma, chroma], np.float32))
        return np.asarray(seen * self.source, dtype=np.float32)


def skin_light(image: ImageBGR, model: MorphableModel, vertices: FloatArray) -> SkinLight:
    """Measure the illumination on skin that faces the viewer.

    Args:
        image: (H, W, 3) uint8 BGR.
        vertices: (N, 3) px.
    """
    chosen, around = _skin_samples(model)
    chosen = chosen[image_normals(vertices, around)[chosen, 2] > 0.5]
    x, y = np.rint(vertices[chosen, :2]).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < image.shape[1]) & (y < image.shape[0])
    if not inside.any():
        white = np.ones(3, np.float32)
        return SkinLight(1.0, 1.0, 0.4 * white, white, None)
    samples = image[y[inside], x[inside]]
    lab = to_lab(samples[None])[0]
    chroma = skin_chroma(lab)
    face = like_skin(lab, chroma)
    samples, lab = samples[face], lab[face]
    typical, brightest = np.percentile(lab[:, 0], (50, 95))
    level = np.sqrt(typical / _WELL_LIT * brightest / _BRIGHTEST)
    exposure = float(np.clip(np.sqrt(level), *_EXPOSURE))
    a, b = np.median(lab[:, 1:], axis=0)
    colorful = min(float(np.hypot(a, b)) / _COLORFUL, 1.0)
    skin = _diffuse_color(to_linear(samples[None])[0])
    return SkinLight(exposure, colorful, skin, _source(skin, colorful), chroma)


def _diffuse_color(linear: FloatArray) -> FloatArray:
    """Return the color (3,) of the more saturated half of samples (n, 3), as bright as well lit skin."""
    luminance = np.maximum(linear @ LUMINANCE, 1e-4)
    saturation = linear.min(axis=1) / np.maximum(linear.max(axis=1), 1e-4)
    color = (linear / luminance[:, None])[saturation <= np.median(saturation)].mean(axis=0)
    color /= max(float(color @ LUMINANCE), 1e-4)
    return np.asarray(color * np.percentile(luminance, _LIT_SHARE), dtype=np.float32)


def _source(skin: FloatArray, colorful: float) -> FloatArray:
    """Return the smallest change of white that brings the skin to a chromaticity of human skin, luminance 1."""
    ratio = np.maximum(skin, 1e-3) / max(float(skin[2]), 1e-3)
    source = (ratio / np.clip(ratio, _LEAST_RATIO, _MOST_RATIO)) ** colorful
    return np.asarray(source / float(source @ LUMINANCE), dtype=np.float32)


@lru_cache(maxsize=4)
def _skin_samples(model: MorphableModel) -> tuple[IntArray, IntArray]:
    """Return some hundred vertices spread over the front of the face, and adjacent triangles."""
    front = model.mean[:, 2] > np.median(model.landmarks_of(model.mean)[:, 2]) - 0.03
    skin = np.flatnonzero(in_regions(model, _SKIN) & front)
    chosen = skin[:: max(len(skin) // _SAMPLES, 1)].astype(np.int32)
    return chosen, model.triangles[np.isin(model.triangles, chosen).any(axis=1)]
