"""A z-buffer rasterizer: triangles and per-vertex values in, an image of interpolated values and a depth map out.

Pixel centers lie at integers, y points down, z nearer = larger. A pixel belongs to every triangle that its center is in or on the edge of; the
nearest of them is seen, and of equally near ones the first of the list. Two programs draw exactly this: loops that Numba compiles, where it is
installed (``pip install numba``), and NumPy. Neighbors compute the same numbers for the edge they share, so a closed surface has no holes.
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
    """Which point of a mesh is seen at each pixel.

    Attributes:
        vertices: (N, 3) float32 px and triangles: (T, 3) int32 that were drawn.
        depth: (h, w) float32, z of the nearest surface; -inf where there is no mesh.
        triangle: (h, w) int32, its triangle; -1 where there is no mesh.
        backend: the program that drew it, ``numba`` or ``numpy``.
    """

    vertices: FloatArray
    triangles: IntArray
    depth: FloatArray
    triangle: IntArray
    backend: str

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """(h, w) bool: where the mesh is."""
        return self.triangle >= 0

    @cached_property
    def weights(self) -> FloatArray:
        """(k, 3) float32 barycentric coordinates at the k pixels of ``mask``, row by row; each 0..1, sum 1."""
        rows, columns = np.nonzero(self.mask)
        corners = self.triangles[self.triangle[rows, columns]]
        return weights_numpy(self.vertices, corners, rows, columns)

    def interpolate(self, values: FloatArray) -> FloatArray:
        """Values at the vertices (N, C), linear between them: (h, w, C) float32, 0 where there is no mesh."""
        values = np.ascontiguousarray(values, dtype=np.float32)
        draw = compiled_kernels().interpolate if self.backend == "numba" else interpolate_numpy
        return draw(self.vertices, self.triangles, values, self.triangle)


@dataclass(frozen=True, eq=False)
class Raster:
    """What a mesh looks like from the camera.

    Attributes:
        values: (h, w, C) float32, the interpolated per-vertex values; 0 where there is no mesh.
        depth: (h, w) float32, z of the nearest surface; -inf where there is no mesh.
    """

    values: FloatArray
    depth: FloatArray

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(h, w) bool: where the mesh is."""
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
        vertices: (N, 3) px, image frame; only differences of z matter. Triangles with NaN or infinity are left out.
        triangles: (T, 3) int32. Counter-clockwise seen from outside in the model frame (y up).
        shape: (height, width) of the image, px.
        cull_backfaces: leave out triangles that turn their back on the viewer.
        backend: the program that draws; ``auto``: Numba where it is installed.

    Raises:
        ConfigError: Numba is asked for and not installed.
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
    """Draw a mesh: :func:`visible_surface`, with values (N, C) at the vertices interpolated over it.

    ``values`` are float32 and anything: colors, texture coordinates, normals.
    """
    surface = visible_surface(
        vertices, triangles, shape, cull_backfaces=cull_backfaces, backend=backend
    )
    return Raster(surface.interpolate(values), surface.depth)


def _chosen(backend: Backend) -> str:
    if backend not in ("auto", "numba", "numpy"):
        raise ConfigError(f"a raster backend is auto, numba or numpy, not {backend!r}")
    available = has_compiler()
    if backend == "numba" and not available:
        raise ConfigError("the raster backend numba needs the package numba: pip install numba")
    return "numpy" if backend == "numpy" or not available else "numba"
