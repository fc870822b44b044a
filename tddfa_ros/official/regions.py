"""Region labels of a mesh from the outlines of its 68 landmarks in the frontal view."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.types import FloatArray

REGION_NAMES = (
    *("skin", "left_brow", "right_brow", "left_eye", "right_eye", "nose", "upper_lip", "lower_lip"),
    "inner_mouth",
)
"""Left and right are the person's own; the same names as in the default model, which has more."""

_OUTLINES: tuple[tuple[str, tuple[int, ...]], ...] = (  # later ones take precedence
    ("nose", (27, 31, 32, 33, 34, 35)),
    ("left_eye", (42, 43, 44, 45, 46, 47)),
    ("right_eye", (36, 37, 38, 39, 40, 41)),
    ("upper_lip", (48, 49, 50, 51, 52, 53, 54, 64, 63, 62, 61, 60)),
    ("lower_lip", (54, 55, 56, 57, 58, 59, 48, 60, 67, 66, 65, 64)),
    ("inner_mouth", (60, 61, 62, 63, 64, 65, 66, 67)),
)
_BROWS: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("left_brow", (22, 23, 24, 25, 26)),
    ("right_brow", (17, 18, 19, 20, 21)),
)
_BROW_HALF_HEIGHT = 0.005  # m
_DEPTH = 0.04  # m; vertices farther behind an outline do not belong to it


def regions_from_landmarks(mean: FloatArray, landmarks: FloatArray) -> NDArray[np.uint8]:
    """Return the region (N,) of each vertex, an index into :data:`REGION_NAMES`.

    Args:
        mean: (N, 3) m, model frame.
        landmarks: (68, 3) of the same.
    """
    regions = np.zeros(len(mean), np.uint8)
    for name, points in _BROWS:
        line = landmarks[list(points)]
        regions[_distance_to_line(mean, line) < _BROW_HALF_HEIGHT] = REGION_NAMES.index(name)
    for name, points in _OUTLINES:
        outline = landmarks[list(points)]
        near = mean[:, 2] > outline[:, 2].min() - _DEPTH
        low, high = outline[:, :2].min(axis=0), outline[:, :2].max(axis=0)
        near &= ((mean[:, :2] >= low) & (mean[:, :2] <= high)).all(axis=1)
        contour = np.ascontiguousarray(outline[:, :2], np.float32)
        for vertex in np.flatnonzero(near):
            x, y = mean[vertex, :2].tolist()
            if cv2.pointPolygonTest(contour, (x, y), False) >= 0:
                regions[vertex] = REGION_NAMES.index(name)
    return regions


def _distance_to_line(points: FloatArray, line: FloatArray) -> NDArray[np.float64]:
    """Return the distance (N,) of points (N, 3) to a polyline (k, 3)."""
    distances = []
    for start, end in pairwise(line):
        along = end - start
        share = np.clip((points - start) @ along / max(float(along @ along), 1e-12), 0, 1)
        distances.append(np.linalg.norm(points - start - share[:, None] * along, axis=1))
    return np.min(distances, axis=0)
