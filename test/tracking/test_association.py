from __future__ import annotations

import numpy as np
import pytest

from tddfa_ros.tracking.association import associate, iou

SQUARE = np.array([[0.0, 0.0, 10.0, 10.0]])


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([0, 0, 10, 10], 1.0),
        ([5, 0, 15, 10], 50 / 150),
        ([2, 2, 7, 7], 25 / 100),
        ([10, 0, 20, 10], 0.0),  # only an edge in common
        ([20, 20, 30, 30], 0.0),
        ([5, 5, 5, 5], 0.0),  # no area
        ([8, 8, 2, 2], 0.0),  # inside out
    ],
)
def test_iou_values(box: list[float], expected: float):
    assert iou(SQUARE, np.array([box]))[0, 0] == pytest.approx(expected)


def test_iou_of_two_boxes_without_area_is_zero():
    assert iou(np.zeros((1, 4)), np.zeros((1, 4)))[0, 0] == 0.0


def test_iou_has_one_row_per_first_and_one_column_per_second():
    assert iou(np.zeros((3, 4)), np.zeros((0, 4))).shape == (3, 0)
    assert iou(np.repeat(SQUARE, 2, axis=0), SQUARE).shape == (2, 1)


def row(*lefts: float) -> np.ndarray:
    """Squares of 10 px side by side at these x."""
    return np.array([[x, 0.0, x + 10, 10.0] for x in lefts])


def test_assignment_maximizes_total_iou():
    """Greedily, track 0 would take detection 0 (IoU 0.54), and track 1 would be left without."""
    assert associate(row(0, 7), row(3, -4), 0.2) == [(0, 1), (1, 0)]


def test_pairs_below_gate_are_excluded():
    assert associate(row(0), row(6), 0.3) == []  # IoU 0.25
    assert associate(row(0), row(5), 0.3) == [(0, 0)]  # IoU 0.33


def test_pair_below_gate_does_not_affect_others():
    assert associate(row(0, 100), row(300, 1), 0.3) == [(0, 1)]


def test_zero_gate_requires_overlap():
    assert associate(row(0), row(50), 0.0) == []


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 3), (3, 0)])
def test_associate_empty_inputs(n: int, m: int):
    assert associate(np.zeros((n, 4)), np.zeros((m, 4)), 0.3) == []
