"""Texture of an exported mesh: the image of the face, and eyeballs with irises of the person's color."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np

from tddfa_ros.gaze.iris_fit import find_irises, iris_color
from tddfa_ros.rendering.irises import with_eyes
from tddfa_ros.rendering.texture import uv_texture
from tddfa_ros.types import FloatArray, ImageBGR


class FaceWithParams(Protocol):
    """A face as parameters and as a mesh in an image, px."""

    @property
    def vertices(self) -> FloatArray: ...

    @property
    def params(self) -> FloatArray: ...

    @property
    def model(self) -> Any: ...


def mesh_texture(
    face: FaceWithParams, image: ImageBGR, size: int = 512, iris: FloatArray | None = None
) -> ImageBGR:
    """Return the texture (size, size, 3) uint8 BGR of a mesh that is to be exported.

    Args:
        face: the face.
        image: (H, W, 3) uint8 BGR, the image of the face.
        size: side of the texture, px.
        iris: (3,) BGR 0..255 of the irises; None = measured in the image, and brown where the eyes are closed or too small.

    Raises:
        ImageError: the image is invalid. ModelError: the model has no UV map.
    """
    texture = uv_texture(face, image, size).image
    return with_eyes(texture, face.model, measured_iris(face, image) if iris is None else iris)


def measured_iris(face: FaceWithParams, image: ImageBGR) -> FloatArray | None:
    """Return the color (3,) BGR 0..255 of the irises of a face in an image; None where it cannot be measured.

    Raises:
        ImageError: the image is invalid.
    """
    model, vertices = face.model, np.asarray(face.vertices, dtype=np.float64)
    if not np.isfinite(vertices).all():
        return None
    eyes = SimpleNamespace(
        landmarks68=model.landmarks_of(vertices.astype(np.float32)), params=face.params, model=model
    )
    return iris_color(find_irises(image, eyes))
