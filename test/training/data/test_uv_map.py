from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from support.posed import posed, random_faces

from tddfa_ros.errors import ConfigError
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.data.layout import ItemError
from tddfa_ros.training.data.uv_map import (
    UvSurface,
    posed_vertices,
    read_uv_map,
    uv_surface,
    write_uv_map,
)

SIZE = 256


@pytest.fixture(scope="module")
def model(repo_root: Path) -> MorphableModel:
    return MorphableModel.load(repo_root / "models" / "tddfa_head.npz")


@pytest.fixture(scope="module")
def surface(model: MorphableModel) -> UvSurface:
    return uv_surface(model, SIZE)


@pytest.fixture(scope="module")
def params(model: MorphableModel) -> np.ndarray:
    return random_faces(model, np.random.default_rng(2), 3)


@pytest.fixture(scope="module")
def position(model: MorphableModel, surface: UvSurface, params: np.ndarray) -> np.ndarray:
    return surface.unroll(model, posed_vertices(model, params[0]))


def test_vertex_is_at_its_uv(
    model: MorphableModel, surface: UvSurface, params: np.ndarray, position: np.ndarray
) -> None:
    vertices = posed(model.head(params[:1]), params[:1])[0]
    x, y = model.uv[:, 0] * SIZE - 0.5, (1 - model.uv[:, 1]) * SIZE - 0.5
    sampled = cv2.remap(position, x[None].astype(np.float32), y[None].astype(np.float32), cv2.INTER_LINEAR)[0]  # fmt: skip
    inside = cv2.erode(surface.mask.astype(np.uint8), np.ones((3, 3)))
    kept = inside[np.round(y).astype(int), np.round(x).astype(int)] > 0
    kept &= np.isin(model.regions, [model.region_names.index(n) for n in ("skin", "nose")])
    assert kept.sum() > 5000
    distance = np.linalg.norm(sampled - vertices, axis=1)[kept]
    # texels are some 0.3 to 1 crop px apart; linear between them, so that only edges of triangles are missed
    assert np.median(distance) < 0.1 and np.percentile(distance, 99) < 0.6


def test_texels_are_surface_points(model: MorphableModel, params: np.ndarray) -> None:
    surface = uv_surface(model, 48)
    position = surface.unroll(model, posed_vertices(model, params[0]))
    assert 0.6 < surface.mask.mean() < 0.8
    np.testing.assert_allclose(surface.weights.sum(axis=1), 1, atol=1e-5)
    assert surface.weights.min() > -1e-3
    assert not position[~surface.mask].any()
    basis = surface.basis(model)
    head = basis.mean + basis.shape @ params[0, 12:52] + basis.expression @ params[0, 52:]
    np.testing.assert_allclose(posed(head[None], params[:1])[0], position[surface.mask], atol=2e-3)


def test_row_0_is_the_top_of_the_texture(surface: UvSurface, model: MorphableModel) -> None:
    corners = model.uv[model.triangles[surface.triangles]]
    uv = np.einsum("kc,kcx->kx", surface.weights, corners)
    row, column = np.nonzero(surface.mask)
    np.testing.assert_allclose(uv[:, 0], (column + 0.5) / SIZE, atol=1e-3)
    np.testing.assert_allclose(uv[:, 1], 1 - (row + 0.5) / SIZE, atol=1e-3)


@pytest.mark.parametrize(("suffix", "tolerance"), [(".npz", 0), (".png", 1 / 256 + 1e-5)])
def test_files(
    tmp_path: Path, surface: UvSurface, position: np.ndarray, suffix: str, tolerance: float
) -> None:
    path = tmp_path / "uv_maps" / f"1{suffix}"
    write_uv_map(path, position, surface.mask)
    again = read_uv_map(path)
    assert again.dtype == np.float32
    np.testing.assert_allclose(again, position, atol=tolerance)
    assert not again[~surface.mask].any() and again[surface.mask].any(axis=1).all()


def test_rejects_damaged_files(tmp_path: Path, position: np.ndarray) -> None:
    path = tmp_path / "1.npz"
    for content, message in (
        ({"other": position}, "no array 'position'"),
        ({"position": position[:9]}, "shape"),
        ({"position": position * np.nan}, "NaN"),
    ):
        np.savez(path, **content)
        with pytest.raises(ItemError, match=message):
            read_uv_map(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ItemError, match="damaged"):
        read_uv_map(path)


@pytest.mark.parametrize("size", [0, 5000])
def test_rejects_invalid_sizes(model: MorphableModel, size: int) -> None:
    with pytest.raises(ConfigError, match="8 to 1024"):
        uv_surface(model, size)
