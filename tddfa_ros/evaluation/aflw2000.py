"""AFLW2000-3D, standard protocol: the given 120-px crops, one pass, no detection."""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from tddfa_ros.evaluation.prediction import Predictor
from tddfa_ros.evaluation.result import Curve, Row, SuiteResult, landmark_figures
from tddfa_ros.evaluation.sets import Sets, arrays, read_image
from tddfa_ros.geometry.metrics import nme
from tddfa_ros.geometry.pose import crop_to_image
from tddfa_ros.types import CROP_FRAME, FloatArray

WHOLE_CROP = np.array([[0.0, 0.0, CROP_FRAME, CROP_FRAME]])

_NOTE = (
    "NME: mean distance of landmarks in % of sqrt(w * h) of the true box; 'bins': mean of the three ranges of |yaw|. "
    "'mesh': the model's own 68 points; 'direct': the head that knows no mesh."
)


def evaluate(predictor: Predictor, sets: Sets) -> SuiteResult:
    """NME68 and NME51 against the original and the reannotated points, of the mesh and of the direct head."""
    folder = sets.folder("aflw2000")
    names = ("name", "pts68", "pts68_reannotated", "roi_box", "yaw_deg")
    truth = sets.some(arrays(folder / "gt.npz", *names))
    mesh, direct = [], []
    for name in tqdm(truth["name"], desc="AFLW2000-3D"):
        crop = read_image(folder / "crop120" / str(name))
        mesh.append(predictor.regress(crop, WHOLE_CROP)[0].landmarks[:, :2])
        points = predictor.direct(crop, WHOLE_CROP)
        if points is not None:
            direct.append(points[0])
    standards = {
        "standard": truth["pts68"].transpose(0, 2, 1)[..., :2],
        "reannotated": truth["pts68_reannotated"].transpose(0, 2, 1),
    }
    rows, errors = [], {}
    for head, crops in (("mesh", mesh), ("direct", direct)):
        for standard, wanted in standards.items():
            row = f"{standard}, {head}"
            if not crops:
                rows.append(Row(row, 0, {}))
                continue
            found: FloatArray = crop_to_image(np.stack(crops), truth["roi_box"])
            rows.append(Row(row, len(found), landmark_figures(found, wanted, truth["yaw_deg"])))
            errors[row] = Curve(nme(found, wanted), truth["yaw_deg"])
    return SuiteResult(
        "aflw2000", "AFLW2000-3D, landmarks (standard protocol)", rows, _NOTE, errors=errors
    )
