"""AFLW2000-3D, standard protocol: the given 120-px crops, one pass, no detection."""

from __future__ import annotations

from tddfa_ros.evaluation.heads import predict_heads
from tddfa_ros.evaluation.prediction import Predictor
from tddfa_ros.evaluation.result import Curve, Row, SuiteResult, landmark_figures
from tddfa_ros.evaluation.sets import STANDARDS, Sets, arrays, standards
from tddfa_ros.geometry.metrics import nme
from tddfa_ros.geometry.pose import crop_to_image
from tddfa_ros.types import FloatArray

_NOTE = (
    "NME: mean distance of landmarks in % of sqrt(w * h) of the true box; 'bins': mean of the three ranges of |yaw|. "
    "'mesh': the 68 landmarks of the mesh; 'direct': those of the landmark head, which has no mesh."
)


def evaluate(predictor: Predictor, sets: Sets) -> SuiteResult:
    """Measure NME68 and NME51 of mesh and direct head against the original and the reannotated points."""
    folder = sets.folder("aflw2000")
    names = ("name", *STANDARDS, "roi_box", "yaw_deg")
    truth = sets.some(arrays(folder / "gt.npz", *names))
    images = [folder / "crop120" / str(name) for name in truth["name"]]
    predicted = predict_heads(predictor, images, None, "AFLW2000-3D")
    labels = standards(truth)
    rows, errors = [], {}
    for head, crops in predicted.items():
        for standard, wanted in labels.items():
            row = f"{standard}, {head}"
            if not len(crops):
                rows.append(Row(row, 0, {}))
                continue
            found: FloatArray = crop_to_image(crops, truth["roi_box"])
            rows.append(Row(row, len(found), landmark_figures(found, wanted, truth["yaw_deg"])))
            errors[row] = Curve(nme(found, wanted), truth["yaw_deg"])
    return SuiteResult(
        "aflw2000", "AFLW2000-3D, landmarks (standard protocol)", rows, _NOTE, errors=errors
    )
