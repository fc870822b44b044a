"""Recall of a detector as a function of the number of unmatched detections, so that detectors compare at equal numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.tracking.association import iou
from tddfa_ros.types import DoubleArray, RealArray

MIN_IOU = 0.35
"""IoU of a detection with a labeled box for a match; labels and detectors differ in extent."""


@dataclass(eq=False)
class DetectionCurve:
    """Detections of a set of images, each matched with a labeled face or not.

    Attributes:
        min_iou: for a match.
        faces: number of labeled faces.
        images: number of images.
    """

    min_iou: float = MIN_IOU
    faces: int = 0
    images: int = 0
    _scores: list[float] = field(default_factory=list)
    _hits: list[bool] = field(default_factory=list)

    def add(
        self, detections: RealArray, labeled: RealArray, ignore: NDArray[np.bool_] | None = None
    ) -> None:
        """Add the detections of one image at a low threshold.

        Args:
            detections: (n, 5) ``x0, y0, x1, y1, score``. The one with the highest score takes the face that it overlaps most.
            labeled: (m, 4) boxes.
            ignore: (m,) True: regions that are neither faces nor background; detections there do not count.
        """
        skip = np.zeros(len(labeled), np.bool_) if ignore is None else ignore
        free = np.ones(len(labeled), np.bool_)
        self.images += 1
        self.faces += int((~skip).sum())
        for box in detections[np.argsort(-detections[:, 4], kind="stable")]:
            overlap = iou(box[None, :4], labeled)[0] if len(labeled) else np.zeros(0)
            taken = np.where(free | skip, overlap, 0.0)
            best = int(np.argmax(taken)) if len(taken) else -1
            hit = best >= 0 and taken[best] >= self.min_iou
            if hit and skip[best]:
                continue
            if hit:
                free[best] = False
            self._scores.append(float(box[4]))
            self._hits.append(bool(hit))

    def recall(self, unmatched: int) -> tuple[float, float]:
        """Return the recall with at most ``unmatched`` unmatched detections, and the score threshold that gives it."""
        scores, found, wrong = self.points()
        allowed = np.flatnonzero(wrong <= unmatched)
        if not len(allowed):
            return 0.0, 1.0
        last = int(allowed[-1])
        return float(found[last]), float(scores[last])

    def at(self, threshold: float) -> tuple[float, int]:
        """Return the recall and the number of unmatched detections at a score threshold."""
        scores, hits = np.array(self._scores), np.array(self._hits, np.bool_)
        chosen = hits[scores >= threshold] if len(scores) else hits
        return float(chosen.sum() / max(self.faces, 1)), int((~chosen).sum())

    def points(self) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
        """Return thresholds (k,), descending, with the recall and the number of unmatched detections at each."""
        order = np.argsort(-np.array(self._scores), kind="stable")
        scores, hits = np.array(self._scores)[order], np.array(self._hits, np.bool_)[order]
        last = np.append(scores[1:] != scores[:-1], True) if len(scores) else np.zeros(0, np.bool_)
        recall = np.cumsum(hits) / max(self.faces, 1)
        return scores[last], recall[last], np.cumsum(~hits)[last].astype(np.float64)
