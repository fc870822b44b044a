"""Landmarks of the mesh and of the direct head on single crops, for suites that compare both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tddfa_ros.evaluation.prediction import Predictor
from tddfa_ros.evaluation.result import Curve, Row
from tddfa_ros.evaluation.sets import read_image
from tddfa_ros.types import FloatArray, RealArray

HEADS = ("mesh", "direct")
"""Landmarks of the morphable model; landmarks of the head without one."""

Measure = Callable[[FloatArray], tuple[Mapping[str, float | None], Curve]]
"""Takes landmarks (n, 68, 2); returns the figures of the row, and the errors of the faces that count."""


def predict_heads(
    predictor: Predictor, images: Sequence[Path], rois: RealArray | None, title: str
) -> dict[str, FloatArray]:
    """Predict one face per image, in one pass.

    Args:
        predictor: method to evaluate.
        images: n image files.
        rois: (n, 4) square ROIs, image px; None = the whole of each square image.
        title: label of the progress bar.

    Returns:
        Landmarks (n, 68, 2), image px, by head; (0, 68, 2) where the method has no such head.

    Raises:
        ConfigError: an image cannot be read.
    """
    found: dict[str, list[FloatArray]] = {head: [] for head in HEADS}
    for index, path in enumerate(tqdm(images, desc=title, disable=None)):
        image = read_image(path)
        roi = np.array([0.0, 0.0, image.shape[0], image.shape[0]]) if rois is None else rois[index]
        found["mesh"].append(predictor.regress(image, roi[None])[0].landmarks[:, :2])
        direct = predictor.direct(image, roi[None])
        if direct is not None:
            found["direct"].append(direct[0])
    return {
        head: np.stack(points) if points else np.zeros((0, 68, 2), np.float32)
        for head, points in found.items()
    }


def head_rows(
    found: Mapping[str, FloatArray], measure: Measure
) -> tuple[list[Row], dict[str, Curve]]:
    """Return a row and the errors of each head; a head without landmarks gets an empty row and no errors."""
    rows, errors = [], {}
    for head, points in found.items():
        if not len(points):
            rows.append(Row(head, 0, {}))
            continue
        figures, errors[head] = measure(points)
        rows.append(Row(head, len(errors[head].values), figures))
    return rows, errors
