"""Error against AFLW's 21 human-labeled points on held-out faces of any yaw."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tddfa_ros.evaluation.aflw2000 import WHOLE_CROP
from tddfa_ros.evaluation.prediction import Predictor
from tddfa_ros.evaluation.result import Curve, Row, SuiteResult, binned
from tddfa_ros.evaluation.sets import Sets, arrays, chosen, read_image
from tddfa_ros.geometry.metrics import face_size
from tddfa_ros.types import DoubleArray, RealArray

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
"""AFLW's points that iBUG-68 has too, and the points of iBUG-68 whose mean they are. Pupils and ears are not among them."""

_NOTE = (
    "Mean distance of the visible ones of 17 points, in % of sqrt(w * h) of the box of 3DDFA_V2's landmarks, from whose ROI and yaw all "
    "methods are measured alike; no point was placed by a method."
)


def held_out(count: int) -> NDArray[np.bool_]:
    """Which of the ``count`` rows of ``aflw.npz`` are for evaluation only: a mask (count,)."""
    return np.arange(count) % EVERY == 0


def evaluate(predictor: Predictor, sets: Sets) -> SuiteResult:
    """Error of the comparable points, by yaw, on the stored crops, whose whole is the ROI."""
    folder = sets.folder("faces")
    labels = arrays(folder / "aflw.npz", "name", "gt21", "v2_68", "v2_ypr")
    rows = sets.some(chosen(labels, held_out(len(labels["name"]))))
    mesh, direct = [], []
    for name in tqdm(rows["name"], desc="AFLW 21"):
        crop = read_image(folder / "img" / str(name))
        roi = WHOLE_CROP * (crop.shape[0] / WHOLE_CROP[0, 2])
        mesh.append(predictor.regress(crop, roi)[0].landmarks[:, :2])
        points = predictor.direct(crop, roi)
        if points is not None:
            direct.append(points[0])
    size, yaw = face_size(rows["v2_68"]), rows["v2_ypr"][:, 0]
    lines, errors = [], {}
    for head, found in (("mesh", mesh), ("direct", direct)):
        if not found:
            lines.append(Row(head, 0, {}))
            continue
        error = point_errors(np.stack(found), rows["gt21"], size)
        known = np.isfinite(error)
        lines.append(Row(head, int(known.sum()), binned("NME", error[known], yaw[known])))
        errors[head] = Curve(error[known], yaw[known])
    return SuiteResult("aflw21", "AFLW, 21 human points", lines, _NOTE, errors=errors)


def point_errors(found: RealArray, truth: RealArray, size: RealArray) -> DoubleArray:
    """Mean distance (n,) over visible points, % of the face size; NaN where none of the comparable points is visible.

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
