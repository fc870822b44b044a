from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from support.golden import golden

from tddfa_ros.errors import ImageError
from tddfa_ros.geometry import roi


def ramp(height: int = 90, width: int = 110) -> np.ndarray:
    """An image that is linear in x (channel 0) and y (channel 1), so sampling it reads back the position."""
    y, x = np.mgrid[:height, :width]
    return np.stack([2 * x, 2 * y, np.full_like(x, 200)], axis=-1).astype(np.uint8)


def dot(shape: tuple[int, int], center: np.ndarray, sigma: float) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    value = 250 * np.exp(-((x - center[0]) ** 2 + (y - center[1]) ** 2) / (2 * sigma**2))
    return np.repeat(value[..., None], 3, axis=2).astype(np.uint8)


def centroid(image: np.ndarray) -> np.ndarray:
    value = image[..., 0].astype(np.float64)
    y, x = np.mgrid[: value.shape[0], : value.shape[1]]
    return np.array([(x * value).sum(), (y * value).sum()]) / value.sum()


@pytest.mark.parametrize("name", ["JianzhuGuo", "emma"])
def test_rois_match_3ddfa_v2(data_dir: Path, name: str) -> None:
    """Up to the original's float32."""
    gold = golden(data_dir, name)
    np.testing.assert_allclose(roi.roi_from_box(gold["boxes"]), gold["roi_boxes"], atol=2e-4)
    landmarks = gold["sparse68"].transpose(0, 2, 1)
    np.testing.assert_allclose(
        roi.roi_from_landmarks(landmarks), gold["refine_roi_boxes"], atol=1e-3
    )


@pytest.mark.parametrize("name", ["JianzhuGuo", "emma"])
def test_crops_match_3ddfa_v2(data_dir: Path, name: str) -> None:
    """The original rounds the edges and resizes about pixel centers, half a crop pixel off its own way back.

    Undo both in the ROI we ask for; what is left is our anti-aliasing.
    """
    gold = golden(data_dir, name)
    image = cv2.imread(str(data_dir / "3ddfa_v2" / "golden" / f"{name}.jpg"))
    rounded = np.round(gold["roi_boxes"])
    step = (rounded[:, 2:3] - rounded[:, :1]) / 120
    ours = roi.crop_batch(image, rounded + (step - 1) / 2).astype(np.float64)
    for a, b in zip(ours, gold["crops120_bgr"].astype(np.float64), strict=True):
        a, b = cv2.GaussianBlur(a, None, 1.5), cv2.GaussianBlur(b, None, 1.5)
        (dx, dy), _ = cv2.phaseCorrelate(a[..., 1].copy(), b[..., 1].copy())
        assert np.hypot(dx, dy) < 0.1
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.998


def test_roi_from_box_is_larger_lower_and_of_whole_pixels() -> None:
    square = roi.roi_from_box(np.array([10.0, 20.0, 110.0, 140.0, 0.9]))
    assert square[2] - square[0] == 173.0  # int(1.58 * 110)
    assert (square[:2] + square[2:]).tolist() == pytest.approx([120.0, 2 * (80 + 0.14 * 110)])


def test_roi_from_landmarks_is_a_square_around_them() -> None:
    points = np.array([[0.0, 0.0, 5.0], [30.0, 10.0, -400.0], [10.0, 20.0, 0.0]])
    square = roi.roi_from_landmarks(points)
    half = 30 * np.sqrt(2) / 2
    np.testing.assert_allclose(square, [15 - half, 10 - half, 15 + half, 10 + half])


def test_crop_pixel_convention() -> None:
    x0, y0, side, size = 20.25, 31.5, 30.0, 120
    crop = roi.crop(ramp(), np.array([x0, y0, x0 + side, y0 + side]), size)
    u = np.arange(size)
    expected = 2 * (x0 + u * side / size)
    np.testing.assert_allclose(crop[40, :, 0], expected, atol=0.6)  # rounded to whole gray levels
    np.testing.assert_allclose(crop[:, 40, 1], 2 * (y0 + u * side / size), atol=0.6)


