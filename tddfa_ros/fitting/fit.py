"""Fit pose, identity and expression of the morphable model to the landmarks of a batch of faces.

Maximum a posteriori estimate by Gauss-Newton over all unknowns jointly (rotation vector, log scale, translation, S + E
coefficients), with Gaussian priors on the coefficients and box constraints by projection. Coordinates are those of the
120-px crop frame, y up (docs/architecture.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.types import FloatArray

SHAPE_LIMIT = 3.0
EXPRESSION_LIMITS = (0.0, 1.2)
_POSE_UNKNOWNS = 7
_DAMPING = 1e-3


@dataclass(frozen=True, eq=False)
class PointBasis:
    """The morphable model at L points: mean (L, 3), shape (L, 3, S), expression (L, 3, E), meters."""

    mean: FloatArray
    shape: FloatArray
    expression: FloatArray

    @property
    def joint(self) -> FloatArray:
        return np.concatenate([self.shape, self.expression], axis=2)


@dataclass(frozen=True, eq=False)
class Targets:
    """Observations and priors of a batch of faces.

    Attributes:
        points: (n, L, 3) crop px, y up, z nearer = larger with an arbitrary origin.
        precision: (n, L, 3) 1 / sigma of every coordinate, 1/px; 0 = not observed.
        expression_mean: (n, E) prior mean of the expression coefficients.
        expression_sigma: (n, E) prior standard deviation of the expression coefficients.
    """

    points: FloatArray
    precision: FloatArray
    expression_mean: FloatArray
    expression_sigma: FloatArray

    def __getitem__(self, rows: slice) -> Targets:
        return Targets(
            self.points[rows],
            self.precision[rows],
            self.expression_mean[rows],
            self.expression_sigma[rows],
        )

    def __len__(self) -> int:
        return len(self.points)


@dataclass(frozen=True, eq=False)
class Fit:
    """Result of a fit.

    Attributes:
        params: (n, 12 + S + E) parameters.
        points: (n, L, 3) points of the fitted model, crop px, y up.
    """

    params: FloatArray
    points: FloatArray


def batches(count: int, size: int) -> Iterator[slice]:
    """Yield consecutive slices of at most ``size`` rows."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def fit(basis: PointBasis, targets: Targets, iterations: int = 8) -> Fit:
    """Fit all faces of ``targets``. Time and memory grow with n * L * (S + E)^2; pass some hundreds of faces at a time."""
    scale, rotation, translation = _similarity(basis, targets)
    n, shape_count = len(targets), basis.shape.shape[2]
    coefficients = np.concatenate(
        [np.zeros((n, shape_count)), targets.expression_mean], axis=1
    ).astype(np.float32)
    prior_mean = coefficients.copy()
    prior_precision = np.concatenate(
        [np.ones((n, shape_count)), 1 / targets.expression_sigma**2], axis=1
    )
    joint = basis.joint
    for _ in range(iterations):
        heads = basis.mean + np.einsum("lxk,nk->nlx", joint, coefficients, optimize=True)
        posed = scale[:, None, None] * np.einsum("nxy,nly->nlx", rotation, heads)
        residual = targets.points - posed - translation[:, None]
        jacobian = _jacobian(joint, scale, rotation, posed) * targets.precision[..., None]
        flat = jacobian.reshape(n, -1, jacobian.shape[-1])
        hessian = (flat.transpose(0, 2, 1) @ flat).astype(np.float64)
        gradient = (
            flat.transpose(0, 2, 1) @ (residual * targets.precision).reshape(n, -1, 1)
        ).astype(np.float64)[..., 0]
        unknown = np.arange(_POSE_UNKNOWNS, hessian.shape[1])
        hessian[:, unknown, unknown] += prior_precision
        gradient[:, _POSE_UNKNOWNS:] += prior_precision * (prior_mean - coefficients)
        diagonal = np.arange(hessian.shape[1])
        hessian[:, diagonal, diagonal] *= 1 + _DAMPING
        _freeze_at_bounds(hessian, gradient, coefficients, shape_count)
        step = np.linalg.solve(hessian, gradient[..., None])[..., 0].astype(np.float32)
        rotation = _exp(step[:, :3]) @ rotation
        scale = scale * np.exp(np.clip(step[:, 3], -0.5, 0.5))
        translation = translation + step[:, 4:7]
        coefficients = _project(coefficients + step[:, _POSE_UNKNOWNS:], shape_count)
    heads = basis.mean + np.einsum("lxk,nk->nlx", joint, coefficients, optimize=True)
    pose = np.concatenate([scale[:, None, None] * rotation, translation[..., None]], axis=2)
    points = heads @ pose[:, :, :3].transpose(0, 2, 1) + translation[:, None]
    params = np.concatenate([pose.reshape(n, 12), coefficients], axis=1)
    return Fit(params.astype(np.float32), points.astype(np.float32))


