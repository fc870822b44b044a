"""How far a vertex is from the border of a region of the mesh: what soft but exact edges are made from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tddfa_ros.geometry.rotation import RealArray
from tddfa_ros.rendering.protocols import SurfaceModel
from tddfa_ros.types import FloatArray

_FAR = 100.0  # mm, where there is no border
_SAMPLES = 9  # points along the border in one triangle


def signed_distance(model: SurfaceModel, inside: NDArray[np.bool_]) -> FloatArray:
    """Distance (N,) mm on the mean head of each vertex from the border of ``inside`` (N,); negative outside.

    The border runs through the middle of the edges between a vertex inside and one outside. Interpolated over triangles the distance is
    smooth, so that a threshold of it draws a finer line than the vertices alone could.
    """
    border = _border(model, inside)
    sign = np.where(inside, 1.0, -1.0)
    if len(border) == 0:
        return np.asarray(_FAR * sign, dtype=np.float32)
    away, _ = cKDTree(border).query(1000 * model.mean.astype(np.float64))
    return np.asarray(away * sign, dtype=np.float32)


def _border(model: SurfaceModel, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Points (k, 3) mm, close together, on the lines that cut triangles with corners on both sides."""
    count = inside[model.triangles].sum(axis=1)
    cut = model.triangles[(count == 1) | (count == 2)]
    if len(cut) == 0:
        return np.zeros((0, 3))
    flags = inside[cut]
    # The corner that is alone on its side, and the two others.
    alone = np.where(flags.sum(axis=1) == 1, flags.argmax(axis=1), (~flags).argmax(axis=1))
    rows = np.arange(len(cut))
    a, b, c = (1000 * model.mean[cut[rows, (alone + i) % 3]].astype(np.float64) for i in range(3))
    start, end = (a + b) / 2, (a + c) / 2
    share = np.linspace(0, 1, _SAMPLES)[:, None, None]
    return np.asarray((start + share * (end - start)).reshape(-1, 3))


def smoothstep(values: RealArray, low: float, high: float) -> FloatArray:
    """0 below ``low``, 1 above ``high``, with a smooth slope between; float32."""
    x = np.subtract(values, low, dtype=np.float32)
    x *= np.float32(1 / max(high - low, 1e-6))
    x = np.clip(x, 0, 1)
    return np.asarray(x * x * (3 - 2 * x), dtype=np.float32)
