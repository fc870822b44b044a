"""Map texels of a UV texture to points of the mesh surface."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ConfigError, ModelError
from tddfa_ros.rendering.protocols import MeshFace, SurfaceModel
from tddfa_ros.rendering.raster import visible_surface
from tddfa_ros.types import FloatArray, IntArray

SIDES = (8, 8192)
"""Range of the side of a texture, px."""


@dataclass(frozen=True, eq=False)
class UvSurface:
    """The surface point of each texel, for one model and size.

    Attributes:
        mask: (u, u) bool, covered texels; row 0 is at v = 1.
        triangles: (k,) triangles of the k covered texels, row by row.
        weights: (k, 3) barycentric coordinates in these.
    """

    mask: NDArray[np.bool_]
    triangles: IntArray
    weights: FloatArray

    def interpolate(self, model: SurfaceModel, values: FloatArray) -> FloatArray:
        """Interpolate values at the vertices (N, C) at the covered texels, (k, C) float32."""
        corners = model.triangles[self.triangles]
        mixed = np.take(values, corners[:, 0], axis=0) * self.weights[:, :1]
        for corner in (1, 2):
            mixed += np.take(values, corners[:, corner], axis=0) * self.weights[:, corner, None]
        return np.asarray(mixed, dtype=np.float32)

    def unroll(self, model: SurfaceModel, values: FloatArray) -> FloatArray:
        """Return a map (u, u, C) of values at the vertices (N, C); 0 at uncovered texels."""
        out = np.zeros((*self.mask.shape, values.shape[1]), dtype=np.float32)
        out[self.mask] = self.interpolate(model, values)
        return out


def uv_pixels(uv: FloatArray, size: int) -> FloatArray:
    """Convert UV coordinates (v up, 0..1) to (N, 3) texture px (y down, z = 0)."""
    flat = np.zeros((len(uv), 3), dtype=np.float32)
    flat[:, 0] = uv[:, 0] * size - 0.5
    flat[:, 1] = (1 - uv[:, 1]) * size - 0.5
    return flat


@lru_cache(maxsize=4)
def uv_surface(model: SurfaceModel, size: int) -> UvSurface:
    """Find the surface point of each texel of a texture of ``size`` px; cached by model and size.

    Raises:
        ConfigError: the size is out of range. ModelError: the model has no texture coordinates.
    """
    if not SIDES[0] <= size <= SIDES[1]:
        raise ConfigError(f"the side of a texture must be {SIDES[0]} to {SIDES[1]} px, not {size}")
    if len(model.uv) != len(model.mean):
        raise ModelError(
            f"{model.name} has {len(model.uv)} uv coordinates for {len(model.mean)} vertices"
        )
    surface = visible_surface(uv_pixels(model.uv, size), model.triangles, (size, size))
    return UvSurface(surface.mask, surface.triangle[surface.mask], surface.weights)


def uv_position_map(face: MeshFace, size: int = 256) -> FloatArray:
    """Return the UV position map: image position of each texel, (size, size, 3) float32 x, y, z px; row 0 is at v = 1.

    As the position map of Feng et al., "Joint 3D Face Reconstruction and Dense Alignment with Position Map Regression Network" (ECCV 2018):
    texels outside the mesh are 0.

    Raises:
        ConfigError: the size is out of range. ModelError: the model has no texture coordinates.
    """
    return uv_surface(face.model, size).unroll(face.model, face.vertices)
