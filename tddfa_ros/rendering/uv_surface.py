"""The texture's square as an image of the surface: which point of the mesh each texel is."""

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
"""Smallest and largest side of a texture, px."""


@dataclass(frozen=True, eq=False)
class UvSurface:
    """Which point of the surface each texel is, for one model and one size.

    Attributes:
        mask: (u, u) bool, where there is a surface; row 0 is at v = 1.
        triangles: (k,) of the k covered texels, row by row; weights: (k, 3) barycentric.
    """

    mask: NDArray[np.bool_]
    triangles: IntArray
    weights: FloatArray

    def interpolate(self, model: SurfaceModel, values: FloatArray) -> FloatArray:
        """Values at the vertices (N, C) at the covered texels, (k, C) float32."""
        corners = model.triangles[self.triangles]
        mixed = np.take(values, corners[:, 0], axis=0) * self.weights[:, :1]
        for corner in (1, 2):
            mixed += np.take(values, corners[:, corner], axis=0) * self.weights[:, corner, None]
        return np.asarray(mixed, dtype=np.float32)

    def unroll(self, model: SurfaceModel, values: FloatArray) -> FloatArray:
        """Map (u, u, C) of values at the vertices (N, C); 0 at texels without a surface."""
        out = np.zeros((*self.mask.shape, values.shape[1]), dtype=np.float32)
        out[self.mask] = self.interpolate(model, values)
        return out


def uv_pixels(uv: FloatArray, size: int) -> FloatArray:
    """UV coordinates (v up, 0..1) as (N, 3) texture pixels (y down, z = 0)."""
    flat = np.zeros((len(uv), 3), dtype=np.float32)
    flat[:, 0] = uv[:, 0] * size - 0.5
    flat[:, 1] = (1 - uv[:, 1]) * size - 0.5
    return flat


@lru_cache(maxsize=4)
def uv_surface(model: SurfaceModel, size: int) -> UvSurface:
    """Find the surface point of each texel of a texture of ``size`` px; computed once for a model and a size.

    Raises:
        ConfigError: the size is impossible. ModelError: the model has no texture coordinates.
    """
    if not SIDES[0] <= size <= SIDES[1]:
        raise ConfigError(f"a texture has {SIDES[0]} to {SIDES[1]} px, not {size}")
    if len(model.uv) != len(model.mean):
        raise ModelError(
            f"{model.name} has {len(model.uv)} uv coordinates for {len(model.mean)} vertices"
        )
    surface = visible_surface(uv_pixels(model.uv, size), model.triangles, (size, size))
    return UvSurface(surface.mask, surface.triangle[surface.mask], surface.weights)


def uv_position_map(face: MeshFace, size: int = 256) -> FloatArray:
    """Where in the image each texel lies, (size, size, 3) float32 x, y, z px; row 0 is at v = 1.

    As the position map of Feng et al., "Joint 3D Face Reconstruction and Dense Alignment with Position Map Regression Network" (ECCV 2018):
    0 at texels that belong to no triangle.

    Raises:
        ConfigError: the size is impossible. ModelError: the model has no texture coordinates.
    """
    return uv_surface(face.model, size).unroll(face.model, face.vertices)
