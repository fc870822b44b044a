"""Negatives in color-coded images: backgrounds are blue; in the image of the face red encodes x and green y."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tddfa_ros.errors import ConfigError
from tddfa_ros.training.cache import CACHE_SIDE
from tddfa_ros.training.negatives import Negatives, find_images

ROI = np.array([88.0, 88, 168, 168], np.float32)
WIDTH, CENTER = 80.0, 128.0
DRAWS = 240


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("negatives")
    (root / "backgrounds" / "deep").mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, (120, 200), dtype=np.uint8)
    blue = np.zeros((120, 200, 3), np.uint8)
    blue[..., 0] = noise | 128
    cv2.imwrite(str(root / "backgrounds" / "noise.png"), blue)
    cv2.imwrite(str(root / "backgrounds" / "deep" / "Noise.JPG"), blue[::-1])
    cv2.imwrite(str(root / "backgrounds" / "flat.png"), np.full((90, 90, 3), 7, np.uint8))
    cv2.imwrite(str(root / "backgrounds" / "tiny.png"), np.zeros((10, 10, 3), np.uint8))
    (root / "backgrounds" / "damaged.jpg").write_bytes(b"no image")
    (root / "backgrounds" / "notes.txt").write_text("no image either")
    v, u = np.mgrid[:256, :256]
    cv2.imwrite(str(root / "face.png"), np.stack([0 * u, v, u], axis=2).astype(np.uint8))
    return root


@pytest.fixture(scope="module")
def negatives(folder: Path) -> Negatives:
    return Negatives(find_images(folder / "backgrounds"), [(str(folder / "face.png"), ROI)])


@pytest.fixture(scope="module")
def drawn(negatives: Negatives) -> list[np.ndarray]:
    return [negatives.draw(np.random.default_rng((0, i))) for i in range(DRAWS)]


def kind_of(crop: np.ndarray) -> str:
    blue = (crop[..., 0] > 100).mean()
    if blue > 0.97:
        return "background"
    if blue > 0.5:
        return "too far"
    return "shifted" if scale_of(crop) > 0.35 else "too close"


def scale_of(crop: np.ndarray) -> float:
    """Scale at the center of the crop: px of the image of the face per px."""
    return float(crop[80, 90, 2].astype(float) - crop[80, 70, 2]) / 20


def test_find_images_is_recursive_and_sorted(folder: Path) -> None:
    found = find_images(folder / "backgrounds")
    names = [path.relative_to(folder / "backgrounds").as_posix() for path in found]
    assert names == ["damaged.jpg", "deep/Noise.JPG", "flat.png", "noise.png", "tiny.png"]


def test_negatives_depend_on_the_generator_only(
    negatives: Negatives, drawn: list[np.ndarray]
) -> None:
    for i in (0, 7, 31):
        again = negatives.draw(np.random.default_rng((0, i)))
        np.testing.assert_array_equal(again, drawn[i])
    assert len({crop.tobytes() for crop in drawn}) == DRAWS


def test_format(drawn: list[np.ndarray]) -> None:
    assert all(c.shape == (CACHE_SIDE, CACHE_SIDE, 3) and c.dtype == np.uint8 for c in drawn)


def test_frequencies_of_negative_kinds(drawn: list[np.ndarray]) -> None:
    kinds = [kind_of(crop) for crop in drawn]
    share = {kind: kinds.count(kind) / DRAWS for kind in sorted(set(kinds))}
    expected = {"background": 0.42, "shifted": 0.33, "too close": 0.1, "too far": 0.15}
    assert share == pytest.approx(expected, abs=0.1)  # three standard errors of 0.33


def middles(drawn: list[np.ndarray], kind: str) -> Iterator[tuple[float, np.ndarray]]:
    """Yield scale and offset of the crop center from the face center, in widths of its ROI."""
    for crop in drawn:
        if kind_of(crop) == kind:
            place = np.array(
                [
                    crop[CACHE_SIDE // 2, CACHE_SIDE // 2, 2],
                    crop[CACHE_SIDE // 2, CACHE_SIDE // 2, 1],
                ],
                np.float64,
            )
            yield scale_of(crop), (place - CENTER) / WIDTH


def test_shifted_negatives_are_off_by_half_a_width(drawn: list[np.ndarray]) -> None:
    for scale, off in middles(drawn, "shifted"):
        assert 0.45 < np.abs(off).max() < 1.05
        assert 0.8 * WIDTH / 120 - 0.06 < scale < 1.2 * WIDTH / 120 + 0.06


def test_close_negatives_show_part_of_the_face(drawn: list[np.ndarray]) -> None:
    for scale, off in middles(drawn, "too close"):
        assert np.abs(off).max() < 0.4
        assert scale < 0.3 * WIDTH / 120 + 0.06


def test_far_negatives_show_a_small_head(drawn: list[np.ndarray]) -> None:
    for crop in drawn:
        if kind_of(crop) == "too far":
            rows, columns = np.nonzero(crop[..., 0] < 100)
            # JPEG and interpolation darken single pixels of the background
            side = np.sqrt(len(rows))
            assert 0.23 * CACHE_SIDE < side < 0.53 * CACHE_SIDE
            assert np.ptp(columns) >= side - 2


def test_skips_flat_and_unreadable_backgrounds(folder: Path) -> None:
    flat = [folder / "backgrounds" / name for name in ("flat.png", "tiny.png", "damaged.jpg")]
    negatives = Negatives(flat, [(str(folder / "face.png"), ROI)])
    for i in range(20):
        assert negatives.draw(np.random.default_rng(i)).std() > 10


def test_missing_face_image_falls_back_to_background(folder: Path) -> None:
    negatives = Negatives([folder / "backgrounds" / "noise.png"], [("nowhere.png", ROI)])
    assert all(kind_of(negatives.draw(np.random.default_rng(i))) == "background" for i in range(20))


def test_roi_is_scaled_with_large_image(folder: Path, tmp_path: Path) -> None:
    face = cv2.imread(str(folder / "face.png"))
    large = tmp_path / "large.bmp"
    cv2.imwrite(str(large), cv2.resize(face, None, fx=8, fy=8, interpolation=cv2.INTER_LINEAR))
    negatives = Negatives([folder / "backgrounds" / "noise.png"], [(str(large), 8 * ROI)])
    drawn = [negatives.draw(np.random.default_rng(i)) for i in range(24)]
    shifted, close = ([off for _, off in middles(drawn, k)] for k in ("shifted", "too close"))
    assert len(shifted) > 3
    assert all(0.45 < np.abs(off).max() < 1.05 for off in shifted)
    assert all(np.abs(off).max() < 0.4 for off in close)


def test_transparent_and_gray_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    figure = np.zeros((80, 80, 4), np.uint8)
    figure[20:60, 20:60, :3] = rng.integers(180, 256, (40, 40, 3))
    figure[20:60, 20:60, 3] = 255
    cv2.imwrite(str(tmp_path / "figure.png"), figure)
    cv2.imwrite(str(tmp_path / "gray.png"), rng.integers(0, 256, (80, 80), dtype=np.uint8))
    for name in ("figure.png", "gray.png"):
        crop = Negatives([tmp_path / name], [("nowhere.png", ROI)]).draw(np.random.default_rng(0))
        assert crop.shape == (CACHE_SIDE, CACHE_SIDE, 3)
    from tddfa_ros.training.negatives import _read

    read = _read(tmp_path / "figure.png")
    assert read is not None
    image, scale = read
    assert scale == 1.0
    assert (image[5, 5] < 80).all(), "a bright figure gets a dark background"
    np.testing.assert_array_equal(image[30, 30], figure[30, 30, :3])


@pytest.mark.parametrize(("backgrounds", "faces"), [([], [("a", ROI)]), ([Path("a")], [])])
def test_rejects_empty_inputs(backgrounds: list[Path], faces: list[object]) -> None:
    with pytest.raises(ConfigError, match="negatives need"):
        Negatives(backgrounds, faces)
