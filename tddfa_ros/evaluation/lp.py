"""300W-LP, held-out faces: landmarks of a 3D head at all yaw angles, on the stored crops."""

from __future__ import annotations

import numpy as np

from tddfa_ros.evaluation.heads import head_rows, predict_heads
from tddfa_ros.evaluation.prediction import Predictor
from tddfa_ros.evaluation.result import Curve, SuiteResult, landmark_figures
from tddfa_ros.evaluation.sets import Sets, arrays, chosen
from tddfa_ros.geometry.metrics import nme
from tddfa_ros.types import FloatArray

_NOTE = (
    "NME as on AFLW2000-3D, whose landmark convention is the same; one pass in the stored ROI. The faces are those of every 20th source "
    "image, with all their rotated variants."
)


def evaluate(predictor: Predictor, sets: Sets) -> SuiteResult:
    """Measure NME68 and NME51 of mesh and direct head, by yaw."""
    folder = sets.folder("faces")
    labels = arrays(folder / "lp.npz", "name", "split", "roi", "gt68", "v2_ypr")
    rows = sets.some(chosen(labels, labels["split"] == "val"))
    images = [folder / "img" / str(name) for name in rows["name"]]
    truth, yaw = rows["gt68"].astype(np.float64), rows["v2_ypr"][:, 0]

    def measure(found: FloatArray) -> tuple[dict[str, float | None], Curve]:
        return landmark_figures(found, truth, yaw), Curve(nme(found, truth), yaw)

    lines, errors = head_rows(predict_heads(predictor, images, rows["roi"], "300W-LP"), measure)
    return SuiteResult("lp", "300W-LP, held-out images", lines, _NOTE, errors=errors)
