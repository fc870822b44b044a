"""Expression: AUC of closed against open eyes and of yawning against other mouths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from tddfa_ros.evaluation.prediction import Predictor
from tddfa_ros.evaluation.result import Row, SuiteResult
from tddfa_ros.evaluation.sets import Arrays, Sets, chosen, kept_faces, read_image
from tddfa_ros.geometry.metrics import auc
from tddfa_ros.types import DoubleArray, RealArray

BLINK = ("eyeBlinkLeft", "eyeBlinkRight")
JAW_OPEN = ("jawOpen",)

_NOTE = (
    "AUC of the mean of the coefficients, and of the same quantity measured on landmarks: negative eye aspect ratio (mean height of the "
    "eyes over their width); the gap between the lips over the width of the inner mouth. Medians are those of the coefficients."
)


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of one group of n faces, larger = more likely positive; None if the method does not provide it.

    Attributes:
        coefficient: (n,) mean of the named coefficients.
        mesh, direct: (n,) measured on landmarks.
    """

    coefficient: DoubleArray | None
    mesh: DoubleArray
    direct: DoubleArray | None


def evaluate(predictor: Predictor, sets: Sets) -> SuiteResult:
    """Compute AUCs on the held-out faces of the collection: CEW (eyes closed), LFW (open), and the yawning set."""
    closed, opened, yawns = (kept_faces(sets, name, "path") for name in ("cew", "lfw", "yawn"))
    yawning = np.array(["no-yawn" not in str(path).split("/") for path in yawns["path"]])
    rows = []
    for name, positive, negative, coefficients, measure in (
        ("closed eyes against open: eyeBlink", closed, opened, BLINK, eye_closure),
        (
            "yawning against not: jawOpen",
            chosen(yawns, yawning),
            chosen(yawns, ~yawning),
            JAW_OPEN,
            mouth_opening,
        ),
    ):
        groups = [sets.some(group) for group in (positive, negative)]
        yes, no = (_scores(predictor, sets, group, coefficients, measure) for group in groups)
        rows.append(Row(name, len(yes.mesh) + len(no.mesh), separation(yes, no)))
    digits = {column: 4 for column in rows[0].figures if column.startswith("AUC")}
    return SuiteResult("expression", "Expression", rows, _NOTE, digits)


def separation(yes: Scores, no: Scores) -> dict[str, float | None]:
    """Compute the AUC of scores for two groups."""
    figures: dict[str, float | None] = {"AUC": None, "median yes": None, "median no": None}
    if yes.coefficient is not None and no.coefficient is not None:
        figures["AUC"] = auc(yes.coefficient, no.coefficient)
        figures["median yes"] = float(np.median(yes.coefficient))
        figures["median no"] = float(np.median(no.coefficient))
    figures["AUC mesh landmarks"] = auc(yes.mesh, no.mesh)
    if yes.direct is not None and no.direct is not None:
        figures["AUC direct landmarks"] = auc(yes.direct, no.direct)
    return figures


def eye_closure(points: RealArray) -> DoubleArray:
    """Return the negative eye aspect ratio (n,) of landmarks (n, 68, 2), mean of both eyes (Soukupova and Cech, CVWW 2016)."""
    ratios = []
    for first in (36, 42):
        corner, a, b, other, c, d = (points[:, first + i] for i in range(6))
        height = _distance(a, d) + _distance(b, c)
        ratios.append(height / (2 * _distance(corner, other)))
    return -np.mean(ratios, axis=0)


def mouth_opening(points: RealArray) -> DoubleArray:
    """Return the mean gap between the lips, relative to the width of the inner mouth, (n,) of landmarks (n, 68, 2)."""
    gaps = [_distance(points[:, i], points[:, j]) for i, j in ((61, 67), (62, 66), (63, 65))]
    return np.mean(gaps, axis=0) / _distance(points[:, 60], points[:, 64])


def _scores(
    predictor: Predictor,
    sets: Sets,
    faces: Arrays,
    names: tuple[str, ...],
    measure: Callable[[RealArray], DoubleArray],
) -> Scores:
    folder = sets.folder("faces") / "img"
    coefficients, mesh, direct = [], [], []
    for name, roi in zip(
        tqdm(faces["name"], desc=names[0], disable=None), faces["roi"], strict=True
    ):
        image = read_image(folder / str(name))
        found = predictor.regress(image, roi[None])[0]
        mesh.append(found.landmarks[:, :2])
        points = predictor.direct(image, roi[None])
        if points is not None:
            direct.append(points[0])
        if found.expression is not None and all(n in found.expression for n in names):
            coefficients.append(np.mean([found.expression[n] for n in names]))
    return Scores(
        np.array(coefficients) if coefficients else None,
        measure(np.stack(mesh).astype(np.float64)),
        measure(np.stack(direct).astype(np.float64)) if direct else None,
    )


def _distance(a: RealArray, b: RealArray) -> DoubleArray:
    return np.asarray(np.linalg.norm(a - b, axis=-1))
