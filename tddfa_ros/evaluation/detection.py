"""Recall and precision of the face detector on group images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tddfa_ros.evaluation.prediction import Predictor
from tddfa_ros.evaluation.result import Row, SuiteResult
from tddfa_ros.evaluation.scenes import detection_boxes
from tddfa_ros.evaluation.sets import Sets, read_image
from tddfa_ros.tracking.association import associate
from tddfa_ros.types import RealArray

OVERLAPS = (0.5, 0.3)
"""IoU thresholds for matching a detection with a labeled box; the first is the usual one."""

SIZES = (0.0, 16.0, 32.0, 64.0)
"""Minimum face sizes of the rows, px (root of the area of the labeled box)."""

_NOTE = (
    "Recall: share of the labeled boxes with a detection of IoU 0.5 or more (and of 0.3), each detection used once; precision: share of "
    "detections that match a labeled box of any size. Labels cover whole faces, most of them masked; the boxes of the detector end at "
    "brows and mouth, which reduces the IoU."
)


def evaluate(predictor: Predictor, sets: Sets) -> SuiteResult:
    """Measure recall by face size, and precision."""
    folder = sets.folder("detection")
    boxes = detection_boxes(folder)
    names = sets.some({"name": np.array(sorted(boxes))})["name"]
    found, sizes, detections = [], [], 0
    for name in tqdm(names, desc="detection", disable=None):
        labeled = boxes[str(name)]
        seen = predictor.detect(read_image(folder / str(name)))
        hits = np.zeros((len(labeled), len(OVERLAPS)), dtype=bool)
        for hit, overlap in zip(hits.T, OVERLAPS, strict=True):
            hit[[label for label, _ in associate(labeled, seen[:, :4], overlap)]] = True
        found.append(hits)
        sizes.append(np.sqrt((labeled[:, 2:] - labeled[:, :2]).prod(axis=1)))
        detections += len(seen)
    return summary(np.concatenate(found), np.concatenate(sizes), detections)


def summary(found: NDArray[np.bool_], sizes: RealArray, detections: int) -> SuiteResult:
    """Compute the figures.

    Args:
        found: (n, 2) whether each labeled face was detected, at each of :data:`OVERLAPS`.
        sizes: (n,) of the faces, px.
        detections: number of detections.
    """
    rows = []
    for least in SIZES:
        group = found[sizes >= least]
        figures: dict[str, float | None] = {}
        for overlap, hits, hits_of_any_size in zip(OVERLAPS, group.T, found.T, strict=True):
            suffix = "" if overlap == OVERLAPS[0] else f", IoU {overlap}"
            figures[f"recall{suffix}"] = float(hits.mean()) if len(hits) else None
            if least == 0:
                share = float(hits_of_any_size.sum() / detections) if detections else None
                figures[f"precision{suffix}"] = share
        rows.append(Row(f"faces from {least:g} px" if least else "all faces", len(group), figures))
    digits = dict.fromkeys(rows[0].figures, 3)
    return SuiteResult("detection", "Detection on images of groups", rows, _NOTE, digits)
