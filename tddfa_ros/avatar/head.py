"""The avatar's head: the mean of the morphable model with its expressions, as GLB."""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import numpy as np

from tddfa_ros.export import write_glb
from tddfa_ros.face import Face
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.rendering.irises import with_eyes
from tddfa_ros.rendering.shading import evened
from tddfa_ros.rendering.uv_surface import uv_surface
from tddfa_ros.types import FloatArray, ImageBGR

_TEXTURE = 1024
_GRAY = (0.72, 0.72, 0.72)
_COLORS = {  # BGR, 0..1; what is not named is skin
    "left_brow": (0.25, 0.30, 0.38),
    "right_brow": (0.25, 0.30, 0.38),
    "left_eye": (0.95, 0.95, 0.95),
    "right_eye": (0.95, 0.95, 0.95),
    "upper_lip": (0.46, 0.47, 0.74),
    "lower_lip": (0.46, 0.47, 0.74),
    "inner_mouth": (0.16, 0.16, 0.34),
    "tongue": (0.38, 0.38, 0.62),
}
_SKIN = (0.63, 0.72, 0.86)
_IRIS, _PUPIL = (0.42, 0.33, 0.24), (0.08, 0.07, 0.07)
# Half angles at the center of an eyeball of 12 mm, whose iris is 12 mm and whose pupil is 4 mm wide, rad.
_IRIS_ANGLE, _PUPIL_ANGLE = 0.42, 0.17


def head_glb(model: MorphableModel) -> bytes:
    """Build the mean head as GLB, one morph target per expression, colored by region.

    Raises:
        TddfaError: pygltflib is not installed.
    """
    nowhere = np.zeros(4, dtype=np.float32)
    neutral = Face(nowhere, 1.0, np.zeros(model.layout.size, dtype=np.float32), nowhere, model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "head.glb"
        write_glb(path, neutral, _texture(model) if len(model.uv) else None)
        return path.read_bytes()


def _texture(model: MorphableModel) -> ImageBGR:
    surface = uv_surface(model, _TEXTURE)
    unrolled = surface.unroll(model, vertex_colors(model))
    # Neighbors of the seams get their color, too, so that none shines through where a texture is shrunk.
    grown = cv2.dilate(unrolled, np.ones((9, 9), np.uint8))
    colors = np.where(surface.mask[..., None], unrolled, grown)
    return with_eyes(np.asarray(np.clip(colors, 0, 1) * 255, dtype=np.uint8), model)


def vertex_colors(model: MorphableModel) -> FloatArray:
    """Return BGR colors (N, 3) float32 0..1: by region, with irises on the eyeballs toward +z."""
    if not model.region_names:
        return np.tile(np.array(_GRAY, dtype=np.float32), (len(model.mean), 1))
    table = np.array([_COLORS.get(name, _SKIN) for name in model.region_names], dtype=np.float32)
    colors = evened(table[model.regions], model.triangles)
    for eye in ("left_eye", "right_eye"):
        if eye not in model.region_names:
            continue
        ball = np.flatnonzero(model.regions == model.region_names.index(eye))
        ways = model.mean[ball] - model.mean[ball].mean(axis=0)
        angles = np.arccos(np.clip(ways[:, 2] / np.linalg.norm(ways, axis=1), -1, 1))
        colors[ball[angles < _IRIS_ANGLE]] = _IRIS
        colors[ball[angles < _PUPIL_ANGLE]] = _PUPIL
    return colors
