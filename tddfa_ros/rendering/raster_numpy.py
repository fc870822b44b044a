"""Rasterizer backend for NumPy: equal to ``raster_compiled``, vectorized over the rows of all triangles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.types import DoubleArray, FloatArray, IntArray

_Index = NDArray[np.intp]
_CHUNK = 1 << 20  # rows of triangles, and pixels, that are held in memory at once


def draw_numpy(
    vertices: FloatArray, triangles: IntArray, height: int, width: int, cull: bool
) -> tuple[FloatArray, IntArray]:
    """Return depth (height, width) float32, -inf outside, and triangle (height, width) int32, -1 outside."""
    depth = np.full(height * width, -np.inf, dtype=np.float32)
    owner = np.full(height * width, -1, dtype=np.int32)
    corners = vertices[triangles].astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        area = _area(corners)
        finite = np.isfinite(area + corners[..., 2].sum(axis=1))
    first = np.maximum(np.ceil(corners[..., 1].min(axis=1, initial=np.inf)), 0)
    last = np.minimum(np.floor(corners[..., 1].max(axis=1, initial=-np.inf)), height - 1)
    kept = np.flatnonzero(finite & ((area < 0) if cull else (area != 0)) & (first <= last))
    count = (last[kept] - first[kept] + 1).astype(np.intp)
    for part in _parts(count):
        chosen = kept[part]
        _draw_rows(
            corners[chosen],
            area[chosen],
            chosen,
            first[chosen],
            count[part],
            width,
            depth,
            owner,
        )
    return depth.reshape(height, width), owner.reshape(height, width)


def weights_numpy(
    vertices: FloatArray, corners: IntArray, rows: _Index, columns: _Index
) -> FloatArray:
    """Return barycentric coordinates (k, 3) float32 of pixels (k,) in triangles with corners (k, 3)."""
    x, y = vertices[:, 0].astype(np.float64), vertices[:, 1].astype(np.float64)
    a, b, c = corners.T
    ax, ay = x[a], y[a]
    abx, aby, acx, acy = x[b] - ax, y[b] - ay, x[c] - ax, y[c] - ay
    px, py = columns - ax, rows - ay
    area = abx * acy - acx * aby
    v = np.clip((px * acy - acx * py) / area, 0, 1)
    w = np.clip((abx * py - px * aby) / area, 0, 1 - v)
    return np.stack([1 - v - w, v, w], axis=1).astype(np.float32)


def interpolate_numpy(
    vertices: FloatArray, triangles: IntArray, values: FloatArray, owner: IntArray
) -> FloatArray:
    """Interpolate values (N, C) at the pixels (height, width) of the visible triangles: (height, width, C) float32."""
    out = np.zeros((*owner.shape, values.shape[1]), dtype=np.float32)
    rows, columns = np.nonzero(owner >= 0)
    corners = triangles[owner[rows, columns]]
    weights = weights_numpy(vertices, corners, rows, columns)
    mixed = np.take(values, corners[:, 0], axis=0) * weights[:, :1]
    for corner in (1, 2):
        mixed += np.take(values, corners[:, corner], axis=0) * weights[:, corner, None]
    out[rows, columns] = mixed
    return out


def _area(corners: DoubleArray) -> DoubleArray:
    """Return twice the signed area (T,) of triangles (T, 3, 3) in the image; negative = facing the viewer, as y points down."""
    ab, ac = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.asarray(ab[:, 0] * ac[:, 1] - ac[:, 0] * ab[:, 1])


def _parts(count: _Index) -> list[slice]:
    """Yield slices of a list so that each slice fits into a memory chunk or is one entry."""
    if len(count) == 0:
        return []
    chunk = np.cumsum(count) // _CHUNK
    starts = np.flatnonzero(np.diff(chunk, prepend=-1))
    return [slice(int(a), int(b)) for a, b in zip(starts, [*starts[1:], len(count)], strict=True)]


def _draw_rows(
    corners: DoubleArray,
    area: DoubleArray,
    names: _Index,
    first: DoubleArray,
    count: _Index,
    width: int,
    depth: FloatArray,
    owner: IntArray,
) -> None:
    """Draw triangles (t, 3, 3) with the rows ``first .. first + count - 1`` each; ``names`` go into ``owner``."""
    of = np.repeat(np.arange(len(count)), count)
    row = (np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count)) + first[of]
    left, right = _spans(corners, of, row)
    np.maximum(left, 0, out=left)
    np.minimum(right, width - 1, out=right)
    drawn = np.flatnonzero(left <= right)
    of, row, left = of[drawn], row[drawn], left[drawn]
    length = (right[drawn] - left + 1).astype(np.intp)
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = np.moveaxis(corners, 0, 2)
    x_slope = ((bz - az) * (cy - ay) - (cz - az) * (by - ay)) / area
    y_slope = ((cz - az) * (bx - ax) - (bz - az) * (cx - ax)) / area
    lowest, highest = corners[..., 2].min(axis=1), corners[..., 2].max(axis=1)
    at_row = az[of] + (row - ay[of]) * y_slope[of]
    before_left = left - ax[of]
    start = (row * width + left).astype(np.intp)
    for part in _parts(length):
        span = np.repeat(np.arange(part.start, part.stop), length[part])
        step = np.arange(len(span)) - np.repeat(
            np.cumsum(length[part]) - length[part], length[part]
        )
        mine = of[span]
        z = at_row[span] + (before_left[span] + step) * x_slope[mine]
        np.clip(z, lowest[mine], highest[mine], out=z)
        _keep_nearest(start[span] + step, z.astype(np.float32), names[mine], depth, owner)


def _spans(corners: DoubleArray, of: _Index, row: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    """Return the first and last column, as float, of each row of a triangle."""
    order = np.argsort(corners[..., 1], axis=1, kind="stable")[..., None]
    (ax, ay), (bx, by), (cx, cy) = np.moveaxis(
        np.take_along_axis(corners[..., :2], order, axis=1), 0, 2
    )
    long_slope = (cx - ax) / (cy - ay)
    flat_above, flat_below = by == ay, cy == by
    upper_slope = np.where(flat_above, 0, bx - ax) / np.where(flat_above, 1, by - ay)
    lower_slope = np.where(flat_below, 0, cx - bx) / np.where(flat_below, 1, cy - by)
    end, middle = row == cy[of], row - by[of]
    one = np.where(end, cx[of], ax[of] + (row - ay[of]) * long_slope[of])
    upper = ax[of] + (row - ay[of]) * upper_slope[of]
    lower = np.where(end, cx[of], bx[of] + middle * lower_slope[of])
    two = np.where(middle < 0, upper, lower)
    two = np.where(middle == 0, bx[of], two)
    return np.ceil(np.minimum(one, two)), np.floor(np.maximum(one, two))


def _keep_nearest(
    pixel: _Index, z: FloatArray, name: _Index, depth: FloatArray, owner: IntArray
) -> None:
    """Write the pixels nearer than the current depth; at equal depth the first of the list.

    NumPy keeps the last of several writes to one place, whichever that is. So write all, look which are nearer than what was kept, and write
    those again: as many rounds as there are surfaces behind each other.
    """
    better = np.flatnonzero(z > depth[pixel])[::-1]
    while len(better):
        pixel, z, name = pixel[better], z[better], name[better]
        depth[pixel] = z
        owner[pixel] = name
        better = np.flatnonzero(z > depth[pixel])
