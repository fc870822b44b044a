from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tddfa_ros.model_builder.identity import align, identity_basis, mirror, mirror_partners

COUNT = 60


def head(rng: np.random.Generator) -> np.ndarray:
    """A symmetric set of points (2 * COUNT, 3)."""
    right = rng.normal(size=(COUNT, 3)) * [0.03, 0.08, 0.06] - [0.06, 0, 0]
    return np.concatenate([right, right * [-1, 1, 1]])


@pytest.fixture(scope="module")
def mean() -> np.ndarray:
    return head(np.random.default_rng(0))


@pytest.fixture(scope="module")
def partner(mean: np.ndarray) -> np.ndarray:
    return mirror_partners(mean)


@pytest.fixture(scope="module")
def people(mean: np.ndarray, partner: np.ndarray) -> np.ndarray:
    """Return 150 heads with two symmetric modes and one antisymmetric mode."""
    rng = np.random.default_rng(1)
    ways = rng.normal(size=(3, *mean.shape))
    mirrored = mirror(ways, partner)
    ways = np.stack([ways[0] + mirrored[0], ways[1] + mirrored[1], ways[2] - mirrored[2]])
    return mean + np.einsum("mk,knx->mnx", rng.normal(size=(150, 3)) * [4e-3, 2e-3, 1e-3], ways)


def test_mirror_partners(mean: np.ndarray, partner: np.ndarray) -> None:
    np.testing.assert_array_equal(partner, np.r_[COUNT : 2 * COUNT, :COUNT])
    np.testing.assert_allclose(mirror(mean, partner), mean)
    crooked = mean.copy()
    crooked[3, 1] += 0.002
    with pytest.raises(ValueError, match=r"2\.000 mm off"):
        mirror_partners(crooked)


def test_alignment_removes_rigid_motion_only(mean: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    turns = Rotation.from_rotvec(rng.normal(0, 0.3, (8, 3))).as_matrix()
    sizes = rng.uniform(0.9, 1.1, 8)[:, None, None]
    moved = sizes * (mean @ turns.transpose(0, 2, 1)) + rng.normal(size=(8, 1, 3))
    aligned = align(moved, np.ones(len(mean)))
    shapes = aligned / sizes
    assert np.abs(shapes - shapes[0]).max() < 1e-6
    spread = np.linalg.norm(aligned - aligned.mean(axis=1, keepdims=True), axis=(1, 2))
    np.testing.assert_allclose(spread / spread[0], sizes.ravel() / sizes.ravel()[0])


def test_basis_explains_low_rank_data(people: np.ndarray, partner: np.ndarray) -> None:
    found = identity_basis(people, partner, np.ones(2 * COUNT), 3)
    assert found.explained == pytest.approx(1, abs=1e-9)
    flat = found.basis.reshape(-1, 3)
    for head in people[:10]:
        offset = (head - found.mean).ravel()
        rest = offset - flat @ np.linalg.lstsq(flat, offset, rcond=None)[0]
        assert np.abs(rest).max() < 1e-9
    np.testing.assert_allclose(mirror(found.mean, partner), found.mean, atol=1e-12)


def test_components_are_orthogonal_sorted_and_scaled(
    people: np.ndarray, partner: np.ndarray
) -> None:
    weights = np.where(people[0, :, 2] > 0, 1.0, 0.01)
    found = identity_basis(people, partner, weights, 3)
    flat = found.basis.reshape(-1, 3)
    gram = flat.T @ flat
    size = np.sqrt(np.diag(gram))
    assert np.abs(gram / np.outer(size, size) - np.eye(3)).max() < 1e-9
    assert (np.diff(size) < 0).all()
    everyone = np.concatenate([people, mirror(people, partner)])
    scores = (everyone - found.mean).reshape(len(everyone), -1) @ np.linalg.pinv(flat).T
    np.testing.assert_allclose(scores.std(axis=0), 1, atol=1e-6)


def test_components_are_symmetric_or_antisymmetric(people: np.ndarray, partner: np.ndarray) -> None:
    basis = np.moveaxis(identity_basis(people, partner, np.ones(2 * COUNT), 3).basis, 2, 0)
    mirrored = mirror(basis, partner)
    size = np.linalg.norm(basis, axis=(1, 2))
    odd = np.linalg.norm(basis - mirrored, axis=(1, 2)) / size
    even = np.linalg.norm(basis + mirrored, axis=(1, 2)) / size
    assert np.minimum(odd, even).max() < 1e-6
    assert (odd < even).sum() == 2
