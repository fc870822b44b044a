from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tddfa_ros.config import DetectionConfig
from tddfa_ros.detection import create_detector
from tddfa_ros.detection.boxes import BOX_SCALE, BOX_SHIFT
from tddfa_ros.detection.centerface import CenterFace, decode
from tddfa_ros.errors import ConfigError
from tddfa_ros.geometry.roi import roi_from_box, roi_from_landmarks
from tddfa_ros.model_store.store import default_store


def test_decode_follows_the_paper() -> None:
    heat = np.zeros((6, 8), np.float32)
    size, offset = np.zeros((2, 6, 8), np.float32), np.zeros((2, 6, 8), np.float32)
    heat[2, 5], heat[2, 6], heat[5, 0] = (
        0.9,
        0.8,
        0.4,
    )  # a peak, its slope, and one below the threshold
    size[:, 2, 5] = np.log([10, 5])  # height 40 px, width 20 px
    offset[:, 2, 5] = [0.25, -0.5]
    # center: x = (5 - 0.5 + 0.5) * 4, y = (2 + 0.25 + 0.5) * 4
    np.testing.assert_allclose(decode(heat, size, offset, 0.5), [[10, -9, 30, 31, 0.9]], rtol=1e-6)
    assert decode(heat, size, offset, 0.95).shape == (0, 5)


def test_detection_is_independent_of_image_size(
    centerface_path: Path, astronaut: np.ndarray
) -> None:
    detector = CenterFace(centerface_path, device="cpu")
    (reference,) = detector(astronaut)
    assert reference[4] > 0.7
    for factor in (0.4, 0.77, 2.0):
        resized = cv2.resize(astronaut, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        (box,) = detector(resized)
        exact = (reference[:4] + 0.5) * factor - 0.5
        side = exact[2] - exact[0]
        # One map cell is 4 px of 320, and 6.4 px of the 512 px image: 9 % of this face.
        assert np.abs(box[:4] - exact).max() < 0.09 * side


def test_boxes_shift_with_the_image_and_are_clipped(
    centerface_path: Path, astronaut: np.ndarray
) -> None:
    detector = CenterFace(centerface_path, input_size=512, device="cpu")
    (reference,) = detector(astronaut)
    shifted = np.zeros_like(astronaut)
    shifted[:-32, :-64] = astronaut[32:, 64:]
    (box,) = detector(shifted)
    np.testing.assert_allclose(box[:4], reference[:4] - [64, 32, 64, 32], atol=4)
    cut = astronaut[:, 215:]  # through the middle of the face
    (box,) = detector(cut)
    np.testing.assert_allclose(box[1:4:2], reference[1:4:2], atol=6)
    assert abs(box[0]) < 8 and abs(box[2] - (reference[2] - 215)) < 8


def test_no_detections_on_noise_or_background(centerface_path: Path) -> None:
    detector = CenterFace(centerface_path, device="cpu")
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    for image in (
        np.zeros((480, 640, 3), np.uint8),
        noise,
        np.zeros((1, 1, 3), np.uint8),
        noise[:3],
    ):
        boxes = detector(image)
        assert boxes.shape == (0, 5)
        assert boxes.dtype == np.float32


def test_threshold_and_limit_can_change_between_calls(
    centerface_path: Path, astronaut: np.ndarray
) -> None:
    pair = np.hstack([astronaut, astronaut])
    detector = CenterFace(centerface_path, input_size=640, device="cpu")
    assert len(detector(pair)) == 2
    detector.max_faces = 1
    assert len(detector(pair)) == 1
    detector.score_threshold = 0.999
    assert len(detector(pair)) == 0


@pytest.mark.parametrize(
    ("input_size", "recall", "precision"), [(320, 0.58, 0.91), (640, 0.75, 0.90)]
)
def test_detects_faces_in_group_images(
    centerface_path: Path, data_dir: Path, input_size: int, recall: float, precision: float
) -> None:
    """Measured on all 214 images (half of their 964 faces under 24 px): 0.60 / 0.94 at 320 px, 0.79 / 0.93 at 640."""
    folder = data_dir / "eval" / "detection"
    truth = {
        k: np.array(v, np.float64)
        for k, v in json.loads((folder / "boxes.json").read_text()).items()
    }
    detector = CenterFace(centerface_path, input_size, max_faces=100, device="cpu")
    hits = found = total = 0
    for name in sorted(truth)[:: 4 if input_size > 320 else 1]:
        image = cv2.imread(str(folder / name))
        boxes = untouched(detector(image))
        hits += count_matches(boxes, truth[name])
        found += len(boxes)
        total += len(truth[name])
    assert hits / total > recall
    assert hits / found > precision


def test_box_roi_agrees_with_landmark_roi(centerface_path: Path, data_dir: Path) -> None:
    folder = data_dir / "eval" / "aflw2000"
    detector = CenterFace(centerface_path, device="cpu")
    scales, shifts = [], []
    with np.load(folder / "gt.npz") as gt:
        names, points = gt["name"][::8], gt["pts68"][::8]
    for name, landmarks in zip(names, points, strict=True):
        wanted = roi_from_landmarks(landmarks[:2].T)
        side, center = wanted[2] - wanted[0], (wanted[:2] + wanted[2:]) / 2
        rois = roi_from_box(detector(cv2.imread(str(folder / "photo" / name))))
        offsets = (rois[:, :2] + rois[:, 2:]) / 2 - center
        best = np.argmin(np.linalg.norm(offsets, axis=1))
        scales.append((rois[best, 2] - rois[best, 0]) / side)
        shifts.append(offsets[best] / side)
    # Without BOX_SCALE and BOX_SHIFT the median scale is 1.23.
    assert abs(np.median(scales) - 1) < 0.05
    assert np.abs(np.median(shifts, axis=0)).max() < 0.03
    # 90 % of first crops are close enough for the refinement.
    assert np.quantile(np.abs(np.log(scales)), 0.9) < 0.25
    assert np.quantile(np.linalg.norm(shifts, axis=1), 0.9) < 0.15


def test_rejects_unknown_detector() -> None:
    with pytest.raises(ConfigError, match="no detector 'haar'; known are centerface"):
        create_detector(DetectionConfig(detector="haar"), default_store())


def untouched(boxes: np.ndarray) -> np.ndarray:
    """Return the original boxes of CenterFace, whose extent is closer to annotations."""
    sides = (boxes[:, 2:4] - boxes[:, :2]) / BOX_SCALE
    centers = (boxes[:, :2] + boxes[:, 2:4]) / 2
    centers[:, 1] -= BOX_SHIFT * sides.mean(axis=1)
    return np.hstack([centers - sides / 2, centers + sides / 2])


def count_matches(found: np.ndarray, truth: np.ndarray) -> int:
    """Count pairs with an IoU of at least 0.4; each box is used once."""
    from scipy.optimize import linear_sum_assignment

    low = np.maximum(found[:, None, :2], truth[None, :, :2])
    high = np.minimum(found[:, None, 2:], truth[None, :, 2:])
    overlap = np.clip(high - low, 0, None).prod(axis=2)
    area = [(b[:, 2:] - b[:, :2]).prod(axis=1) for b in (found, truth)]
    iou = overlap / (area[0][:, None] + area[1][None] - overlap)
    return int((iou[linear_sum_assignment(-iou)] >= 0.4).sum())
