"""Error against AFLW's 21 human-labeled points on held-out faces of any yaw."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.evaluation.heads import head_rows, predict_heads
from tddfa_ros.evaluation.prediction import Predictor
from tddfa_ros.evaluation.result import Curve, SuiteResult, binned
from tddfa_ros.evaluation.sets import Sets, arrays, chosen
from tddfa_ros.geometry.metrics import face_size
from tddfa_ros.types import DoubleArray, FloatArray, RealArray

EVERY = 47
"""Stride of held-out rows of the collection's ``aflw.npz``, which are never trained on."""

POINTS: dict[int, tuple[int, ...]] = {
    0: (17,), 1: (19,), 2: (21,),  # left brow: outer, middle, inner
    3: (22,), 4: (24,), 5: (26,),  # right brow: inner, middle, outer
    6: (36,), 8: (39,), 9: (42,), 11: (45,),  # corners of the eyes
    13: (31,), 14: (30,), 15: (35,),  # nose: left, tip, right
    17: (48,), 18: (62, 66), 19: (54,),  # mouth: left, center, right
    20: (8,),  # chin
}  # fmt: skip
"""AFLW's points with an equivalent in iBUG-68, and the iBUG-68 points whose mean they are; without pupils and ears."""

_NOTE = (
    "Mean distance of the visible ones of 17 points, in % of sqrt(w * h) of the box of 3DDFA_V2's landmarks, from whose ROI and yaw all "
    "methods are measured alike; no point was placed by a method."
)


def held_out(count: int) -> NDArray[np.bool_]:
    """Return a mask (count,) of the held-out rows of ``aflw.npz``."""
    return np.arange(count) % EVERY == 0


def evaluate(predictor: Predictor, sets: Sets) -> SuiteResult:
    """Measure the error of the comparable points by yaw; the ROI is the whole stored crop."""
    folder = sets.folder("faces")
    labels = arrays(folder / "aflw.npz", "name", "gt21", "v2_68", "v2_ypr")
    rows = sets.some(chosen(labels, held_out(len(labels["name"]))))
    images = [folder / "img" / str(name) for name in rows["name"]]
    size, yaw = face_size(rows["v2_68"]), rows["v2_ypr"][:, 0]

    def measure(found: FloatArray) -> tuple[dict[str, float | None], Curve]:
        error = point_errors(found, rows["gt21"], size)
        known = np.isfinite(error)
        return binned("NME", error[known], yaw[known]), Curve(error[known], yaw[known])

    lines, errors = head_rows(predict_heads(predictor, images, None, "AFLW 21"), measure)
    return SuiteResult("aflw21", "AFLW, 21 human points", lines, _NOTE, errors=errors)


def point_errors(found: RealArray, truth: RealArray, size: RealArray) -> DoubleArray:
    """Return the mean distance (n,) over visible points, % of the face size; NaN if no comparable point is visible.

    Args:
        found: (n, 68, 2) px. truth: (n, 21, 2) px, NaN = not visible. size: (n,) px.
    """
    comparable = np.stack([found[:, list(ours)].mean(axis=1) for ours in POINTS.values()], axis=1)
    distance = np.linalg.norm(comparable - truth[:, list(POINTS)].astype(np.float64), axis=2)
    visible = np.isfinite(distance)
    count = visible.sum(axis=1)
    total = np.where(visible, distance, 0.0).sum(axis=1)
    mean = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    return np.asarray(100 * mean / size)
