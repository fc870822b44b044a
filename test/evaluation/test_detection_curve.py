"""Recall at equal numbers of unmatched detections."""

from __future__ import annotations

import numpy as np
import pytest

from tddfa_ros.evaluation.detection_curve import DetectionCurve

FACES = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10.0]])


def boxes(*rows: tuple[int, float]) -> np.ndarray:
    """Return detections that start at x, 10 px wide, with these scores."""
    return np.array([[x, 0, x + 10, 10, score] for x, score in rows], dtype=np.float64)


def test_recall_falls_with_the_threshold() -> None:
    curve = DetectionCurve()
    # a hit, a second detection of the same face, a false one, another hit
    curve.add(boxes((0, 0.9), (1, 0.8), (70, 0.7), (21, 0.6)), FACES)
    assert (curve.faces, curve.images) == (3, 1)
    assert curve.at(0.5) == (pytest.approx(2 / 3), 2)
    assert curve.at(0.85) == (pytest.approx(1 / 3), 0)
    assert curve.recall(0) == (pytest.approx(1 / 3), 0.9)
    assert curve.recall(2) == (pytest.approx(2 / 3), 0.6)
    thresholds, recall, unmatched = curve.points()
    np.testing.assert_allclose(thresholds, [0.9, 0.8, 0.7, 0.6])
    np.testing.assert_allclose(recall, np.array([1, 1, 1, 2]) / 3)
    np.testing.assert_allclose(unmatched, [0, 1, 2, 2])


def test_ignored_regions_count_neither_way() -> None:
    curve = DetectionCurve()
    curve.add(boxes((0, 0.9), (40, 0.8), (41, 0.7)), FACES, np.array([False, False, True]))
    assert curve.faces == 2
    assert curve.at(0.1) == (0.5, 0)


def test_equal_scores_share_one_threshold() -> None:
    curve = DetectionCurve()
    curve.add(boxes((0, 0.9), (70, 0.9)), FACES)
    assert curve.recall(0) == (0.0, 1.0)
    assert curve.recall(1) == (pytest.approx(1 / 3), 0.9)


def test_set_without_detections() -> None:
    curve = DetectionCurve()
    curve.add(np.zeros((0, 5)), FACES)
    curve.add(np.zeros((0, 5)), np.zeros((0, 4)))
    assert curve.recall(5) == (0.0, 1.0) and curve.at(0.5) == (0.0, 0) and curve.images == 2
