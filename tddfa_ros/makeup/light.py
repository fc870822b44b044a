"""Estimate the illumination of a face from its skin: exposure and saturation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tddfa_ros.makeup.color import to_lab
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.rendering.protocols import in_regions
from tddfa_ros.rendering.shading import image_normals
from tddfa_ros.types import FloatArray, ImageBGR, IntArray

_WELL_LIT = 66.0  # L* of a light face in good light
_EXPOSURE = (0.35, 1.1)
_COLORFUL = 7.0  # chroma of skin in an image with colors; gray images have none
_SAMPLES = 400
_SKIN = ("skin", "nose")


@dataclass(frozen=True)
class SkinLight:
    """Illumination of one face.

    Attributes:
        level: median L* of the skin, 0..100.
        exposure: factor on a pigment's CIELAB. Skin tone and illumination cannot be separated; the square root of the lightness is a
            compromise.
        colorful: 0..1, 0 in a gray image.
    """

    level: float
    exposure: float
    colorful: float

    def on_skin(self, lab: FloatArray) -> FloatArray:
        """Return the CIELAB (..., 3) of a pigment under this illumination."""
        chroma = self.exposure * self.colorful
        return np.asarray(lab * np.array([self.exposure, chroma, chroma]), dtype=np.float32)


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
        return SkinLight(_WELL_LIT, 1.0, 1.0)
    lab = np.median(to_lab(image[y[inside], x[inside]][None].astype(np.float32))[0], axis=0)
    level = float(lab[0])
    exposure = float(np.clip(np.sqrt(level / _WELL_LIT), *_EXPOSURE))
    return SkinLight(level, exposure, min(float(np.hypot(lab[1], lab[2])) / _COLORFUL, 1.0))


@lru_cache(maxsize=4)
def _skin_samples(model: MorphableModel) -> tuple[IntArray, IntArray]:
    """Return some hundred vertices spread over the front of the face, and adjacent triangles."""
    front = model.mean[:, 2] > np.median(model.landmarks_of(model.mean)[:, 2]) - 0.03
    skin = np.flatnonzero(in_regions(model, _SKIN) & front)
    chosen = skin[:: max(len(skin) // _SAMPLES, 1)].astype(np.int32)
    return chosen, model.triangles[np.isin(model.triangles, chosen).any(axis=1)]
