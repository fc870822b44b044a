from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from support.tiny_training import write_cache
from support.user_dataset import HEIGHT, ROI, WIDTH, write_dataset

from tddfa_ros.errors import ConfigError
from tddfa_ros.geometry.pose import to_image
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.rendering.parsing import CLASS_NAMES
from tddfa_ros.training.cache import MARGIN, open_cache
from tddfa_ros.training.data.items import read_items
from tddfa_ros.training.data.render import (
    IMAGE_SIZE,
    SIZES,
    RenderOptions,
    render_cache,
    render_lists,
)
from tddfa_ros.training.data.uv_map import posed_vertices, read_uv_map, uv_surface


@pytest.fixture
def dataset(model: MorphableModel, tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "data", model, 2)


@pytest.mark.parametrize("size", SIZES)
def test_rendered_nose_matches_landmark(model: MorphableModel, dataset: Path, size: str) -> None:
    root = dataset.parent
    assert render_lists(dataset, model, root, RenderOptions(size=size, uv_size=0)) == 2
    for name in ("0001", "0002"):
        parsing = cv2.imread(str(root / "seg_maps" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        assert parsing.dtype == np.uint8
        params = np.load(root / "params" / f"{name}.npy")
        pose = params[:12].reshape(3, 4)
        if size == IMAGE_SIZE:
            assert parsing.shape == (HEIGHT, WIDTH)
            at = to_image(model.head_landmarks(params), pose, ROI)
        else:
            assert parsing.shape == (int(size), int(size))
            margin = (int(size) - 120) / 2
            at = to_image(model.head_landmarks(params), pose, np.array([0, 0, 120, 120])) + margin
        x, y = np.round(at[30, :2]).astype(int)
        assert CLASS_NAMES[parsing[y, x]] == "nose"
        nose = np.argwhere(parsing == CLASS_NAMES.index("nose")).mean(axis=0)[::-1]
        unit = (ROI[2] - ROI[0]) / 120 if size == IMAGE_SIZE else 1
        assert np.linalg.norm(nose - at[27:31, :2].mean(axis=0)) < 12 * unit
        x, y = np.round(at[8, :2] - [0, 5 * unit]).astype(int)
        assert CLASS_NAMES[parsing[y, x]] == "skin"


@pytest.mark.parametrize("kind", ["npz", "png"])
def test_rendered_uv_map_matches_params(model: MorphableModel, dataset: Path, kind: str) -> None:
    root = dataset.parent
    other = {"npz": "png", "png": "npz"}[kind]
    for uv_format in (other, kind):  # the second takes the place of the first
        render_lists(dataset, model, root, RenderOptions("120", 32, uv_format, parsing=False))
    assert sorted(p.name for p in (root / "uv_maps").iterdir()) == [f"0001.{kind}", f"0002.{kind}"]
    assert not (root / "seg_maps").exists()
    found = read_uv_map(root / "uv_maps" / f"0002.{kind}")
    params = np.load(root / "params" / "0002.npy")
    surface = uv_surface(model, 32)
    expected = surface.unroll(model, posed_vertices(model, params))
    np.testing.assert_allclose(found, expected, atol=1 / 256 + 1e-4)


def test_rendered_maps_can_be_read(model: MorphableModel, dataset: Path, tmp_path: Path) -> None:
    render_lists(dataset, model, dataset.parent)
    items = read_items(dataset, model, strict=True)
    assert items.has_parsing and items.uv_size == RenderOptions().uv_size


def test_renders_seg_maps_of_a_cache(model: MorphableModel, tmp_path: Path) -> None:
    write_cache(tmp_path / "cache", model, 5, negatives=2)
    before = (tmp_path / "cache/labels.npz").read_bytes()
    assert render_cache(tmp_path / "cache", tmp_path / "maps", model) == 5
    cache = open_cache(tmp_path / "maps", model)
    plain = open_cache(tmp_path / "cache", model)
    assert plain.parsing is None and (tmp_path / "cache/labels.npz").read_bytes() == before
    np.testing.assert_array_equal(cache.images, plain.images)
    assert cache.parsing is not None
    assert (cache.parsing[5:] == 0).all(), "background without a face"
    for parsing, params in zip(cache.parsing[:5], cache.params, strict=False):
        pose = params[:12].reshape(3, 4)
        at = to_image(model.head_landmarks(params), pose, np.array([0, 0, 120, 120])) + MARGIN
        nose = np.argwhere(parsing == CLASS_NAMES.index("nose")).mean(axis=0)[::-1]
        assert np.linalg.norm(nose - at[27:31, :2].mean(axis=0)) < 12
    with pytest.raises(ConfigError, match="another folder than that of the cache"):
        render_cache(tmp_path / "cache", tmp_path / "cache", model)


def test_reports_unusable_items(model: MorphableModel, dataset: Path, tmp_path: Path) -> None:
    (dataset.parent / "images" / "0001.png").unlink()
    lines: list[str] = []
    assert render_lists(dataset, model, tmp_path / "out", report=lines.append) == 1
    assert lines == [
        "0001: there is no image images/0001",
        "1 of 2 items of all.list are excluded",
    ]
    assert [p.name for p in (tmp_path / "out" / "seg_maps").iterdir()] == ["0002.png"]
    with pytest.raises(ConfigError, match="cannot be used"):
        render_lists(dataset, model, tmp_path / "out", strict=True, report=lines.append)