def _jacobian(
    joint: FloatArray, scale: FloatArray, rotation: FloatArray, posed: FloatArray
) -> FloatArray:
    """Return the Jacobian (n, L, 3, 7 + S + E) by rotation vector (left increment), log scale, translation, coefficients."""
    n, count, _ = posed.shape
    out = np.zeros((n, count, 3, _POSE_UNKNOWNS + joint.shape[2]), dtype=np.float32)
    x, y, z = np.moveaxis(posed, 2, 0)
    out[:, :, 0, 1], out[:, :, 0, 2] = z, -y
    out[:, :, 1, 0], out[:, :, 1, 2] = -z, x
    out[:, :, 2, 0], out[:, :, 2, 1] = y, -x
    out[..., 3] = posed
    out[:, :, [0, 1, 2], [4, 5, 6]] = 1
    scaled = (scale[:, None, None] * rotation).astype(np.float32)
    columns = joint.transpose(1, 0, 2).reshape(3, -1)
    moved = (scaled @ columns).reshape(n, 3, count, -1)
    out[..., _POSE_UNKNOWNS:] = moved.transpose(0, 2, 1, 3)
    return out


def _freeze_at_bounds(
    hessian: NDArray[np.float64],
    gradient: NDArray[np.float64],
    coefficients: FloatArray,
    shape_count: int,
) -> None:
    """Remove coefficients at an active bound from the normal equations (active-set method)."""
    low, high = _bounds(coefficients.shape[1], shape_count)
    pull = gradient[:, _POSE_UNKNOWNS:]
    stuck = ((coefficients <= low) & (pull < 0)) | ((coefficients >= high) & (pull > 0))
    rows, columns = np.nonzero(stuck)
    columns = columns + _POSE_UNKNOWNS
    hessian[rows, columns, :] = 0
    hessian[rows, :, columns] = 0
    hessian[rows, columns, columns] = 1
    gradient[rows, columns] = 0


def _bounds(count: int, shape_count: int) -> tuple[FloatArray, FloatArray]:
    low = np.full(count, EXPRESSION_LIMITS[0], dtype=np.float32)
    high = np.full(count, EXPRESSION_LIMITS[1], dtype=np.float32)
    low[:shape_count], high[:shape_count] = -SHAPE_LIMIT, SHAPE_LIMIT
    return low, high


def _project(coefficients: FloatArray, shape_count: int) -> FloatArray:
    return np.clip(coefficients, *_bounds(coefficients.shape[1], shape_count))


def _similarity(basis: PointBasis, targets: Targets) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Align the mean with the fully observed points: scale (n,), rotation (n, 3, 3), translation (n, 3) (Umeyama, 1991)."""
    weight = (targets.precision > 0).all(axis=2).astype(np.float32)
    weight /= weight.sum(axis=1, keepdims=True)
    source_mean = np.einsum("nl,lx->nx", weight, basis.mean)
    target_mean = np.einsum("nl,nlx->nx", weight, targets.points)
    source = basis.mean[None] - source_mean[:, None]
    target = targets.points - target_mean[:, None]
    covariance = np.einsum("nl,nlx,nly->nxy", weight, target, source, optimize=True)
    u, spread, vt = np.linalg.svd(covariance)
    sign = np.sign(np.linalg.det(u @ vt))
    u[:, :, -1] *= sign[:, None]
    spread[:, -1] *= sign
    variance = np.einsum("nl,nlx->n", weight, source**2)
    scale = spread.sum(axis=1) / variance
    rotation = u @ vt
    translation = target_mean - scale[:, None] * np.einsum("nxy,ny->nx", rotation, source_mean)
    return scale.astype(np.float32), rotation.astype(np.float32), translation.astype(np.float32)


def _exp(vector: FloatArray) -> FloatArray:
    """Return rotation matrices (n, 3, 3) of rotation vectors (n, 3) by Rodrigues' formula."""
    angle = np.linalg.norm(vector, axis=1)[:, None, None]
    x, y, z = vector.T
    zero = np.zeros_like(x)
    k = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
    with np.errstate(invalid="ignore", divide="ignore"):
        a = np.where(angle > 1e-6, np.sin(angle) / angle, 1.0)
        b = np.where(angle > 1e-6, (1 - np.cos(angle)) / angle**2, 0.5)
    return np.asarray(np.eye(3, dtype=np.float32) + a * k + b * (k @ k), dtype=np.float32)
