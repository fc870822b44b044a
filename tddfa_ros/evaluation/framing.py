"""AFLW2000-3D with shifted and scaled ROIs, as detectors and moving faces cause them: one pass and two."""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from tddfa_ros.evaluation.prediction import Predictor
from tddfa_ros.evaluation.result import Row, SuiteResult
from tddfa_ros.evaluation.sets import Sets, arrays, read_image
from tddfa_ros.geometry.metrics import nme, yaw_bins
from tddfa_ros.geometry.roi import roi_from_landmarks
from tddfa_ros.types import DoubleArray, RealArray

CHANGES: tuple[tuple[float, float], ...] = (
    *((0.0, 1.0), (0.1, 1.0), (0.15, 1.0), (0.2, 1.0), (0.25, 1.0)),
    *((0.0, 0.8), (0.0, 1.25), (0.0, 1.6)),
)
"""Shift of the ROI relative to its side, in a random direction per face, and scale of its side."""
MOST_FACES = 150
_SEED = 0

_NOTE = (
    "NME68 against the original points, mean of the three ranges of |yaw|, of at most 150 faces; ROIs of the standard protocol, cut from the "
    "images. 'one pass': in the changed ROI; 'two passes': again in the ROI of the landmarks found."
)


def changed_rois(rois: RealArray, shift: float, scale: float, seed: int = _SEED) -> DoubleArray:
    """Shift ROIs (n, 4), px, by ``shift`` of their side in fixed random directions, and scale them about their center."""
    angle = np.random.default_rng(seed).uniform(0, 2 * np.pi, len(rois))
    rois = np.asarray(rois, dtype=np.float64)
    side = (rois[:, 2] - rois[:, 0])[:, None]
    middle = (rois[:, :2] + rois[:, 2:]) / 2
    middle = middle + shift * side * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.concatenate([middle - scale * side / 2, middle + scale * side / 2], axis=1)


def evaluate(predictor: Predictor, sets: Sets) -> SuiteResult:
    """Measure NME by change of the ROI, after one pass and after two."""
    folder = sets.folder("aflw2000")
    truth = arrays(folder / "gt.npz", "name", "pts68", "roi_box", "yaw_deg")
    few = min(MOST_FACES, sets.limit or MOST_FACES)
    truth = Sets(sets.root, few).some(truth)
    points = truth["pts68"].transpose(0, 2, 1)[..., :2]
    images = [read_image(folder / "photo" / str(name)) for name in truth["name"]]
    rows = []
    for shift, scale in tqdm(CHANGES, desc="framing", disable=None):
        first, second = [], []
        for image, roi in zip(images, changed_rois(truth["roi_box"], shift, scale), strict=True):
            first.append(predictor.regress(image, roi[None])[0].landmarks[:, :2])
            again = roi_from_landmarks(first[-1])
            second.append(predictor.regress(image, again[None])[0].landmarks[:, :2])
        figures = {
            name: float(np.nanmean(yaw_bins(nme(np.stack(found), points), truth["yaw_deg"])))
            for name, found in (("one pass", first), ("two passes", second))
        }
        rows.append(Row(f"shift {shift:g}, scale {scale:g}", len(points), figures))
    return SuiteResult("framing", "AFLW2000-3D, robustness to the ROI", rows, _NOTE)
