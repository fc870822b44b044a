from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.user_dataset import HEIGHT, ROI, WIDTH, gradient, write_dataset

from tddfa_ros.errors import ConfigError
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.cache import CACHE_SIDE, MARGIN
from tddfa_ros.training.data.frames import IGNORE
from tddfa_ros.training.data.items import FolderDataset, in_threads, read_items
from tddfa_ros.training.data.render import RenderOptions, render_lists


def test_sample_is_roi_with_margin(model: MorphableModel, dataset: Path) -> None:
    items = read_items(dataset, model)
    assert (len(items), items.bad, items.has_parsing, items.uv_size) == (4, (), True, 16)
    data = FolderDataset(items)
    assert len(data) == 4
    sample = data[2]
    at = np.arange(CACHE_SIDE) - MARGIN
    scale = (ROI[2] - ROI[0]) / 120
    assert sample.image.shape == (CACHE_SIDE, CACHE_SIDE, 3)
    # blue is x of the image, green y, red the item; one level for rounding
    np.testing.assert_allclose(sample.image[80, :, 0], np.maximum(ROI[0] + at * scale, 0), atol=1.3)
    np.testing.assert_allclose(sample.image[:, 80, 1], np.maximum(ROI[1] + at * scale, 0), atol=1.3)
    assert (sample.image[5:, :, 2] == 20).all()  # the first rows lie above the image
    np.testing.assert_array_equal(sample.params, np.load(dataset.parent / "params" / "0003.npy"))
    assert sample.parsing is not None and sample.parsing.shape == (CACHE_SIDE, CACHE_SIDE)
    assert sample.uv_position is not None and sample.uv_position.shape == (16, 16, 3)


def test_roi_defaults_to_whole_image(model: MorphableModel, tmp_path: Path) -> None:
    items = read_items(write_dataset(tmp_path / "data", model, 1, rois=False), model)
    assert (items.has_parsing, items.uv_size) == (False, 0)
    sample = FolderDataset(items)[0]
    inner = np.arange(120)
    np.testing.assert_allclose(
        sample.image[80, MARGIN : MARGIN + 120, 0], inner * WIDTH / 120, atol=1.01
    )
    np.testing.assert_allclose(
        sample.image[MARGIN : MARGIN + 120, 80, 1], inner * HEIGHT / 120, atol=1.01
    )
    assert not sample.image[:MARGIN].any()
    assert sample.parsing is None and sample.uv_position is None


@pytest.mark.parametrize("size", ["120", "160", "image"])
def test_seg_map_sizes_are_equivalent(model: MorphableModel, dataset: Path, size: str) -> None:
    usual = [s.parsing for s in FolderDataset(read_items(dataset, model))]
    render_lists(dataset, model, dataset.parent, RenderOptions(size=size, uv_size=0))
    other = [s.parsing for s in FolderDataset(read_items(dataset, model))]
    for a, b in zip(usual, other, strict=True):
        assert a is not None and b is not None
        known = b != IGNORE
        inner = slice(MARGIN, MARGIN + 120)
        assert known[inner, inner].all()
        if size == "120":
            assert known.sum() == 120 * 120
        if size == "image":
            np.testing.assert_array_equal(known, a != IGNORE)
        assert (a > 0).sum() > 2000
        # only at the borders of classes, where nearest pixels of another grid decide
        assert (a != b)[known].mean() < 0.02


@pytest.mark.parametrize("size", ["192", "image"])
def test_pixels_outside_the_image_are_ignored(
    model: MorphableModel, dataset: Path, size: str
) -> None:
    roi = np.array([-15, 40, 135, 190], np.float32)
    np.save(dataset.parent / "rois" / "0001.npy", roi)
    render_lists(dataset, model, dataset.parent, RenderOptions(size=size, uv_size=0))
    parsing = FolderDataset(read_items(dataset, model))[0].parsing
    assert parsing is not None
    # x of the image is -15 + 1.25 (c - 36): negative for cache columns 0..47; y is 40 + 1.25 (c - 36): for rows 0..3
    assert (parsing[:, :47] == IGNORE).all() and (parsing[5:, 49:] != IGNORE).all()


def _cut(path: Path, share: float = 0.6) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def _encode(path: Path, suffix: str) -> Path:
    image = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    new = path.with_suffix(suffix)
    path.unlink()
    assert cv2.imwrite(str(new), image)
    return new


def _save(path: Path, change: Callable[[np.ndarray], object]) -> None:
    np.save(path, change(np.load(path)))


def _with_nan(values: np.ndarray) -> np.ndarray:
    values[3] = np.nan
    return values


