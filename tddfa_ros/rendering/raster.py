"""A z-buffer rasterizer: interpolate per-vertex values over triangles, with a depth map.

Pixel centers lie at integers, y points down, z nearer = larger. A pixel is covered by every triangle whose interior or edge holds its center; the
nearest one is visible, at equal depth the first of the list. Two backends with equal results: loops compiled by Numba, where it is installed
(``pip install numba``), and NumPy. Adjacent triangles compute equal numbers for their shared edge, so a closed surface has no holes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ConfigError
from tddfa_ros.rendering.raster_compiled import compiled_kernels, has_compiler
from tddfa_ros.rendering.raster_numpy import draw_numpy, interpolate_numpy, weights_numpy
from tddfa_ros.types import FloatArray, IntArray

Backend = Literal["auto", "numba", "numpy"]


@dataclass(frozen=True, eq=False)
class Surface:
    """The visible point of a mesh at each pixel.

    Attributes:
        vertices: (N, 3) float32 px.
        triangles: (T, 3) int32.
        depth: (h, w) float32, z of the nearest surface; -inf outside the mesh.
        triangle: (h, w) int32, its triangle; -1 outside the mesh.
        backend: ``numba`` or ``numpy``.
    """

    vertices: FloatArray
    triangles: IntArray
    depth: FloatArray
    triangle: IntArray
    backend: str

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """Coverage by the mesh, (h, w) bool."""
        return self.triangle >= 0

    @cached_property
    def weights(self) -> FloatArray:
        """Barycentric coordinates (k, 3) float32 at the k pixels of ``mask``, row by row; each 0..1, sum 1."""
        rows, columns = np.nonzero(self.mask)
        corners = self.triangles[self.triangle[rows, columns]]
        return weights_numpy(self.vertices, corners, rows, columns)

    def interpolate(self, values: FloatArray) -> FloatArray:
        """Interpolate values at the vertices (N, C) linearly: (h, w, C) float32, 0 outside the mesh."""
        values = np.ascontiguousarray(values, dtype=np.float32)
        draw = compiled_kernels().interpolate if self.backend == "numba" else interpolate_numpy
        return draw(self.vertices, self.triangles, values, self.triangle)


@dataclass(frozen=True, eq=False)
class Raster:
    """A rasterized mesh.

    Attributes:
        values: (h, w, C) float32, interpolated per-vertex values; 0 outside the mesh.
        depth: (h, w) float32, z of the nearest surface; -inf outside the mesh.
    """

    values: FloatArray
    depth: FloatArray

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Coverage by the mesh, (h, w) bool."""
        return np.isfinite(self.depth)


def visible_surface(
    vertices: FloatArray,
    triangles: IntArray,
    shape: tuple[int, int],
    *,
    cull_backfaces: bool = False,
    backend: Backend = "auto",
) -> Surface:
    """Find the nearest triangle at each pixel, under parallel projection along z.

    Args:
        vertices: (N, 3) px, image frame; only differences of z matter. Triangles with NaN or infinity are skipped.
        triangles: (T, 3) int32. Counter-clockwise seen from outside in the model frame (y up).
        shape: (height, width) of the image, px.
        cull_backfaces: skip triangles that face away from the viewer.
        backend: ``auto`` selects Numba where it is installed.

    Raises:
        ConfigError: the backend is unknown, or Numba is selected but not installed.
    """
    vertices = np.ascontiguousarray(vertices, dtype=np.float32)
    triangles = np.ascontiguousarray(triangles, dtype=np.int32)
    name = _chosen(backend)
    draw: Any = compiled_kernels().draw if name == "numba" else draw_numpy
    depth, triangle = draw(vertices, triangles, int(shape[0]), int(shape[1]), cull_backfaces)
    return Surface(vertices, triangles, depth, triangle, name)


def rasterize(
    vertices: FloatArray,
    triangles: IntArray,
    values: FloatArray,
    shape: tuple[int, int],
    *,
    cull_backfaces: bool = False,
    backend: Backend = "auto",
) -> Raster:
    """Rasterize a mesh: :func:`visible_surface` with interpolated per-vertex ``values`` (N, C) float32, such as colors or normals."""
    surface = visible_surface(
        vertices, triangles, shape, cull_backfaces=cull_backfaces, backend=backend
    )
    return Raster(surface.interpolate(values), surface.depth)


def _chosen(backend: Backend) -> str:
    if backend not in ("auto", "numba", "numpy"):
        raise ConfigError(f"the raster backend must be auto, numba or numpy, not {backend!r}")
    available = has_compiler()
    if backend == "numba" and not available:
        raise ConfigError("the raster backend numba needs the package numba: pip install numba")
    return "numpy" if backend == "numpy" or not available else "numba"
