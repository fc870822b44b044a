"""CFP, held-out persons: annotated landmarks of the visible side of profile images."""

from __future__ import annotations

import numpy as np

from tddfa_ros.evaluation.heads import head_rows, predict_heads
from tddfa_ros.evaluation.prediction import Predictor
from tddfa_ros.evaluation.result import Curve, SuiteResult
from tddfa_ros.evaluation.sets import Sets, arrays, chosen
from tddfa_ros.geometry.metrics import face_size
from tddfa_ros.types import DoubleArray, FloatArray, RealArray

_NOTE = (
    "Mean distance of the 17 annotated points, in % of sqrt(w * h) of the box of 3DDFA_V2's landmarks; one pass in the ROI of 3DDFA_V2, for "
    "all methods."
)


def evaluate(predictor: Predictor, sets: Sets) -> SuiteResult:
    """Measure the error of the visible landmarks of mesh and direct head."""
    folder = sets.folder("faces")
    labels = arrays(folder / "cfp.npz", "name", "split", "roi", "gt68", "v2_68", "v2_ypr")
    rows = sets.some(chosen(labels, labels["split"] == "val"))
    images = [folder / "img" / str(name) for name in rows["name"]]
    size, yaw = face_size(rows["v2_68"].astype(np.float64)), rows["v2_ypr"][:, 0]

    def measure(found: FloatArray) -> tuple[dict[str, float | None], Curve]:
        error = visible_error(found, rows["gt68"], size)
        return {"NME": float(error.mean())}, Curve(error, yaw)

    lines, errors = head_rows(predict_heads(predictor, images, rows["roi"], "CFP"), measure)
    return SuiteResult("cfp", "CFP profiles, 17 human points", lines, _NOTE, errors=errors)


def visible_error(found: RealArray, truth: RealArray, size: RealArray) -> DoubleArray:
    """Return the mean distance (n,) of landmarks (n, 68, 2) to the visible annotated ones, % of ``size`` (n,) px.

    NaN in ``truth`` marks points that are not visible.
    """
    distance = np.linalg.norm(found - truth.astype(np.float64), axis=2)
    return np.asarray(100 * np.nanmean(distance, axis=1) / size)
