"""Eyes in edited images: color of the eyeball."""

from __future__ import annotations

import cv2
import numpy as np

from tddfa_ros.editing.layers import Light, relit
from tddfa_ros.editing.openings import Opening, Patch
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.types import FloatArray

_WHITE = np.array([196, 202, 210], np.float32)  # BGR
_IRIS = np.array([48, 66, 92], np.float32)
_PUPIL = np.array([14, 14, 16], np.float32)
_IRIS_RADIUS, _PUPIL_RADIUS = 0.0058, 0.0021  # m
_SOFT = 0.0004  # m


def eye_colors(
    model: MorphableModel,
    opening: Opening,
    vertices: FloatArray,
    patch: Patch,
    covered: FloatArray,
    light: Light,
) -> FloatArray:
    """Render a generic eyeball, (h, w, 3) BGR 0..255, for eyes that are closed in the source image.

    Args:
        vertices: (N, 3) the head in image px.
        covered: (h, w) coverage of each pixel by the eyeball, 0..1.
        light: illumination of the face.
    """
    center = model.mean[opening.inside].mean(axis=0)
    triangles = model.triangles[opening.inside[model.triangles].all(axis=1)]
    # Interpolate rest positions, not colors: the mesh is coarser than a pupil.
    at_rest = patch.draw(vertices, triangles, model.mean - center)
    radius = np.hypot(at_rest[..., 0], at_rest[..., 1])
    iris = _disc(radius, _IRIS_RADIUS)[..., None]
    pupil = _disc(radius, _PUPIL_RADIUS)[..., None]
    color = _WHITE * (1 - iris) + _IRIS * iris * (1 - pupil) + _PUPIL * iris * pupil
    inward = cv2.distanceTransform((covered > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
    shade = 0.55 + 0.45 * np.clip(inward / max(0.08 * patch.width, 1.0), 0, 1)
    return relit(color * shade[..., None], light)


def _disc(radius: FloatArray, size: float) -> FloatArray:
    return np.clip((size - radius) / _SOFT + 0.5, 0, 1)
