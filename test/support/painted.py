"""A face of the default model, and a synthetic image of it: uniform skin color, lit from one side."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from numpy.typing import NDArray

from tddfa_ros.config import RegressionConfig
from tddfa_ros.errors import ModelError
from tddfa_ros.face import Face
from tddfa_ros.geometry.pose import compose, rotation_from_yaw_pitch_roll
from tddfa_ros.model_store.store import default_store
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.rendering.raster import rasterize
from tddfa_ros.rendering.shading import image_normals, lambert

SIDE = 480
PX_PER_MM = 2.0
SKIN = np.array([140, 165, 205], np.float32)  # BGR
BACKGROUND = 70


@functools.lru_cache(maxsize=1)
def head_model() -> MorphableModel:
    """Return the default morphable model; skip the test if it is missing."""
    try:
        return MorphableModel.load(default_store().path(RegressionConfig().morphable_model))
    except ModelError as error:
        pytest.skip(f"the default morphable model is not here: {error}")


def face_at(
    yaw: float = 0.0, pitch: float = 0.0, model: MorphableModel | None = None, **expression: float
) -> Face:
    """Return a mean face at ``PX_PER_MM`` px per mm, centered in an image of ``SIDE`` px."""
    model = model or head_model()
    params = np.zeros(model.layout.size, np.float32)
    roi = np.array([0, 0, SIDE, SIDE], np.float64)
    scale = PX_PER_MM * 1000 * 120 / SIDE
    rotation = rotation_from_yaw_pitch_roll(np.array([yaw, pitch, 0.0]))
    params[:12] = compose(scale, rotation, np.array([60.5, 60.0, 0.0])).ravel()
    start = model.layout.expression_slice.start
    for name, value in expression.items():
        params[start + model.expression_names.index(name)] = value
    return Face(roi, 1.0, params, roi, model)


def portrait(face: Face) -> NDArray[np.uint8]:
    """Render (SIDE, SIDE, 3) uint8 BGR: the face in shaded skin color, including the inner mouth, on a gray background."""
    light = lambert(image_normals(face.vertices, face.model.triangles), light=(0.8, 0.3, 0.6))
    colors = light[:, None] * SKIN
    drawn = rasterize(face.vertices, face.model.triangles, colors, (SIDE, SIDE))
    return np.where(drawn.mask[..., None], np.rint(drawn.values), BACKGROUND).astype(np.uint8)


def changed(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return a mask (h, w) of the pixels that differ."""
    return np.asarray((before != after).any(axis=2))
