"""Crops without a face, told apart by colour: backgrounds are blue, in the face's picture red is x and green is y."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tddfa_ros.errors import ConfigError
from tddfa_ros.training.cache import CACHE_SIDE
from tddfa_ros.training.negatives import Negatives, find_pictures

ROI = np.array([88.0, 88, 168, 168], np.float32)
WIDTH, CENTRE = 80.0, 128.0
DRAWS = 240


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("negatives")
    (root / "pictures" / "deep").mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, (120, 200), dtype=np.uint8)
    blue = np.zeros((120, 200, 3), np.uint8)
    blue[..., 0] = noise | 128
    cv2.imwrite(str(root / "pictures" / "noise.png"), blue)
    cv2.imwrite(str(root / "pictures" / "deep" / "Noise.JPG"), blue[::-1])
    cv2.imwrite(str(root / "pictures" / "flat.png"), np.full((90, 90, 3), 7, np.uint8))
    cv2.imwrite(str(root / "pictures" / "tiny.png"), np.zeros((10, 10, 3), np.uint8))
    (root / "pictures" / "damaged.jpg").write_bytes(b"no picture")
    (root / "pictures" / "notes.txt").write_text("no picture either")
    v, u = np.mgrid[:256, :256]
    cv2.imwrite(str(root / "face.png"), np.stack([0 * u, v, u], axis=2).astype(np.uint8))
    return root


@pytest.fixture(scope="module")
def negatives(folder: Path) -> Negatives:
    return Negatives(find_pictures(folder / "pictures"), [(str(folder / "face.png"), ROI)])


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
    """px of the face's picture per px of the crop, in its middle."""
    return float(crop[80, 90, 2].astype(float) - crop[80, 70, 2]) / 20


def test_pictures_are_found_in_order_at_any_depth(folder: Path) -> None:
    found = find_pictures(folder / "pictures")
    names = [path.relative_to(folder / "pictures").as_posix() for path in found]
    assert names == ["damaged.jpg", "deep/Noise.JPG", "flat.png", "noise.png", "tiny.png"]


def test_the_same_generator_gives_the_same_crop(
    negatives: Negatives, drawn: list[np.ndarray]
) -> None:
    for i in (0, 7, 31):
        again = negatives.draw(np.random.default_rng((0, i)))
        np.testing.assert_array_equal(again, drawn[i])
    assert len({crop.tobytes() for crop in drawn}) == DRAWS


def test_format(drawn: list[np.ndarray]) -> None:
    assert all(c.shape == (CACHE_SIDE, CACHE_SIDE, 3) and c.dtype == np.uint8 for c in drawn)


def test_all_kinds_come_as_often_as_they_should(drawn: list[np.ndarray]) -> None:
    kinds = [kind_of(crop) for crop in drawn]
    share = {kind: kinds.count(kind) / DRAWS for kind in sorted(set(kinds))}
    expected = {"background": 0.42, "shifted": 0.33, "too close": 0.1, "too far": 0.15}
    assert share == pytest.approx(expected, abs=0.1)  # three standard errors of 0.33


def middles(drawn: list[np.ndarray], kind: str) -> Iterator[tuple[float, np.ndarray]]:
    """Scale, and how far the middle of each crop is from that of the face, in widths of its ROI."""
    for crop in drawn:
        if kind_of(crop) == kind:
            place = np.array([crop[96, 96, 2], crop[96, 96, 1]], np.float64)
            yield scale_of(crop), (place - CENTRE) / WIDTH


def test_shifted_crops_are_half_a_width_off_and_more(drawn: list[np.ndarray]) -> None:
    for scale, off in middles(drawn, "shifted"):
        assert 0.45 < np.abs(off).max() < 1.05
        assert 0.8 * WIDTH / 120 - 0.06 < scale < 1.2 * WIDTH / 120 + 0.06


def test_close_crops_show_a_part_of_the_face(drawn: list[np.ndarray]) -> None:
    for scale, off in middles(drawn, "too close"):
        assert np.abs(off).max() < 0.4
        assert scale < 0.3 * WIDTH / 120 + 0.06


def test_far_crops_show_a_small_head(drawn: list[np.ndarray]) -> None:
    for crop in drawn:
        if kind_of(crop) == "too far":
            rows, columns = np.nonzero(crop[..., 0] < 100)
            # JPEG and interpolation darken single pixels of the background
            side = np.sqrt(len(rows))
            assert 0.23 * CACHE_SIDE < side < 0.53 * CACHE_SIDE
            assert np.ptp(columns) >= side - 2


def test_flat_and_unreadable_pictures_are_passed_over(folder: Path) -> None:
    flat = [folder / "pictures" / name for name in ("flat.png", "tiny.png", "damaged.jpg")]
    negatives = Negatives(flat, [(str(folder / "face.png"), ROI)])
    for i in range(20):
        assert negatives.draw(np.random.default_rng(i)).std() > 10


def test_a_lost_face_gives_background(folder: Path) -> None:
    negatives = Negatives([folder / "pictures" / "noise.png"], [("nowhere.png", ROI)])
    assert all(kind_of(negatives.draw(np.random.default_rng(i))) == "background" for i in range(20))


def test_the_roi_of_a_large_photograph_is_reduced_with_it(folder: Path, tmp_path: Path) -> None:
    face = cv2.imread(str(folder / "face.png"))
    large = tmp_path / "large.bmp"
    cv2.imwrite(str(large), cv2.resize(face, None, fx=8, fy=8, interpolation=cv2.INTER_LINEAR))
    negatives = Negatives([folder / "pictures" / "noise.png"], [(str(large), 8 * ROI)])
    drawn = [negatives.draw(np.random.default_rng(i)) for i in range(24)]
    shifted, close = ([off for _, off in middles(drawn, k)] for k in ("shifted", "too close"))
    assert len(shifted) > 3
    assert all(0.45 < np.abs(off).max() < 1.05 for off in shifted)
    assert all(np.abs(off).max() < 0.4 for off in close)


def test_cut_out_figures_and_grey_pictures(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    figure = np.zeros((80, 80, 4), np.uint8)
    figure[20:60, 20:60, :3] = rng.integers(180, 256, (40, 40, 3))
    figure[20:60, 20:60, 3] = 255
    cv2.imwrite(str(tmp_path / "figure.png"), figure)
    cv2.imwrite(str(tmp_path / "grey.png"), rng.integers(0, 256, (80, 80), dtype=np.uint8))
    for name in ("figure.png", "grey.png"):
        crop = Negatives([tmp_path / name], [("nowhere.png", ROI)]).draw(np.random.default_rng(0))
        assert crop.shape == (CACHE_SIDE, CACHE_SIDE, 3)
    from tddfa_ros.training.negatives import _read

    read = _read(tmp_path / "figure.png")
    assert read is not None
    picture, scale = read
    assert scale == 1.0
    assert (picture[5, 5] < 80).all(), "behind a bright figure it is dark"
    np.testing.assert_array_equal(picture[30, 30], figure[30, 30, :3])


@pytest.mark.parametrize(("pictures", "faces"), [([], [("a", ROI)]), ([Path("a")], [])])
def test_nothing_to_cut_from_is_named(pictures: list[Path], faces: list[object]) -> None:
    with pytest.raises(ConfigError, match="negatives need"):
        Negatives(pictures, faces)
