from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from support.synthetic_model import synthetic_model

from tddfa_ros.errors import ConfigError
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.cache import (
    CACHE_SIDE,
    HOLD_OUT_EVERY,
    MARGIN,
    create_images,
    cut,
    fill_margin,
    open_cache,
)

# -- format ----------------------------------------------------------------------------------------------------------


def write(folder: Path, model: MorphableModel, count: int = 3, **more: np.ndarray) -> None:
    images = create_images(folder, count)
    images[:] = np.arange(count, dtype=np.uint8)[:, None, None, None]
    images.flush()
    np.savez(
        folder / "labels.npz",
        params=np.ones((count, model.layout.size), np.float32),
        yaw_deg=np.zeros(count, np.float32),
        source=np.full(count, "toy"),
        error=np.zeros(count, np.float32),
        topology_id=model.topology_id,
        **more,
    )


def test_defaults_of_missing_labels(tiny_model: MorphableModel, tmp_path: Path) -> None:
    write(tmp_path, tiny_model, 2 * HOLD_OUT_EVERY)
    cache = open_cache(tmp_path, tiny_model)
    assert cache.face.all() and (cache.weight == 1).all()
    assert np.flatnonzero(cache.held_out).tolist() == [0, HOLD_OUT_EVERY]
    assert cache.parsing is None and cache.uv_position is None
    assert isinstance(cache.images, np.memmap) and (cache.images[5] == 5).all()


def test_reads_all_arrays(tiny_model: MorphableModel, tiny_folder: Path) -> None:
    cache = open_cache(tiny_folder, tiny_model)
    assert len(cache) == 132 and cache.face.sum() == 96
    assert cache.held_out.sum() == 8 + 3
    assert cache.parsing is not None and cache.parsing.shape == (132, CACHE_SIDE, CACHE_SIDE)


def test_new_cache_removes_old_files(tiny_model: MorphableModel, tmp_path: Path) -> None:
    write(tmp_path, tiny_model)
    np.save(tmp_path / "parsing.npy", np.zeros((3, CACHE_SIDE, CACHE_SIDE), np.uint8))
    create_images(tmp_path, 5)  # and then the machine is turned off
    with pytest.raises(ConfigError, match="no training cache"):
        open_cache(tmp_path, tiny_model)
    assert not (tmp_path / "parsing.npy").exists()


def test_rejects_cache_of_another_model(tiny_model: MorphableModel, tmp_path: Path) -> None:
    write(tmp_path, tiny_model)
    with pytest.raises(ConfigError, match=tiny_model.topology_id):
        open_cache(tmp_path, synthetic_model())


def test_rejects_mismatched_arrays(tiny_model: MorphableModel, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="tddfa dataset cache"):
        open_cache(tmp_path, tiny_model)
    write(tmp_path, tiny_model)
    np.save(tmp_path / "parsing.npy", np.zeros((2, CACHE_SIDE, CACHE_SIDE), np.uint8))
    with pytest.raises(ConfigError, match=r"parsing\.npy holds 2 rows, labels\.npz 3"):
        open_cache(tmp_path, tiny_model)
    (tmp_path / "parsing.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(ConfigError, match=r"parsing\.npy cannot be read"):
        open_cache(tmp_path, tiny_model)
    (tmp_path / "parsing.npy").unlink()
    (tmp_path / "images.npy").unlink()
    with pytest.raises(ConfigError, match=r"has no images\.npy"):
        open_cache(tmp_path, tiny_model)


# -- cutting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 0.5, 1.5])
def test_stored_crop_is_roi_with_margin(tmp_path: Path, scale: float) -> None:
    v, u = np.mgrid[:250, :250]
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), np.stack([u, v, 0 * u], axis=2).astype(np.uint8))
    roi = np.array([31, 33, 31 + 120 * scale, 33 + 120 * scale], np.float32)
    stored = cut(str(path), roi)
    at = scale * (np.arange(CACHE_SIDE) - MARGIN)
    assert stored.shape == (CACHE_SIDE, CACHE_SIDE, 3)
    for line, wanted in ((stored[70, :, 0], 31 + at), (stored[:, 70, 1], 33 + at)):
        inside = (wanted >= 0) & (wanted <= 249)
        np.testing.assert_allclose(line[inside], wanted[inside], atol=0.51)
        assert (line[(wanted < -1) | (wanted > 250)] == 0).all()


def test_reports_unreadable_image(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.png"):
        cut(str(tmp_path / "nowhere.png"), np.array([0, 0, 10, 10], np.float32))


# -- margins ---------------------------------------------------------------------------------------------------------

BLACK, REFLECTED, REPEATED = 0, 7, 17
"""Rows whose margins are left black, reflected and repeated."""


def photo(left: int = 0, top: int = 0, bottom: int = 0) -> np.ndarray:
    """Bright, with x and y in blue and green; black outside the image, half black at its border, as after interpolation."""
    v, u = np.mgrid[:CACHE_SIDE, :CACHE_SIDE]
    image = np.stack([50 + u, 50 + v, 0 * u + 90], axis=2).astype(np.uint8)
    image[:, :left], image[:top] = 0, 0
    if bottom:
        image[-bottom:] = 0
    return image


def test_image_without_padding_is_unchanged() -> None:
    for row in range(20):
        np.testing.assert_array_equal(fill_margin(photo(), row), photo())


def test_row_selects_the_fill_method(  # 3 of 20 black, 12 reflected, 5 repeated
) -> None:
    image = photo(left=10)
    kinds = []
    for row in range(20):
        filled = fill_margin(image, row)
        if (filled[:, 5] == 0).all():
            kinds.append("black")
        else:
            kinds.append("repeated" if (filled[:, 0] == filled[:, 9]).all() else "reflected")
    assert [kinds.count(k) for k in ("black", "reflected", "repeated")] == [3, 12, 5]


def test_padding_by_reflection_and_edge() -> None:
    image = photo(left=10, bottom=6)
    reflected, repeated = fill_margin(image, REFLECTED), fill_margin(image, REPEATED)
    # the outermost pixels of the image may be blended with the black beyond: they are replaced too
    first, last = 11, CACHE_SIDE - 8
    inner = (slice(0, last + 1), slice(first, None))
    for filled in (reflected, repeated):
        np.testing.assert_array_equal(filled[inner], image[inner])
        assert filled.min() > 0
    np.testing.assert_array_equal(reflected[20, :first, 0], 50 + first + np.arange(first, 0, -1))
    np.testing.assert_array_equal(reflected[-1, 50], image[last - (CACHE_SIDE - 1 - last), 50])
    assert (repeated[20, :first, 0] == 50 + first).all()
    assert (repeated[last:, 50, 1] == 50 + last).all()


def test_wide_padding_is_not_reflected() -> None:
    """A reflection would show a second face."""
    filled = fill_margin(photo(top=60), REFLECTED)
    assert (filled[:60, 30] == filled[61, 30]).all()


def test_black_images_are_unchanged() -> None:
    image = photo(left=10)
    np.testing.assert_array_equal(fill_margin(image, BLACK), image)
    black = np.zeros_like(image)
    for row in (BLACK, REFLECTED, REPEATED):
        np.testing.assert_array_equal(fill_margin(black, row), black)


def test_dark_pixels_inside_are_not_padding() -> None:
    image = photo()
    image[40:120, 40:120] = 0
    np.testing.assert_array_equal(fill_margin(image, REFLECTED), image)
