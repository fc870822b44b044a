"""Calibration of the predicted standard deviation of each landmark: on AFLW2000-3D and on held-out faces of 300W-LP."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from tqdm import tqdm

from tddfa_ros.evaluation.prediction import Predictor
from tddfa_ros.evaluation.result import Calibration, Row, SuiteResult
from tddfa_ros.evaluation.sets import WHOLE_CROP, Sets, arrays, chosen, read_image
from tddfa_ros.geometry.metrics import face_size
from tddfa_ros.types import CROP_FRAME, DoubleArray, RealArray

_NOTE = (
    "The network predicts the standard deviation of each landmark's x and y. 'ratio': RMS of coordinate errors over the predicted deviation, 1 if "
    "calibrated; 'median ratio': the same from the median error, which outliers do not move; 'within 1' and 'within 2': share of coordinates within "
    "one and two deviations, 0.683 and 0.954 for Gaussian errors; 'Spearman': rank correlation of predicted and true mean error of a face."
)
_GAUSSIAN_MEDIAN = 0.6745  # median of |x| for unit variance


def evaluate(predictor: Predictor, sets: Sets) -> SuiteResult:
    """Measure the calibration by set; no figures for a network without predicted uncertainty."""
    rows, curves = [], {}
    for name, errors in (("AFLW2000-3D", _aflw2000), ("300W-LP, held out", _lp)):
        calibration = errors(predictor, sets)
        count = 0 if calibration is None else len(calibration.sigma)
        rows.append(Row(name, count, {} if calibration is None else figures(calibration)))
        if calibration is not None:
            curves[name] = calibration
    digits = {"Spearman": 3, "within 1": 3, "within 2": 3}
    return SuiteResult(
        "uncertainty", "Uncertainty of landmarks", rows, _NOTE, digits, calibrations=curves
    )


def figures(calibration: Calibration) -> dict[str, float | None]:
    """Compute the columns of the table; see the note of the suite."""
    sigma = calibration.sigma[..., None]
    ratio = np.abs(calibration.error) / sigma
    distance = np.linalg.norm(calibration.error, axis=2).mean(axis=1)
    return {
        "ratio": float(np.sqrt(np.mean(ratio**2))),
        "median ratio": float(np.median(ratio)) / _GAUSSIAN_MEDIAN,
        "within 1": float(np.mean(ratio < 1)),
        "within 2": float(np.mean(ratio < 2)),
        "Spearman": float(spearmanr(calibration.sigma.mean(axis=1), distance).statistic),
    }


def _aflw2000(predictor: Predictor, sets: Sets) -> Calibration | None:
    folder = sets.folder("aflw2000")
    truth = sets.some(arrays(folder / "gt.npz", "name", "pts68", "roi_box"))
    boxes = truth["roi_box"].astype(np.float64)
    scale = (boxes[:, 2] - boxes[:, 0])[:, None, None] / CROP_FRAME
    points = (truth["pts68"].transpose(0, 2, 1)[..., :2] - boxes[:, None, :2]) / scale
    names = [folder / "crop120" / str(name) for name in truth["name"]]
    rois = np.repeat(WHOLE_CROP, len(names), axis=0)
    return _measure(predictor, names, rois, points, "AFLW2000-3D")


def _lp(predictor: Predictor, sets: Sets) -> Calibration | None:
    folder = sets.folder("faces")
    labels = arrays(folder / "lp.npz", "name", "split", "roi", "gt68")
    rows = sets.some(chosen(labels, labels["split"] == "val"))
    names = [folder / "img" / str(name) for name in rows["name"]]
    return _measure(predictor, names, rows["roi"], rows["gt68"], "300W-LP")


def _measure(
    predictor: Predictor, names: list[Path], rois: RealArray, points: RealArray, label: str
) -> Calibration | None:
    """Return errors and predictions in % of the face size; None if the network predicts no uncertainty."""
    errors: list[DoubleArray] = []
    sigmas: list[DoubleArray] = []
    size = 100 / face_size(np.asarray(points, dtype=np.float64))
    for name, roi, truth, unit in zip(
        tqdm(names, desc=label, disable=None), rois, points, size, strict=True
    ):
        found = predictor.regress(read_image(name), roi[None])[0]
        if found.landmark_sigma is None:
            return None
        errors.append((found.landmarks[:, :2] - truth) * unit)
        sigmas.append(found.landmark_sigma * unit)
    return Calibration(np.stack(errors), np.stack(sigmas))
