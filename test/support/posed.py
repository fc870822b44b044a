"""Faces with a known pose in the 120-px crop frame, and images of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from tddfa_ros.morphable import MorphableModel

FloatArray = NDArray[np.float32]


def random_faces(
    model: MorphableModel, rng: np.random.Generator, count: int, expressions: int = 6
) -> FloatArray:
    """Return parameters (count, P): rotation of about 20 degrees, about 85 px wide, N(0, 1) identity, some expressions up to 0.8."""
    layout = model.layout
    params = np.zeros((count, layout.size), np.float32)
    turn = Rotation.from_rotvec(rng.normal(0, 0.25, (count, 3))).as_matrix()
    scale = rng.uniform(480, 620, count)
    pose = params[:, :12].reshape(count, 3, 4)
    pose[:, :, :3] = scale[:, None, None] * turn
    pose[:, :2, 3] = 60 + rng.uniform(-6, 6, (count, 2))
    pose[:, 2, 3] = rng.uniform(-10, 10, count)
    params[:, layout.shape_slice] = rng.normal(0, 1, (count, layout.shape))
    for row in params:
        active = rng.choice(layout.expression, min(expressions, layout.expression), replace=False)
        row[layout.expression_slice][active] = rng.uniform(0.2, 0.8, len(active))
    return params


def posed(head: FloatArray, params: FloatArray) -> FloatArray:
    """Transform head points to the crop frame (n, L, 3) of docs/architecture.md (y up, x 1-based)."""
    pose = params[:, :12].reshape(-1, 3, 4).astype(np.float64)
    return np.einsum("nij,nlj->nli", pose[:, :, :3], head) + pose[:, None, :, 3]


def pixels(points: FloatArray) -> FloatArray:
    """Convert crop-frame points (..., 3) to crop px (..., 2), x right, y down."""
    return np.stack([points[..., 0] - 1, 120 - points[..., 1]], axis=-1)


def blob(side: int, x: float, y: float, sigma: float = 2.5) -> NDArray[np.uint8]:
    """Return a black image (side, side, 3) with one round bright spot at (x, y)."""
    v, u = np.mgrid[:side, :side]
    spot = 250 * np.exp(-((u - x) ** 2 + (v - y) ** 2) / (2 * sigma**2))
    return np.repeat(spot[..., None], 3, axis=2).astype(np.uint8)


def centroid(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the centroid (x, y) of the brightness."""
    weight = image[..., 1].astype(np.float64)
    v, u = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(weight * u).sum(), (weight * v).sum()]) / weight.sum()