def _image(root: Path) -> Path:
    return root / "images" / "0002.png"


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "no image": (lambda r: _image(r).unlink(), "no image images/0002"),
    "empty image": (lambda r: _image(r).write_bytes(b""), "images/0002.png is empty"),
    "png": (lambda r: _cut(_image(r)), "images/0002.png is truncated"),
    "jpg": (lambda r: _cut(_encode(_image(r), ".jpg")), "images/0002.jpg is truncated"),
    "webp": (lambda r: _cut(_encode(_image(r), ".webp")), "images/0002.webp is truncated"),
    "text": (lambda r: _image(r).write_text("hello"), "cannot be read as an image"),
    "two": (lambda r: cv2.imwrite(str(r / "images/0002.jpg"), gradient()), "0002.jpg and 0002.png"),
    "no params": (lambda r: (r / "params/0002.npy").unlink(), "no params/0002.npy"),
    "cut params": (lambda r: _cut(r / "params/0002.npy"), "params/0002.npy is damaged"),
    "nan": (lambda r: _save(r / "params/0002.npy", _with_nan), "params/0002.npy contains NaN"),
    "length": (lambda r: _save(r / "params/0002.npy", lambda p: p[:-1]), r"shape \(21,\).*\(22,\)"),
    "zero": (lambda r: _save(r / "params/0002.npy", np.zeros_like), "pose in params is degenerate"),
    "text params": (
        lambda r: _save(r / "params/0002.npy", lambda p: "x"),
        "not an array of numbers",
    ),
    "no roi": (lambda r: (r / "rois/0002.npy").unlink(), "no rois/0002.npy"),
    "flat roi": (
        lambda r: _save(r / "rois/0002.npy", lambda p: p[[0, 1, 0, 3]]),
        "ROI .* is degenerate",
    ),
    "turned roi": (
        lambda r: _save(r / "rois/0002.npy", lambda p: p[[2, 3, 0, 1]]),
        "ROI .* is degenerate",
    ),
    "far roi": (lambda r: _save(r / "rois/0002.npy", lambda p: p + 300), "outside the image"),
    "no seg map": (lambda r: (r / "seg_maps/0002.png").unlink(), "no seg_maps/0002.png"),
    "seg map size": (
        lambda r: cv2.imwrite(str(r / "seg_maps/0002.png"), np.zeros((64, 64), np.uint8)),
        "64x64 px, neither the 250x240",
    ),
    "seg map color": (
        lambda r: cv2.imwrite(str(r / "seg_maps/0002.png"), gradient()),
        "not a gray image",
    ),
    "seg map class": (
        lambda r: cv2.imwrite(str(r / "seg_maps/0002.png"), np.full((120, 120), 9, np.uint8)),
        "class 9, there are 0 to 8",
    ),
    "no uv": (lambda r: (r / "uv_maps/0002.png").unlink(), "no uv_maps/0002.npz or .png"),
    "uv size": (
        lambda r: cv2.imwrite(str(r / "uv_maps/0002.png"), np.ones((8, 8, 3), np.uint16)),
        "8x8 px, the others have 16x16",
    ),
    "uv depth": (lambda r: cv2.imwrite(str(r / "uv_maps/0002.png"), gradient(16, 16)), "16 bits"),
}


@pytest.mark.parametrize("kind", BAD)
def test_unusable_items_are_excluded(model: MorphableModel, dataset: Path, kind: str) -> None:
    spoil, reason = BAD[kind]
    spoil(dataset.parent)
    lines: list[str] = []
    items = read_items(dataset, model, report=lines.append)
    assert [entry.name for entry in items.entries] == ["0001", "0003", "0004"]
    assert [item.name for item in items.bad] == ["0002"]
    assert lines == [str(items.bad[0]), "1 of 4 items of all.list are excluded"]
    assert lines[0].startswith("0002: ")
    with pytest.raises(ConfigError, match=reason):
        raise ConfigError(lines[0])
    assert items.uv_size == 16
    with pytest.raises(ConfigError, match=r"^1 of 4 items of all\.list cannot be used, .* 0002: "):
        read_items(dataset, model, strict=True, report=lines.append)
    assert lines[2:] == lines[:1]


def test_strict_accepts_valid_items_silently(model: MorphableModel, dataset: Path) -> None:
    lines: list[str] = []
    assert len(read_items([dataset, dataset], model, strict=True, report=lines.append)) == 8
    assert lines == []


def test_report_defaults_to_logging(
    model: MorphableModel, dataset: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (dataset.parent / "params" / "0004.npy").unlink()
    with caplog.at_level(logging.WARNING):
        read_items(dataset, model)
    assert [record.message for record in caplog.records] == [
        "0004: there is no params/0004.npy",
        "1 of 4 items of all.list are excluded",
    ]


def test_name_outside_the_dataset_is_unusable(model: MorphableModel, dataset: Path) -> None:
    dataset.write_text("0001\n../data/0002\n")
    items = read_items(dataset, model, report=lambda line: None)
    assert len(items) == 1 and "relative" in items.bad[0].reason


def test_rejects_dataset_without_usable_items(model: MorphableModel, dataset: Path) -> None:
    lines: list[str] = []
    for path in (dataset.parent / "params").iterdir():
        path.unlink()
    with pytest.raises(ConfigError, match=r"none of the 4 items of all\.list can be used"):
        read_items(dataset, model, report=lines.append)
    assert len(lines) == 4


def test_reports_item_changed_after_check(model: MorphableModel, dataset: Path) -> None:
    data = FolderDataset(read_items(dataset, model))
    (dataset.parent / "params" / "0001.npy").unlink()
    with pytest.raises(ConfigError, match="0001 has changed"):
        _ = data[0]


def test_in_threads_keeps_order_and_raises() -> None:
    assert list(in_threads(lambda i: i * i, range(300), "square")) == [i * i for i in range(300)]
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda i: 1 // (5 - i), range(300), "divide"))


def test_maps_are_optional_per_list(model: MorphableModel, dataset: Path) -> None:
    root = dataset.parent
    for item in ("0002", "0003"):
        (root / "seg_maps" / f"{item}.png").unlink()
        for path in (root / "uv_maps").glob(f"{item}.*"):
            path.unlink()
    (root / "val.list").write_text("0002\n0003\n")
    items = read_items(root / "val.list", model, strict=True)
    assert len(items) == 2 and not items.has_parsing and items.uv_size == 0
