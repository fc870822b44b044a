"""300W-LP faces that training holds out: true 68 points at all yaws, on the stored crops."""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from tddfa_ros.evaluation.prediction import Predictor
from tddfa_ros.evaluation.result import Curve, Row, SuiteResult, landmark_figures
from tddfa_ros.evaluation.sets import Sets, arrays, chosen, read_image
from tddfa_ros.geometry.metrics import nme
from tddfa_ros.types import FloatArray

_NOTE = (
    "NME as on AFLW2000-3D, whose convention the points follow; one pass in the stored ROI. The faces are those of every 20th photograph, "
    "with all their rotated variants."
)


def evaluate(predictor: Predictor, sets: Sets) -> SuiteResult:
    """NME68 and NME51 against the true points, by yaw, of mesh and direct head; and the spread the network predicts, where it does."""
    folder = sets.folder("faces")
    labels = arrays(folder / "lp.npz", "name", "split", "roi", "gt68", "v2_ypr")
    rows = sets.some(chosen(labels, labels["split"] == "val"))
    found: dict[str, list[FloatArray]] = {"mesh": [], "direct": []}
    for name, roi in zip(tqdm(rows["name"], desc="300W-LP"), rows["roi"], strict=True):
        image = read_image(folder / "img" / str(name))
        found["mesh"].append(predictor.regress(image, roi[None])[0].landmarks[:, :2])
        direct = predictor.direct(image, roi[None])
        if direct is not None:
            found["direct"].append(direct[0])
    truth, yaw = rows["gt68"].astype(np.float64), rows["v2_ypr"][:, 0]
    lines, errors = [], {}
    for head, points in found.items():
        if not points:
            lines.append(Row(head, 0, {}))
            continue
        placed = np.stack(points)
        lines.append(Row(head, len(placed), landmark_figures(placed, truth, yaw)))
        errors[head] = Curve(nme(placed, truth), yaw)
    return SuiteResult("lp", "300W-LP, held-out images", lines, _NOTE, errors=errors)
