from __future__ import annotations

import numpy as np
import pytest

from tddfa_ros.detection.boxes import fit, suppress


def slow_suppress(boxes: np.ndarray, iou: float, border: float) -> list[int]:
    """Greedy non-maximum suppression, box by box."""
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: -boxes[i, 4]):
        for j in kept:
            width = min(boxes[i, 2], boxes[j, 2]) - max(boxes[i, 0], boxes[j, 0]) + border
            height = min(boxes[i, 3], boxes[j, 3]) - max(boxes[i, 1], boxes[j, 1]) + border
            common = max(width, 0) * max(height, 0)
            areas = [
                (boxes[k, 2] - boxes[k, 0] + border) * (boxes[k, 3] - boxes[k, 1] + border)
                for k in (i, j)
            ]
            if common > iou * (sum(areas) - common):
                break
        else:
            kept.append(i)
    return kept


@pytest.mark.parametrize("border", [0.0, 1.0])
def test_nms_matches_definition(border: float) -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 60, (80, 2))
    boxes = np.hstack([low, low + rng.uniform(5, 40, (80, 2)), rng.uniform(0.1, 1, (80, 1))])
    boxes = boxes.astype(np.float32)
    found = suppress(boxes, 0.3, 100, border)
    expected = boxes[slow_suppress(boxes, 0.3, border)]
    assert 5 < len(found) < 60
    np.testing.assert_array_equal(found[np.lexsort(found.T)], expected[np.lexsort(expected.T)])
    areas = (found[:, 2] - found[:, 0]) * (found[:, 3] - found[:, 1])
    assert (np.diff(areas) <= 0).all(), "largest first"
    np.testing.assert_array_equal(suppress(boxes, 0.3, 3, border), found[:3])


def test_nms_of_touching_small_boxes() -> None:
    """IoU of two 4 x 4 boxes that overlap by 2 x 4: 8 / 24; with inclusive borders 3 x 5 of 5 x 5: 15 / 35."""
    boxes = np.array([[0, 0, 4, 4, 0.9], [2, 0, 6, 4, 0.8]], np.float32)
    assert len(suppress(boxes, 0.4, 9)) == 2
    assert len(suppress(boxes, 0.4, 9, border=1.0)) == 1
    assert suppress(np.zeros((0, 5), np.float32), 0.3, 9).shape == (0, 5)


def test_images_are_scaled_and_padded() -> None:
    image = np.full((50, 100, 3), 200, np.uint8)
    fitted, scale = fit(image, 64, 32)
    assert (fitted.shape, scale) == ((32, 64, 3), 0.64)
    assert (fitted == 200).all()
    tall, scale = fit(image.transpose(1, 0, 2), 80, 32)
    assert (tall.shape, scale) == ((96, 64, 3), 0.8)
    assert (tall[:80, :40] == 200).all() and (tall[80:] == 0).all() and (tall[:, 40:] == 0).all()
    fixed, scale = fit(image, 999, 32, fixed=(60, 60))
    assert (fixed.shape, scale) == ((60, 60, 3), 0.6)
    assert (fixed[:30] == 200).all() and (fixed[30:] == 0).all()
