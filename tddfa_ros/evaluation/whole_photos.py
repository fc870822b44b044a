"""AFLW2000-3D from whole images, with detector and two passes as in `FacePipeline`."""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from tddfa_ros.evaluation.prediction import Predictor, refined
from tddfa_ros.evaluation.result import Curve, Row, SuiteResult, landmark_figures
from tddfa_ros.evaluation.sets import STANDARDS, Sets, arrays, read_image, standards
from tddfa_ros.geometry.metrics import nme
from tddfa_ros.geometry.roi import roi_from_box
from tddfa_ros.types import DoubleArray, RealArray

_NOTE = (
    "Detector on the image, then two passes. A face is detected if the center of a box lies in the box of the true points; of several, the one "
    "nearest to its center counts. NME over detected faces; 'found': share of detected faces."
)


def evaluate(predictor: Predictor, sets: Sets) -> SuiteResult:
    """Measure NME68 and NME51 of detected faces, against the original and the reannotated points."""
    folder = sets.folder("aflw2000")
    names = ("name", *STANDARDS, "yaw_deg")
    truth = sets.some(arrays(folder / "gt.npz", *names))
    labels = standards(truth)
    points = labels["standard"]
    found, rows = [], []
    for row, name in enumerate(tqdm(truth["name"], desc="AFLW2000-3D, whole images", disable=None)):
        image = read_image(folder / "photo" / str(name))
        box = matching_box(predictor.detect(image), points[row])
        if box is not None:
            roi = roi_from_box(box)
            found.append(refined(predictor, image, roi)[0].landmarks[:, :2])
            rows.append(row)
    lines, errors = [], {}
    share = {"found": len(rows) / max(len(points), 1)}
    for standard, wanted in labels.items():
        if not rows:
            lines.append(Row(standard, 0, share))
            continue
        placed, yaw = np.stack(found), truth["yaw_deg"][rows]
        figures = landmark_figures(placed, wanted[rows], yaw)
        lines.append(Row(standard, len(rows), {**share, **figures}))
        errors[standard] = Curve(nme(placed, wanted[rows]), yaw)
    return SuiteResult(
        "whole", "AFLW2000-3D, whole images", lines, _NOTE, {"found": 3}, errors=errors
    )


def matching_box(boxes: RealArray, points: RealArray) -> DoubleArray | None:
    """Return the box (4,) of boxes (n, 4 or more) ``x0, y0, x1, y1`` that matches landmarks (68, 2), image px; None if none does."""
    low, high = points.min(axis=0), points.max(axis=0)
    boxes = np.asarray(boxes, dtype=np.float64)[:, :4]
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = ((centers >= low) & (centers <= high)).all(axis=1)
    if not inside.any():
        return None
    distance = np.linalg.norm(centers - (low + high) / 2, axis=1)
    nearest: DoubleArray = boxes[int(np.argmin(np.where(inside, distance, np.inf)))]
    return nearest
