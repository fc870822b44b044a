"""Landmark error on whole images (HELEN, YTF, a user's own): from the true ROI and from the detector."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tddfa_ros.config import RegressionConfig
from tddfa_ros.errors import ConfigError
from tddfa_ros.evaluation.prediction import Predictor, refined
from tddfa_ros.evaluation.result import Curve, Row, SuiteResult, landmark_figures
from tddfa_ros.evaluation.sets import Sets, arrays, read_image
from tddfa_ros.geometry.metrics import INNER, nme
from tddfa_ros.geometry.pose import angles_300w_lp, decompose
from tddfa_ros.geometry.roi import roi_from_box, roi_from_landmarks
from tddfa_ros.model_store.store import default_store
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.tracking.association import iou
from tddfa_ros.types import DoubleArray, FloatArray, ImageBGR, RealArray

MIN_OVERLAP = 0.3
"""Minimum IoU of a detection with the box of the true landmarks for a match."""

_NOTE = (
    "NME as on AFLW2000-3D; yaw from a weak-perspective fit of the mean head to the true points inside the face. 'true ROI': from the "
    "true points, refined once; 'detector': from the full image, the detection nearest to the truth, refined once; NME over "
    "detected faces; recall: share of detected faces."
)


def evaluate(
    predictor: Predictor, folder: Path, sets: Sets, name: str, first_pixel: int = 0
) -> SuiteResult:
    """Measure NME68 and NME51 on the images of a folder, and the recall of the detector.

    Args:
        folder: the images (or ``photo/`` with them) and ``gt.npz``: ``name`` (n,) and ``pts68`` (n, 68, 2 or 3) or
            (n, 2 or 3, 68), iBUG-68, image px. An image with several faces takes several rows.
        sets: provides the limit of faces.
        name: name of the set.
        first_pixel: index of the first pixel in ``gt.npz``: 0 as in OpenCV, 1 as in the files of iBUG and YTF.
    """
    labels = arrays(folder / "gt.npz", "name", "pts68")
    labels["pts68"] = points_of(labels["pts68"], folder) - first_pixel
    truth = sets.some(labels)
    place = folder / "photo" if (folder / "photo").is_dir() else folder
    given, detected = _Found(), _Found()
    for row, (file, points) in enumerate(
        zip(tqdm(truth["name"], desc=name, disable=None), truth["pts68"], strict=True)
    ):
        image = read_image(place / str(file))
        given.add(predictor, image, row, roi_from_landmarks(points))
        box = nearest(predictor.detect(image), points)
        if box is not None:
            detected.add(predictor, image, row, roi_from_box(box))
    yaw = yaw_of(truth["pts68"])
    recall = {"recall": len(detected.rows) / len(yaw)}
    rows, errors = [], {}
    for way, found, more in (("true ROI", given, {}), ("detector", detected, recall)):
        for head, seen in (("mesh", found.mesh), ("direct", found.direct)):
            if not seen:
                rows.append(Row(f"{way}, {head}", 0, more if head == "mesh" else {}))
                continue
            placed, wanted, turned = np.stack(seen), truth["pts68"][found.rows], yaw[found.rows]
            figures = {**landmark_figures(placed, wanted, turned), **more}
            rows.append(Row(f"{way}, {head}", len(placed), figures))
            errors[f"{way}, {head}"] = Curve(nme(placed, wanted), turned)
    title = f"{name}, landmarks on images"
    return SuiteResult(name, title, rows, _NOTE, {"recall": 3}, errors)


def points_of(points: NDArray[Any], folder: Path) -> DoubleArray:
    """Return labeled points in either axis order as (n, 68, 2); raise ConfigError if they are not 68 finite points."""
    if points.ndim == 3 and points.shape[2] == 68 and points.shape[1] in (2, 3):
        points = points.transpose(0, 2, 1)
    if points.ndim != 3 or points.shape[1] != 68 or points.shape[2] not in (2, 3):
        raise ConfigError(f"pts68 of {folder / 'gt.npz'} is not (n, 68, 2) but {points.shape}")
    if not np.isfinite(points[..., :2]).all():
        raise ConfigError(f"pts68 of {folder / 'gt.npz'} holds NaN or infinity")
    return points[..., :2].astype(np.float64)


def yaw_of(points: RealArray) -> DoubleArray:
    """Estimate the yaw (n,), degrees, with the sign of 300W-LP, of faces with landmarks (n, 68, 2), px.

    From the weak-perspective pose that takes the mean head's 51 inner points nearest to theirs, by least squares. On AFLW2000-3D it
    is within 7 degrees of the label for 95 % of the faces: good enough to sort faces into ranges.
    """
    inner = _mean_head_landmarks()[INNER:]
    seen = np.asarray(points, dtype=np.float64)[:, INNER:] * [1, -1]
    linear = np.linalg.pinv(inner - inner.mean(axis=0)) @ (seen - seen.mean(axis=1, keepdims=True))
    pose = np.zeros((len(seen), 3, 4))
    pose[:, :2, :3] = np.swapaxes(linear, 1, 2)
    return angles_300w_lp(decompose(pose)[1])[:, 0]


def nearest(boxes: FloatArray, points: RealArray) -> DoubleArray | None:
    """Return the detection (4,) of (n, 4 or more) with the largest IoU with the box of landmarks; None below :data:`MIN_OVERLAP`."""
    if not len(boxes):
        return None
    true_box = np.concatenate([points.min(axis=0), points.max(axis=0)])
    overlap = iou(boxes[:, :4], true_box)[:, 0]
    best = int(np.argmax(overlap))
    return boxes[best, :4].astype(np.float64) if overlap[best] >= MIN_OVERLAP else None


@dataclass(frozen=True, eq=False)
class _Found:
    """Regressed faces: rows in the set and landmarks (68, 2) of the mesh and the direct head."""

    rows: list[int] = field(default_factory=list)
    mesh: list[FloatArray] = field(default_factory=list)
    direct: list[FloatArray] = field(default_factory=list)

    def add(self, predictor: Predictor, image: ImageBGR, row: int, roi: RealArray) -> None:
        """Regress the face with one refinement and store the landmarks."""
        seen, second = refined(predictor, image, roi)
        self.rows.append(row)
        self.mesh.append(seen.landmarks[:, :2])
        direct = predictor.direct(image, second[None])
        if direct is not None:
            self.direct.append(direct[0])


@cache
def _mean_head_landmarks() -> DoubleArray:
    # Always the default model, so that the yaw ranges do not depend on the evaluated method.
    model = MorphableModel.load(default_store().path(RegressionConfig().morphable_model))
    return model.head_landmarks(np.zeros(model.layout.size, np.float32)).astype(np.float64)
