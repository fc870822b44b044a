"""Identity basis: principal components of aligned random heads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.types import DoubleArray


@dataclass(frozen=True, eq=False)
class IdentityBasis:
    """Attributes: mean (n, 3) and basis (n, 3, S), one unit = one standard deviation; explained: share of variance."""

    mean: DoubleArray
    basis: DoubleArray
    explained: float


def align(heads: DoubleArray, weights: DoubleArray, rounds: int = 4) -> DoubleArray:
    """Rigidly align heads (m, n, 3) to their mean by generalized Procrustes analysis, without scaling.

    Args:
        weights: (n,) weight of each vertex.
    """
    weights = weights / weights.sum()
    heads = heads - np.einsum("n,mnx->mx", weights, heads)[:, None]
    mean = heads[0]
    for _ in range(rounds):
        covariance = np.einsum("n,mnx,ny->mxy", weights, heads, mean)
        u, _, vt = np.linalg.svd(covariance)
        u[:, :, -1] *= np.sign(np.linalg.det(u @ vt))[:, None]
        heads = heads @ (u @ vt)
        mean = heads.mean(axis=0)
    return heads


def mirror(heads: DoubleArray, partner: NDArray[np.int64]) -> DoubleArray:
    """Mirror heads: negate x and exchange every vertex with its partner."""
    return np.asarray(heads[..., partner, :] * np.array([-1.0, 1.0, 1.0]))


def mirror_partners(vertices: DoubleArray, tolerance: float = 1e-5) -> NDArray[np.int64]:
    """Return the index of the mirror image (n,) of each vertex of a symmetric head.

    Raises:
        ValueError: the head is not symmetric to within ``tolerance`` meters, or the pairing is not one to one.
    """
    from scipy.spatial import cKDTree

    distance, partner = cKDTree(vertices).query(vertices * [-1, 1, 1])
    if distance.max() > tolerance or len(np.unique(partner)) != len(vertices):
        raise ValueError(f"the head is not symmetric: {1000 * distance.max():.3f} mm off")
    return np.asarray(partner, dtype=np.int64)


def identity_basis(
    heads: DoubleArray, partner: NDArray[np.int64], face_weights: DoubleArray, count: int
) -> IdentityBasis:
    """Compute the principal components of heads (m, n, 3) and their mirror images.

    The subspace is the one that explains most of the *face* (``face_weights``, (n,)), not of scalp and neck, which
    images rarely show; inside it the components are orthogonal and uncorrelated over the whole head. With mirror images in the
    sample, each component is symmetric or antisymmetric.
    """
    both = np.concatenate([heads, mirror(heads, partner)])
    mean = both.mean(axis=0)
    centered = (both - mean).reshape(len(both), -1)
    root = np.sqrt(np.repeat(face_weights / face_weights.mean(), 3))
    weighted = centered * root
    variances, vectors = np.linalg.eigh(
        weighted @ weighted.T
    )  # smaller than the SVD of all vertices
    explained = float(variances[-count:].sum() / variances.sum())
    scores = vectors[:, -count:]  # (2m, count): scores of the face
    # Regress whole heads on the scores, then find orthogonal axes of the regressed heads.
    directions = np.linalg.lstsq(scores, centered, rcond=None)[0]
    q, r = np.linalg.qr(directions.T)
    u, spread, _ = np.linalg.svd(r @ scores.T, full_matrices=False)
    basis = (q @ u) * (spread / np.sqrt(len(both)))
    return IdentityBasis(mean, basis.reshape(-1, 3, count), explained)


def orthogonal(basis: DoubleArray, mean: DoubleArray) -> DoubleArray:
    """Rotate a basis (n, 3, S) among its own components so that they are orthogonal; coefficients stay N(0, 1).

    Subdivision and the split along texture seams reduce orthogonality slightly. Signs are fixed too: each component's largest entry on
    the left half of the head (``mean`` (n, 3), x > 0; both halves together would tie) is positive.
    """
    flat = basis.reshape(-1, basis.shape[2])
    u, spread, _ = np.linalg.svd(flat, full_matrices=False)
    out = (u * spread).reshape(basis.shape)
    left = out[mean[:, 0] > 1e-4].reshape(-1, basis.shape[2])
    largest = left[np.abs(left).argmax(axis=0), np.arange(basis.shape[2])]
    return np.asarray(out * np.where(largest < 0, -1.0, 1.0))
