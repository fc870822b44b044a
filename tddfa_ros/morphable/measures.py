"""Facial measurements in millimeters from the 68 landmarks, the units of geometric attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from tddfa_ros.types import DoubleArray, FloatArray

Measure = Callable[[DoubleArray], float]
"""Landmarks (68, 3), m, model frame (x to the person's left, y up, z out of the face) -> mm."""


def _between(*pairs: tuple[int, int]) -> Measure:
    """Return the mean distance of pairs of landmarks."""
    first, second = np.array(pairs).T

    def measure(points: DoubleArray) -> float:
        return float(1e3 * np.linalg.norm(points[first] - points[second], axis=1).mean())

    return measure


def _ahead(axis: int, these: tuple[int, ...], of_these: tuple[int, ...]) -> Measure:
    """Return the offset of the mean of some landmarks from that of others, along an axis of the model frame."""

    def measure(points: DoubleArray) -> float:
        difference = points[list(these)].mean(axis=0) - points[list(of_these)].mean(axis=0)
        return float(1e3 * difference[axis])

    return measure


_Y, _Z = 1, 2
_EYES = (*range(36, 48),)

MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "face_width": _between((1, 15)),
        "face_height": _between((27, 8)),
        "cheek_width": _between((3, 13)),
        "jaw_width": _between((4, 12), (5, 11)),
        "chin_height": _between((57, 8)),
        "chin_width": _between((7, 9)),
        "chin_prominence": _ahead(_Z, (7, 8, 9), (31, 35)),
        "brow_height": _ahead(_Y, (18, 19, 20, 23, 24, 25), _EYES),
        "eye_width": _between((36, 39), (42, 45)),
        "eye_spacing": _between((39, 42)),
        "nose_length": _between((27, 33)),
        "nose_width": _between((31, 35)),
        "nose_prominence": _ahead(_Z, (30,), (31, 35)),
        "nose_tip_height": _ahead(_Y, (30,), (31, 33, 35)),
        "philtrum_height": _between((33, 51)),
        "mouth_width": _between((48, 54)),
        "lip_height": _between((51, 62), (66, 57)),
    }
)
"""Name -> measure. Pairs are iBUG-68 indices; ``lip_height`` is the mean of both lips' red parts."""


def measure_face(landmarks: FloatArray | DoubleArray) -> dict[str, float]:
    """Compute all measures, mm, of landmarks (68, 3), m, model frame, as from ``MorphableModel.head_landmarks``."""
    points = np.asarray(landmarks, dtype=np.float64)
    return {name: measure(points) for name, measure in MEASURES.items()}
