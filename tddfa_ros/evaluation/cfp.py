"""CFP: real profile images with human points of the visible side, of persons that training holds out."""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from tddfa_ros.evaluation.prediction import Predictor
from tddfa_ros.evaluation.result import Curve, Row, SuiteResult
from tddfa_ros.evaluation.sets import Sets, arrays, chosen, read_image
from tddfa_ros.geometry.metrics import face_size
from tddfa_ros.types import DoubleArray, FloatArray, RealArray

_NOTE = (
    "Mean distance of the 17 annotated points, in % of sqrt(w * h) of the box of 3DDFA_V2's landmarks, from whose ROI all methods are "
    "measured alike; one pass."
)


def evaluate(predictor: Predictor, sets: Sets) -> SuiteResult:
    """Error of the visible points of mesh and direct head."""
    folder = sets.folder("faces")
    labels = arrays(folder / "cfp.npz", "name", "split", "roi", "gt68", "v2_68", "v2_ypr")
    rows = sets.some(chosen(labels, labels["split"] == "val"))
    found: dict[str, list[FloatArray]] = {"mesh": [], "direct": []}
    for name, roi in zip(tqdm(rows["name"], desc="CFP"), rows["roi"], strict=True):
        image = read_image(folder / "img" / str(name))
        found["mesh"].append(predictor.regress(image, roi[None])[0].landmarks[:, :2])
        direct = predictor.direct(image, roi[None])
        if direct is not None:
            found["direct"].append(direct[0])
    size, yaw = face_size(rows["v2_68"].astype(np.float64)), rows["v2_ypr"][:, 0]
    lines, errors = [], {}
    for head, points in found.items():
        if not points:
            lines.append(Row(head, 0, {}))
            continue
        error = visible_error(np.stack(points), rows["gt68"], size)
        lines.append(Row(head, len(error), {"NME": float(error.mean())}))
        errors[head] = Curve(error, yaw)
    return SuiteResult("cfp", "CFP profiles, 17 human points", lines, _NOTE, errors=errors)


def visible_error(found: RealArray, truth: RealArray, size: RealArray) -> DoubleArray:
    """Mean distance (n,) of landmarks (n, 68, 2) from the annotated ones, NaN = not visible, in % of sizes (n,) px."""
    distance = np.linalg.norm(found - truth.astype(np.float64), axis=2)
    return np.asarray(100 * np.nanmean(distance, axis=1) / size)
