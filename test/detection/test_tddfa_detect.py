"""The weights of ``tddfa-detect`` that are in the package; its decoder and training are tested in ``training/test_detector.py``."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tddfa_ros.config import DetectionConfig
from tddfa_ros.detection import Detector, create_detector
from tddfa_ros.evaluation.detection_curve import DetectionCurve
from tddfa_ros.evaluation.scenes import detection_boxes
from tddfa_ros.evaluation.sets import Sets, arrays, read_image
from tddfa_ros.geometry.roi import roi_from_box, roi_from_landmarks
from tddfa_ros.model_store.store import default_store


@pytest.fixture(scope="module")
def detector() -> Detector:
    return create_detector(DetectionConfig("tddfa-detect", max_faces=100), default_store(), "cpu")


def test_detection_is_independent_of_image_size(detector: Detector, astronaut: np.ndarray) -> None:
    (reference,) = detector(astronaut)
    assert reference[4] > 0.6
    for factor in (0.4, 0.77, 2.0):
        resized = cv2.resize(astronaut, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        found = detector(resized)
        box = found[np.argmax(found[:, 4])]
        exact = (reference[:4] + 0.5) * factor - 0.5
        assert np.abs(box[:4] - exact).max() < 0.09 * (exact[2] - exact[0])


def test_no_detections_on_noise_or_plain_images(detector: Detector) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    for image in (np.zeros((480, 640, 3), np.uint8), noise, noise[:1, :1], noise[:3]):
        assert detector(image).shape == (0, 5)


def test_recall_in_group_images(detector: Detector, data_dir: Path) -> None:
    """Measured on all 214 images: recall 0.565 with 42 unmatched detections."""
    folder = data_dir / "eval" / "detection"
    curve = DetectionCurve()
    for name, boxes in detection_boxes(folder).items():
        curve.add(detector(read_image(folder / name)), boxes)
    recall, unmatched = curve.at(0.5)
    assert recall > 0.55
    assert unmatched < 60


def test_roi_of_box_agrees_with_roi_of_landmarks(detector: Detector, data_dir: Path) -> None:
    """Measured on HELEN, YTF and AFLW2000-3D: median distance 2.4 % of the side, median size -1.7 %."""
    folder = Sets(data_dir, None).folder("aflw2000")
    truth = arrays(folder / "gt.npz", "name", "pts68")
    distances, sizes, missed = [], [], 0
    for name, landmarks in zip(truth["name"][::8], truth["pts68"][::8], strict=True):
        wanted = roi_from_landmarks(landmarks[:2].T)
        side = wanted[2] - wanted[0]
        rois = roi_from_box(detector(read_image(folder / "photo" / str(name))))
        away = np.linalg.norm(rois[:, :2] + rois[:, 2:] - wanted[:2] - wanted[2:], axis=1) / 2
        if not len(away) or away.min() > 0.3 * side:
            missed += 1
            continue
        distances.append(away.min() / side)
        sizes.append((rois[np.argmin(away), 2] - rois[np.argmin(away), 0]) / side)
    assert missed <= 4
    assert np.median(distances) < 0.05
    assert abs(np.median(sizes) - 1) < 0.05
    assert np.quantile(distances, 0.9) < 0.1
