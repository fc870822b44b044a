"""Eyes in edited images: color of the eyeball, and contour of the upper lid."""

from __future__ import annotations

import cv2
import numpy as np

from tddfa_ros.editing.layers import relit
from tddfa_ros.editing.openings import Opening, Patch
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.types import FloatArray, IntArray

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
    skin: FloatArray,
) -> FloatArray:
    """Render a generic eyeball, (h, w, 3) BGR 0..255, for eyes that are closed in the source image.

    Args:
        vertices: (N, 3) the head in image px.
        covered: (h, w) coverage of each pixel by the eyeball, 0..1.
        skin: (3,) BGR of the surrounding skin, to adapt the illumination.
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
    return relit(color * shade[..., None], skin)


def _disc(radius: FloatArray, size: float) -> FloatArray:
    return np.clip((size - radius) / _SOFT + 0.5, 0, 1)


def upper_lid(model: MorphableModel, opening: Opening) -> IntArray:
    """Return the vertices (k,) of the upper lid margin, in order: where the skin ends in front of the eyeball."""
    _, joined = np.unique(np.round(model.mean * 1e6), axis=0, return_inverse=True)
    sides = model.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    key = np.sort(joined.ravel()[sides], axis=1)
    _, first, counts = np.unique(key, axis=0, return_index=True, return_counts=True)
    rim = sides[first[counts == 1]]
    rim = np.unique(rim[opening.around[rim].all(axis=1)])
    if len(rim) < 4:
        return np.zeros(0, dtype=np.int32)
    x, y = model.mean[rim, 0], model.mean[rim, 1]
    outer, inner = x.argmin(), x.argmax()
    above = y >= np.interp(x, x[[outer, inner]], y[[outer, inner]])
    return np.asarray(rim[above][np.argsort(x[above])], dtype=np.int32)
