"""Optimize the 68 landmarks over the surface of the mean head for all views of a face collection.

:mod:`.locate` averages fit residuals in the model frame; where the head is wider or rounder than the one behind the labels, residuals point
off the surface. Here each landmark is moved to the surface point nearby whose projection is closest to the labels over all faces, frontal
and profile. Left and right stay mirror images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tddfa_ros.fitting.fit import PointBasis
from tddfa_ros.morphable.surface import nearest_on_surface
from tddfa_ros.types import DoubleArray, FloatArray, IntArray

_AROUND = 0.02  # m around the candidates, in which the nearest surface must lie
_KNEE = 2.5  # px: labels have outliers, so the cost grows linearly beyond

Basis = Callable[[IntArray, DoubleArray], PointBasis]


@dataclass(frozen=True, eq=False)
class Seen:
    """Fitted faces and their observed landmarks.

    Attributes:
        params: (n, P) fits in the 120-px crop frame; points: (n, L, 2) labels, crop px, y up; weight: (n, L), 0 = not observed.
    """

    params: FloatArray
    points: FloatArray
    weight: FloatArray


def slide(
    positions: DoubleArray,
    seen: Seen,
    basis_at: Basis,
    vertices: DoubleArray,
    triangles: IntArray,
    mirror: IntArray,
    reach: float,
    step: float,
) -> DoubleArray:
    """Move landmarks (L, 3) on the surface to the best positions within ``reach`` meters, on a grid of ``step`` meters.

    Landmarks without observations keep their positions.
    """
    surface = _Surface(vertices, triangles, reach + _AROUND)
    moved = positions.copy()
    for index, partner in enumerate(mirror.tolist()):
        if partner < index or not seen.weight[:, [index, partner]].any():
            continue
        places = _places(positions[index], reach, step, middle=partner == index)
        triangle, weights = surface.nearest(places)
        places = np.einsum("kc,kcx->kx", weights, vertices[triangles[triangle]])
        cost = _cost(basis_at(triangle, weights), seen, index)
        if partner != index:
            cost = cost + _cost(basis_at(*surface.nearest(places * [-1, 1, 1])), seen, partner)
        best = places[int(np.argmin(cost))]
        if partner == index:  # the surface is symmetric, its triangulation is not exactly
            moved[index] = best * [0, 1, 1]
        else:
            moved[index], moved[partner] = best, best * [-1, 1, 1]
    return moved


class _Surface:
    """Nearest-point search on a surface for points that are close together."""

    def __init__(self, vertices: DoubleArray, triangles: IntArray, reach: float) -> None:
        """Args: reach: maximum distance of triangles from the mean of the points, m."""
        self._vertices, self._triangles, self._reach = vertices, triangles, reach
        self._centers = vertices[triangles].mean(axis=1)

    def nearest(self, points: DoubleArray) -> tuple[IntArray, DoubleArray]:
        """Return triangle (k,) and barycentric weights (k, 3) of the nearest points."""
        distance = np.linalg.norm(self._centers - points.mean(axis=0), axis=1)
        near = np.flatnonzero(distance < self._reach)
        triangle, weights = nearest_on_surface(points, self._vertices, self._triangles[near])
        return near[triangle].astype(np.int32), weights


def _places(center: DoubleArray, reach: float, step: float, middle: bool) -> DoubleArray:
    """Return grid points (k, 3) in a ball around ``center``; only in the plane of symmetry if ``middle``."""
    axis = np.arange(-np.floor(reach / step), np.floor(reach / step) + 1) * step
    across = np.zeros(1) if middle else axis
    offsets = np.stack(np.meshgrid(across, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    offsets = offsets[np.linalg.norm(offsets, axis=1) <= reach + 1e-9]
    start = center * [0, 1, 1] if middle else center
    return np.asarray(start + offsets)


def _cost(basis: PointBasis, seen: Seen, landmark: int) -> DoubleArray:
    """Return the robust sum of distances (k,) between the labels of ``landmark`` and k positions, over all faces."""
    rows = np.flatnonzero(seen.weight[:, landmark] > 0)
    params = seen.params[rows]
    pose = params[:, :12].reshape(-1, 3, 4)
    heads = basis.mean + np.einsum("kxc,nc->nkx", basis.joint, params[:, 12:], optimize=True)
    found = heads @ pose[:, :2, :3].transpose(0, 2, 1) + pose[:, None, :2, 3]
    distance = np.linalg.norm(found - seen.points[rows, None, landmark], axis=2)
    robust = np.where(distance < _KNEE, distance**2 / 2, _KNEE * (distance - _KNEE / 2))
    return np.asarray(seen.weight[rows, landmark] @ robust, dtype=np.float64)
