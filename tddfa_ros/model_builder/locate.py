"""Locate iBUG-68 landmarks and MediaPipe's 478 points on the mean head from 2D landmarks of images.

Start from a similarity of a mean 3D face to regions that facial actions move; then iterate: fit many faces, average the residuals in
the model frame, move each point by them, and project it onto the surface. Left and right are kept mirror images. The result
is stored as positions on the mean head (``points.json``), which :mod:`.build` projects onto the surface.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.fitting.fit import PointBasis, Targets, batches, fit
from tddfa_ros.model_builder.build import DenseHead
from tddfa_ros.morphable.surface import nearest_on_surface
from tddfa_ros.types import DoubleArray, FloatArray, IntArray

_PAIRS = (
    *((i, 16 - i) for i in range(8)),
    *((17 + i, 26 - i) for i in range(5)),
    *((31, 35), (32, 34), (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),
    *((48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67)),
)
MIRROR68 = np.arange(68)
for _i, _j in _PAIRS:
    MIRROR68[_i], MIRROR68[_j] = _j, _i
"""iBUG-68 index of each landmark's mirror image."""

Basis = Callable[[IntArray, DoubleArray], PointBasis]


def mean_face(points: FloatArray, rounds: int = 5) -> DoubleArray:
    """Compute the generalized Procrustes mean (L, 3) of 3D point sets (n, L, 3): unit size, centered, symmetric, upright."""
    shapes = points - points.mean(axis=1, keepdims=True)
    shapes = (shapes / np.linalg.norm(shapes, axis=(1, 2), keepdims=True)).astype(np.float64)
    mean = shapes.mean(axis=0)
    for _ in range(rounds):
        u, _, vt = np.linalg.svd(np.einsum("nlx,ly->nxy", shapes, mean))
        u[:, :, -1] *= np.sign(np.linalg.det(u @ vt))[:, None]
        mean = (shapes @ (u @ vt)).mean(axis=0)
        mean = (mean + mean[MIRROR68] * [-1, 1, 1]) / 2
        mean /= np.linalg.norm(mean)
    return np.asarray(mean)


def align_to_head(face: DoubleArray, anchors: dict[tuple[int, ...], DoubleArray]) -> DoubleArray:
    """Align a mean face (68, 3) with the head by a similarity, from approximate positions.

    Args:
        anchors: landmark indices -> position (3,) of their mean. (ICP with a free scale would
            shrink the face to a point; :func:`refine` corrects the remaining error.)
    """
    source = np.stack([face[list(group)].mean(axis=0) for group in anchors])
    return _similar(source, np.stack(list(anchors.values())), face)


def refine(
    positions: DoubleArray,
    targets: Targets,
    basis_at: Basis,
    vertices: DoubleArray,
    triangles: IntArray,
    mirror: IntArray,
    trusted: FloatArray,
    report: Callable[[str], None],
    rounds: int = 5,
    moved: IntArray | None = None,
) -> DoubleArray:
    """Move points (L, 3) on the mean head by the mean residuals of fits to ``targets``.

    Args:
        basis_at: (triangle, weights) -> the model at these surface points.
        trusted: (n,) weight of each face.
        moved: mask of the points that may move; all by default.
    """
    for step in range(rounds):
        triangle, weights = nearest_on_surface(positions, vertices, triangles)
        positions = np.einsum("kc,kcx->kx", weights, vertices[triangles[triangle]])
        residual, error = _mean_residual(
            basis_at(triangle.astype(np.int32), weights), targets, trusted
        )
        report(f"round {step + 1}: mean distance {error:.3f} px of 120")
        residual = (residual + residual[mirror] * [-1, 1, 1]) / 2
        chosen = np.arange(len(positions)) if moved is None else moved
        positions[chosen] += residual[chosen]
        positions = (positions + positions[mirror] * [-1, 1, 1]) / 2
    triangle, weights = nearest_on_surface(positions, vertices, triangles)
    return np.asarray(np.einsum("kc,kcx->kx", weights, vertices[triangles[triangle]]))


def basis_on(dense: DenseHead) -> Basis:
    """Return a function that evaluates the head at points of its skin."""
    skin = dense.skin

    def basis_at(triangle: IntArray, weights: DoubleArray) -> PointBasis:
        corners = skin[triangle]

        def at(values: DoubleArray) -> FloatArray:
            return np.einsum("kc,kc...->k...", weights, values[corners]).astype(np.float32)

        return PointBasis(at(dense.mean), at(dense.shape), at(dense.expression))

    return basis_at


def mirror_pairs(points: DoubleArray) -> NDArray[np.int64]:
    """Return the mirror partner (L,) of each point of a nearly symmetric set, by the assignment of least total distance."""
    from scipy.optimize import linear_sum_assignment

    distance = np.linalg.norm(points[:, None] * [-1, 1, 1] - points[None], axis=2)
    return np.asarray(linear_sum_assignment(distance + distance.T)[1])


def _mean_residual(
    basis: PointBasis, targets: Targets, trusted: FloatArray
) -> tuple[DoubleArray, float]:
    """Return the weighted mean of target - fit in the model frame (L, 3), meters, and the mean 2D distance, px."""
    total = np.zeros((len(basis.mean), 3))
    weight = np.zeros((len(basis.mean), 1))
    distances = []
    for rows in batches(len(targets), 256):
        part = targets[rows]
        result = fit(basis, part)
        pose = result.params[:, :12].reshape(-1, 3, 4)[:, :, :3]
        scale = np.linalg.norm(pose[:, 0], axis=1)
        residual = part.points - result.points
        seen = (part.precision > 0).all(axis=2)
        in_model = np.einsum("nyx,nly->nlx", pose, residual) / (scale**2)[:, None, None]
        share = (trusted[rows, None] * seen)[..., None]
        total += (in_model * share).sum(axis=0)
        weight += share.sum(axis=0)
        distances.append(np.linalg.norm(residual[..., :2], axis=2)[seen].mean())
    return total / np.maximum(weight, 1e-9), float(np.mean(distances))


def _similar(source: DoubleArray, target: DoubleArray, points: DoubleArray) -> DoubleArray:
    """Apply to ``points`` the similarity from ``source`` to ``target`` (Umeyama 1991)."""
    a, b = source - source.mean(axis=0), target - target.mean(axis=0)
    u, spread, vt = np.linalg.svd(b.T @ a)
    sign = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * sign) @ vt
    scale = (spread * sign).sum() / (a**2).sum()
    return np.asarray(scale * (points - source.mean(axis=0)) @ rotation.T + target.mean(axis=0))
