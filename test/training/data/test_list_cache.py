from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from support.synthetic_model import synthetic_model
from support.user_dataset import write_dataset

from tddfa_ros.errors import ConfigError
from tddfa_ros.geometry.pose import rotation_from_3ddfa_v2
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.cache import CACHE_SIDE, MARGIN, open_cache
from tddfa_ros.training.data.frames import IGNORE
from tddfa_ros.training.data.items import FolderDataset, Items, read_items
from tddfa_ros.training.data.list_cache import build_cache_from_items, cache_lists
from tddfa_ros.training.data.uv_map import posed_vertices, uv_surface


def test_cache_contains_the_items(model: MorphableModel, dataset: Path, tmp_path: Path) -> None:
    items = read_items(dataset, model)
    cache = build_cache_from_items(items, tmp_path / "cache")
    assert len(cache) == 4 and cache.images.shape == (4, CACHE_SIDE, CACHE_SIDE, 3)
    assert cache.source.tolist() == ["all"] * 4 and cache.error.tolist() == [0] * 4
    assert cache.face.all() and cache.parsing is not None and cache.uv_position is not None
    assert isinstance(cache.images, np.memmap) and isinstance(cache.parsing, np.memmap)
    for row, sample in enumerate(FolderDataset(items)):
        np.testing.assert_array_equal(
            cache.images[row, 40:120, 40:120], sample.image[40:120, 40:120]
        )
        np.testing.assert_array_equal(cache.params[row], sample.params)
        np.testing.assert_array_equal(cache.parsing[row], sample.parsing)
        np.testing.assert_array_equal(cache.uv_position[row], sample.uv_position)


def test_yaw_sign_matches_collection(model: MorphableModel, dataset: Path, tmp_path: Path) -> None:
    path = dataset.parent / "params" / "0002.npy"
    params = np.load(path)
    turned = 500 * rotation_from_3ddfa_v2(np.array([35.0, 10.0, -20.0]))
    params[:12].reshape(3, 4)[:, :3] = turned
    np.save(path, params)
    cache = build_cache_from_items(read_items(dataset, model), tmp_path / "cache")
    assert cache.yaw_deg[1] == pytest.approx(35, abs=0.01)


def test_unchanged_lists_reuse_the_cache(
    model: MorphableModel, dataset: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    (dataset.parent / "rois" / "0003.npy").unlink()
    first: list[str] = []
    again: list[str] = []
    assert len(cache_lists(dataset, model, folder, report=first.append)) == 3
    stamp = (folder / "images.npy").stat().st_mtime_ns
    assert len(cache_lists(dataset, model, folder, report=again.append)) == 3
    assert (folder / "images.npy").stat().st_mtime_ns == stamp
    assert (
        again
        == first
        == [
            "0003: there is no rois/0003.npy",
            "1 of 4 items of all.list are excluded",
        ]
    )
    with pytest.raises(ConfigError, match="1 of 4 items"):
        cache_lists(dataset, model, folder, strict=True, report=again.append)


@pytest.mark.parametrize("changed", ["params/0001.npy", "images/0001.png", "seg_maps/0001.png"])
def test_changed_file_rebuilds_the_cache(
    model: MorphableModel, dataset: Path, tmp_path: Path, changed: str
) -> None:
    folder = tmp_path / "cache"
    cache_lists(dataset, model, folder)
    stamp = (folder / "labels.npz").stat().st_mtime_ns
    os.utime(dataset.parent / changed, ns=(1, 1))
    assert len(cache_lists(dataset, model, folder)) == 4
    assert (folder / "labels.npz").stat().st_mtime_ns > stamp


@pytest.mark.parametrize(
    ("name", "content"), [("labels.npz", None), ("items.json", b"{"), ("items.json", None)]
)
def test_incomplete_cache_is_rebuilt(
    model: MorphableModel, dataset: Path, tmp_path: Path, name: str, content: bytes | None
) -> None:
    folder = tmp_path / "cache"
    cache_lists(dataset, model, folder)
    (folder / name).unlink() if content is None else (folder / name).write_bytes(content)
    assert len(cache_lists(dataset, model, folder)) == 4


def test_other_list_or_model_rebuilds_the_cache(
    model: MorphableModel, dataset: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    cache_lists(dataset, model, folder)
    dataset.write_text("0002\n0004\n")
    assert len(cache_lists(dataset, model, folder)) == 2
    other = synthetic_model(shape=4, expressions=6, seed=1)
    cache_lists(dataset, other, folder)
    open_cache(folder, other)


def test_mixes_datasets_with_and_without_maps(
    model: MorphableModel, dataset: Path, tmp_path: Path
) -> None:
    plain = write_dataset(tmp_path / "plain", model, 2)
    maps = cache_lists([dataset, plain], model, tmp_path / "cache")
    assert maps.parsing is not None and maps.uv_position is not None
    assert (maps.parsing[4:] == IGNORE).all()
    roi = slice(MARGIN, CACHE_SIDE - MARGIN)  # beyond it a map may end
    assert (maps.parsing[:4, roi, roi] != IGNORE).all()
    params = np.load(plain.parent / "params" / "0002.npy")
    expected = uv_surface(model, 16).unroll(model, posed_vertices(model, params))
    np.testing.assert_allclose(maps.uv_position[5], expected, atol=1e-4)
    maps = cache_lists(plain, model, tmp_path / "cache")
    assert maps.parsing is None and maps.uv_position is None


def test_rejects_lists_without_usable_items(model: MorphableModel, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no usable item"):
        build_cache_from_items(Items(model, (), (), False, 0), tmp_path)
