"""Accuracy on the development splits, through the same :class:`~tddfa_ros.FacePipeline` that users run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tddfa_ros.errors import ConfigError
from tddfa_ros.geometry.roi import roi_from_landmarks
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.types import CROP_FRAME, FloatArray, ImageBGR

INNER = 17
"""First landmark that is not on the jaw: NME51 leaves the jaw out, where 2D and 3D conventions differ."""

_MIN_OVERLAP = 0.3


@dataclass(frozen=True)
class Figures:
    """One line of the table: normalised mean errors in % of the face size; ``extra``: further named figures."""

    name: str
    faces: int
    nme68: float
    nme51: float
    extra: dict[str, float]


def nme(predicted: FloatArray, truth: FloatArray, first: int = 0) -> NDArray[np.float64]:
    """Mean distance of landmarks over sqrt(w * h) of the true box, % (n,), as papers on AFLW2000-3D compute it.

    Args:
        predicted, truth: (n, 68, 2) px; first: 17 for NME51.
    """
    extent = truth.max(axis=1) - truth.min(axis=1)
    distance = np.linalg.norm(predicted - truth, axis=2)[:, first:].mean(axis=1)
    return np.asarray(100 * distance / np.sqrt(extent[:, 0] * extent[:, 1]))


def yaw_bins(errors: NDArray[np.float64], yaw_deg: FloatArray) -> tuple[float, float, float]:
    """Mean error for |yaw| in [0, 30], (30, 60] and beyond, degrees."""
    yaw = np.abs(yaw_deg)
    groups = (yaw <= 30, (yaw > 30) & (yaw <= 60), yaw > 60)
    low, middle, high = (float(errors[group].mean()) for group in groups)
    return low, middle, high


def evaluate_aflw2000(pipeline: FacePipeline, root: Path) -> list[Figures]:
    """AFLW2000-3D, standard protocol: the given 120-px crops, one pass, no detection; and its reannotated points."""
    folder = root / "aflw2000"
    truth = _arrays(folder / "gt.npz")
    boxes = truth["roi_box"][:, None]
    scale = (boxes[..., 2:] - boxes[..., :2]) / CROP_FRAME
    whole = np.array([[0, 0, CROP_FRAME, CROP_FRAME]], dtype=np.float32)
    found = []
    for name in tqdm(truth["name"], desc="AFLW2000-3D"):
        face = pipeline.regress(_read(folder / "crop120" / str(name)), whole)[0]
        found.append(face.landmarks68[:, :2])
    photo = np.stack(found) * scale + boxes[..., :2]
    wanted = truth["pts68"].transpose(0, 2, 1)[..., :2]
    again = truth["pts68_reannotated"].transpose(0, 2, 1)
    errors = nme(photo, wanted)
    bins = yaw_bins(errors, truth["yaw_deg"])
    extra = dict(zip(("0-30", "30-60", "60-90"), bins, strict=True))
    extra["mean of bins"] = float(np.mean(bins))
    extra["reannotated"] = float(np.mean(yaw_bins(nme(photo, again), truth["yaw_deg"])))
    inner = float(nme(photo, wanted, INNER).mean())
    return [Figures("AFLW2000-3D", len(photo), float(errors.mean()), inner, extra)]


def evaluate_photos(pipeline: FacePipeline, root: Path, name: str) -> list[Figures]:
    """HELEN or YTF photographs with 68 points, twice: with the ROI of the true points, and with the default detector.

    In the second line the detected box nearest to the truth counts and is refined once; ``recall`` is the share of faces with an overlap of
    0.3 or more.
    """
    folder = root / name
    truth = _arrays(folder / "gt.npz")
    given, detected, kept = [], [], []
    for file, points in zip(tqdm(truth["name"], desc=name), truth["pts68"], strict=True):
        image = _read(folder / str(file))
        given.append(_refined(pipeline, image, roi_from_landmarks(points)))
        boxes = pipeline.detect(image)
        overlap = [_overlap(box[:4], points) for box in boxes]
        if overlap and max(overlap) >= _MIN_OVERLAP:
            box = boxes[int(np.argmax(overlap))]
            detected.append(pipeline.align(image, box[None, :4])[0].landmarks68[:, :2])
            kept.append(points)
    wanted = truth["pts68"]
    share = {"recall": len(kept) / len(wanted)}
    return [
        _figures(f"{name.upper()}, true ROI", np.stack(given), wanted, {}),
        _figures(f"{name.upper()}, detector", np.stack(detected), np.stack(kept), share),
    ]


SUITES: dict[str, Callable[[FacePipeline, Path], list[Figures]]] = {
    "aflw2000": evaluate_aflw2000,
    "helen": lambda pipeline, root: evaluate_photos(pipeline, root, "helen"),
    "ytf": lambda pipeline, root: evaluate_photos(pipeline, root, "ytf"),
}


def table(lines: Sequence[Figures]) -> str:
    """The figures as a markdown table."""
    rows = ["| set | faces | NME68 % | NME51 % | more |", "|---|---|---|---|---|"]
    for line in lines:
        more = ", ".join(f"{name} {value:.3g}" for name, value in line.extra.items())
        rows.append(
            f"| {line.name} | {line.faces} | {line.nme68:.2f} | {line.nme51:.2f} | {more} |"
        )
    return "\n".join(rows)


def _figures(name: str, found: FloatArray, wanted: FloatArray, extra: dict[str, float]) -> Figures:
    errors, inner = nme(found, wanted), nme(found, wanted, INNER)
    return Figures(name, len(found), float(errors.mean()), float(inner.mean()), extra)


def _refined(pipeline: FacePipeline, image: ImageBGR, roi: FloatArray) -> FloatArray:
    face = pipeline.regress(image, roi[None])[0]
    again = pipeline.regress(image, roi_from_landmarks(face.landmarks68)[None])[0]
    return np.asarray(again.landmarks68[:, :2])


def _overlap(box: FloatArray, points: FloatArray) -> float:
    """Intersection over union of a box and the bounding box of landmarks."""
    low, high = points.min(axis=0), points.max(axis=0)
    common = np.clip(np.minimum(box[2:], high) - np.maximum(box[:2], low), 0, None).prod()
    union = (box[2:] - box[:2]).prod() + (high - low).prod() - common
    return float(common / union)


def _arrays(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigError(f"the evaluation set {path} does not exist")
    with np.load(path) as file:
        return {key: file[key] for key in file.files}


def _read(path: Path) -> ImageBGR:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ConfigError(f"cannot read the picture {path}")
    return np.asarray(image, dtype=np.uint8)
