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
"""Least IoU of a detection with a labeled box, for the face to count as found; the first is the usual one."""

SIZES = (0.0, 16.0, 32.0, 64.0)
"""Faces of at least these sizes, px (root of the labeled box's area), have a row each."""

_NOTE = (
    "Recall: share of the labeled boxes with a detection of IoU 0.5 or more (and of 0.3), each detection used once; precision: share of "
    "detections that belong to a labeled box of any size. The labels are of whole faces, most of them masked; the detector's boxes end at "
    "brows and mouth, which costs overlap."
)


def evaluate(predictor: Predictor, sets: Sets) -> SuiteResult:
    """Recall by size of the face, and precision."""
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
    """The figures.

    Args:
        found: (n, 2) which labeled faces were found, at each of :data:`OVERLAPS`.
        sizes: (n,) of the faces, px.
        detections: their number.
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