@pytest.mark.parametrize("side", [100.0, 250.0, 600.0, 731.0])
@pytest.mark.parametrize("offset", [0.0, 0.37])
def test_anti_aliasing_does_not_shift_crop(side: float, offset: float) -> None:
    square = np.array([60.0 + offset, 40.0, 60.0 + offset + side, 40.0 + side])
    at = np.array([0.55, 0.45])
    image = dot((900, 900), square[:2] + at * side, sigma=side / 30)
    np.testing.assert_allclose(centroid(roi.crop(image, square)), at * 120, atol=0.06)


def test_large_faces_do_not_alias() -> None:
    """One-pixel stripes average to gray; sampling without a filter would turn them into bars."""
    image = np.zeros((800, 800, 3), dtype=np.uint8)
    image[:, ::2] = 255
    crop = roi.crop(image, np.array([50.3, 50.0, 650.3, 650.0]))
    assert crop.std() < 15
    assert abs(float(crop.mean()) - 127.5) < 3


def test_crop_outside_image_is_zero() -> None:
    white = np.full((100, 100, 3), 255, dtype=np.uint8)
    for side in (80.0, 400.0):  # without and with the reduction of large faces
        crop = roi.crop(white, np.array([-side / 2, -side / 2, side / 2, side / 2]))
        assert not crop[:59, :59].any()
        assert (crop[62:70, 62:70] == 255).all()


def test_roi_outside_image_is_zero() -> None:
    white = np.full((50, 50, 3), 255, dtype=np.uint8)
    assert not roi.crop(white, np.array([1e4, 0, 1e4 + 40, 40])).any()
    assert not roi.crop(white, np.array([-500.0, -500.0, -10.0, -10.0])).any()


def test_crop_batch_equals_single_crops() -> None:
    rois = np.array([[5.0, 5, 45, 45], [-10.0, 20, 60, 90]])
    crops = roi.crop_batch(ramp(), rois, 64)
    assert crops.shape == (2, 64, 64, 3)
    for crop, square in zip(crops, rois, strict=True):
        np.testing.assert_array_equal(crop, roi.crop(ramp(), square, 64))
    assert roi.crop_batch(ramp(), np.zeros((0, 4))).shape == (0, 120, 120, 3)


@pytest.mark.parametrize(
    "square",
    [
        [0, 0, 0, 10],
        [10, 10, 5, 20],
        [np.nan, 0, 10, 10],
        [0, 0, np.inf, 10],
        [0, 0, 1e7, 1e7],
        [0, 0, 1],
    ],
)
def test_degenerate_rois_are_image_errors(square: list[float]) -> None:
    with pytest.raises(ImageError, match="region of interest"):
        roi.crop(ramp(), np.array(square, dtype=np.float64))


def test_degenerate_boxes_and_landmarks_are_image_errors() -> None:
    with pytest.raises(ImageError, match="box"):
        roi.roi_from_box(np.array([[0.0, 0, 10, 10], [5.0, 5, 5, 9]]))
    with pytest.raises(ImageError, match="box"):
        roi.roi_from_box(np.array([np.nan, 0, 10, 10]))
    with pytest.raises(ImageError, match="landmarks"):
        roi.roi_from_landmarks(np.full((68, 2), 3.0))
    with pytest.raises(ImageError, match="landmarks"):
        roi.roi_from_landmarks(np.array([[0.0, 0.0], [np.nan, 1.0]]))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((10, 10, 3), np.float32),
        np.zeros((0, 10, 3), np.uint8),
    ],
)
def test_unusable_images_are_image_errors(image: np.ndarray) -> None:
    with pytest.raises(ImageError):
        roi.crop(image, np.array([0.0, 0, 5, 5]))
