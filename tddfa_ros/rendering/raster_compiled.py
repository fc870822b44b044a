"""Rasterizer and vertex normals for Numba: loops in the Python subset that Numba compiles."""

from __future__ import annotations

import functools
import importlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tddfa_ros.types import FloatArray, IntArray


@dataclass(frozen=True)
class Kernels:
    """The loops: nearest triangle per pixel, interpolation, and vertex normals."""

    draw: Any
    interpolate: Any
    normals: Any


def has_compiler() -> bool:
    """Return whether Numba is installed and supports this NumPy."""
    return _numba() is not None


@functools.lru_cache(maxsize=1)
def compiled_kernels() -> Kernels:
    """Compile the loops, once, in some seconds; Numba caches the result on disk where it can write.

    Raises:
        ModuleNotFoundError: Numba is not installed.
    """
    numba = _numba()
    if numba is None:
        raise ModuleNotFoundError("numba")
    types = numba.types
    # A signature of read-only arrays accepts all arrays, so one is enough.
    floats = types.Array(types.float32, 2, "C", readonly=True)
    indices = types.Array(types.int32, 2, "C", readonly=True)
    options = {"nogil": True, "error_model": "numpy"}

    def compiled(signature: tuple[Any, ...], loops: Any) -> Any:
        try:
            return numba.njit(signature, cache=True, **options)(loops)
        except RuntimeError:  # no writable cache folder
            return numba.njit(signature, **options)(loops)

    return Kernels(
        compiled((floats, indices, types.int64, types.int64, types.boolean), draw),
        compiled((floats, indices, floats, indices), interpolate),
        compiled((floats, indices), normals),
    )


@functools.lru_cache(maxsize=1)
def _numba() -> Any:
    """Import Numba; None where it is not installed or does not support this NumPy."""
    try:
        return importlib.import_module("numba")
    except ImportError:
        return None


def draw(
    vertices: FloatArray, triangles: IntArray, height: int, width: int, cull: bool
) -> tuple[FloatArray, IntArray]:
    """Return depth (height, width) float32, -inf outside, and triangle (height, width) int32, -1 outside.

    Scanline order. Corners are sorted by y, so that both triangles of an edge evaluate it from the same end.
    """
    depth = np.full((height, width), -np.inf, dtype=np.float32)
    owner = np.full((height, width), -1, dtype=np.int32)
    for t in range(len(triangles)):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, az = float(vertices[a, 0]), float(vertices[a, 1]), float(vertices[a, 2])
        bx, by, bz = float(vertices[b, 0]), float(vertices[b, 1]), float(vertices[b, 2])
        cx, cy, cz = float(vertices[c, 0]), float(vertices[c, 1]), float(vertices[c, 2])
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if not (abs(area) > 0 and math.isfinite(area + az + bz + cz)) or (cull and area > 0):
            continue
        x_slope = ((bz - az) * (cy - ay) - (cz - az) * (by - ay)) / area
        y_slope = ((cz - az) * (bx - ax) - (bz - az) * (cx - ax)) / area
        lowest, highest = min(az, bz, cz), max(az, bz, cz)
        px, py, pz = ax, ay, az
        if by < ay:
            ax, ay, bx, by = bx, by, ax, ay
        if cy < by:
            bx, by, cx, cy = cx, cy, bx, by
            if by < ay:
                ax, ay, bx, by = bx, by, ax, ay
        first = max(math.ceil(ay), 0.0)
        last = min(math.floor(cy), height - 1.0)
        if first > last:
            continue
        long_slope = (cx - ax) / (cy - ay)
        upper_slope = (bx - ax) / (by - ay) if by > ay else 0.0
        lower_slope = (cx - bx) / (cy - by) if cy > by else 0.0
        for row in range(int(first), int(last) + 1):
            one = cx if row == cy else ax + (row - ay) * long_slope
            if row == by:
                two = bx
            elif row < by:
                two = ax + (row - ay) * upper_slope
            else:
                two = cx if row == cy else bx + (row - by) * lower_slope
            left = max(math.ceil(min(one, two)), 0.0)
            right = min(math.floor(max(one, two)), width - 1.0)
            if left > right:
                continue
            at_row = pz + (row - py) * y_slope
            before = left - px
            for step in range(int(right) - int(left) + 1):
                z = np.float32(min(max(at_row + (before + step) * x_slope, lowest), highest))
                column = int(left) + step
                if z > depth[row, column]:
                    depth[row, column] = z
                    owner[row, column] = t
    return depth, owner


def interpolate(
    vertices: FloatArray, triangles: IntArray, values: FloatArray, owner: IntArray
) -> FloatArray:
    """Interpolate values (N, C) at the pixels (height, width) of the visible triangles: (height, width, C) float32."""
    height, width = owner.shape
    channels = values.shape[1]
    out = np.zeros((height, width, channels), dtype=np.float32)
    for row in range(height):
        for column in range(width):
            t = owner[row, column]
            if t < 0:
                continue
            a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            ax, ay = float(vertices[a, 0]), float(vertices[a, 1])
            abx, aby = vertices[b, 0] - ax, vertices[b, 1] - ay
            acx, acy = vertices[c, 0] - ax, vertices[c, 1] - ay
            area = abx * acy - acx * aby
            v = ((column - ax) * acy - acx * (row - ay)) / area
            w = (abx * (row - ay) - (column - ax) * aby) / area
            v = min(max(v, 0.0), 1.0)
            w = min(max(w, 0.0), 1.0 - v)
            u = 1.0 - v - w
            for k in range(channels):
                out[row, column, k] = u * values[a, k] + v * values[b, k] + w * values[c, k]
    return out


def normals(vertices: FloatArray, triangles: IntArray) -> FloatArray:
    """Return the area-weighted unit normals (N, 3) float32 of the vertices; zero where no triangle has an area."""
    sums = np.zeros((len(vertices), 3), dtype=np.float64)
    for t in range(len(triangles)):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, az = vertices[a, 0], vertices[a, 1], vertices[a, 2]
        ux, uy, uz = vertices[b, 0] - ax, vertices[b, 1] - ay, vertices[b, 2] - az
        vx, vy, vz = vertices[c, 0] - ax, vertices[c, 1] - ay, vertices[c, 2] - az
        x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in (a, b, c):
            sums[corner, 0] += x
            sums[corner, 1] += y
            sums[corner, 2] += z
    out = np.zeros((len(vertices), 3), dtype=np.float32)
    for n in range(len(vertices)):
        x, y, z = sums[n, 0], sums[n, 1], sums[n, 2]
        length = math.sqrt(x * x + y * y + z * z)
        if length > 0:
            out[n, 0], out[n, 1], out[n, 2] = x / length, y / length, z / length
    return out
