"""The detector that the whole pipeline begins with, on photographs of groups."""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from tddfa_ros.evaluation.prediction import Predictor
from tddfa_ros.evaluation.result import Row, SuiteResult
from tddfa_ros.evaluation.scenes import detection_boxes
from tddfa_ros.evaluation.sets import Sets, picture
from tddfa_ros.geometry.rotation import RealArray
from tddfa_ros.tracking.association import associate

MIN_IOU = 0.5
SIZES = (0.0, 16.0, 32.0, 64.0)
"""Faces of at least these sizes, px (root of the labelled box's area), have a row each."""

_NOTE = (
    "Recall: share of the labelled boxes with a detection of IoU 0.5 or more, each detection used once; precision: share of detections "
    "that belong to a labelled box of any size. The labels are of whole faces, most of them masked; the detector's boxes end at brows and "
    "mouth, which costs overlap."
)


def evaluate(predictor: Predictor, sets: Sets) -> SuiteResult:
    """Recall by size of the face, and precision."""
    folder = sets.folder("detection")
    boxes = detection_boxes(folder)
    names = sets.some({"name": np.array(sorted(boxes))})["name"]
    found, sizes, detections = [], [], 0
    for name in tqdm(names, desc="detection"):
        labelled = boxes[str(name)]
        seen = predictor.detect(picture(folder / str(name)))
        hit = np.zeros(len(labelled), dtype=bool)
        hit[[label for label, _ in associate(labelled, seen[:, :4], MIN_IOU)]] = True
        found.append(hit)
        sizes.append(np.sqrt((labelled[:, 2:] - labelled[:, :2]).prod(axis=1)))
        detections += len(seen)
    return summary(np.concatenate(found), np.concatenate(sizes), detections)


def summary(found: RealArray, sizes: RealArray, detections: int) -> SuiteResult:
    """The figures of labelled faces (n,), which of them were found, their sizes in px, and the number of detections."""
    rows = []
    for least in SIZES:
        group = found[sizes >= least]
        figures: dict[str, float | None] = {"recall": float(group.mean()) if len(group) else None}
        if least == 0:
            figures["precision"] = float(found.sum() / detections) if detections else None
        rows.append(Row(f"faces from {least:g} px" if least else "all faces", len(group), figures))
    digits = {"recall": 3, "precision": 3}
    return SuiteResult("detection", "Detection on photographs of groups", rows, _NOTE, digits)
