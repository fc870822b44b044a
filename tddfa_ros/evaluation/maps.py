"""Face parsing and UV position map of the network, against those of the rasterized mesh."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tddfa_ros.evaluation.prediction import MapPrediction, Predictor
from tddfa_ros.evaluation.result import Row, SuiteResult
from tddfa_ros.evaluation.sets import WHOLE_CROP, Sets, arrays, chosen, read_image
from tddfa_ros.rendering.parsing import CLASS_NAMES
from tddfa_ros.types import DoubleArray, RealArray

_NOTE = (
    "The heads of the network against the mesh of the same network, on given crops in one pass. 'IoU': of each parsing class, from the pixels of all "
    "faces; 'mean IoU': mean of the classes, without background. 'UV mm', 'UV %': mean distance of texels in three dimensions, mm and % of the face "
    "size, depth relative to its mean."
)


def evaluate(predictor: Predictor, sets: Sets) -> SuiteResult:
    """Measure the map heads; no figures for a network without them."""
    rows = []
    for name, data in (("AFLW2000-3D", _aflw2000), ("300W-LP, held out", _lp)):
        images, rois = data(sets)
        figures = _measure(predictor, images, rois, name)
        rows.append(Row(name, len(images) if figures else 0, figures))
    digits = {f"IoU {name}": 3 for name in CLASS_NAMES} | {"mean IoU": 3}
    return SuiteResult("maps", "Face parsing and UV position map", rows, _NOTE, digits)


def intersection_over_union(confusion: NDArray[np.int64]) -> DoubleArray:
    """Return the IoU (C,) of classes from pixel counts (C, C) by true and by found class; NaN for a class that does not occur."""
    both = np.diag(confusion).astype(np.float64)
    either = confusion.sum(axis=0) + confusion.sum(axis=1) - both
    return np.divide(both, either, out=np.full(len(both), np.nan), where=either > 0)


def texel_distance(found: RealArray, wanted: RealArray, mask: NDArray[np.bool_]) -> DoubleArray:
    """Return the distances (k,) of two UV position maps (u, u, 3) at the k texels of ``mask``, with equal mean depth."""
    difference = np.asarray(found, np.float64)[mask] - np.asarray(wanted, np.float64)[mask]
    difference[:, 2] -= difference[:, 2].mean()
    return np.asarray(np.linalg.norm(difference, axis=1))


def _measure(
    predictor: Predictor, images: Sequence[Path], rois: RealArray, label: str
) -> dict[str, float | None]:
    count = len(CLASS_NAMES)
    confusion = np.zeros((count, count), np.int64)
    distances: list[tuple[float, float]] = []
    for path, roi in zip(tqdm(images, desc=label, disable=None), rois, strict=True):
        found = predictor.maps(read_image(path), roi[None])
        if found is None:
            return {}
        confusion += _confusion(found[0])
        distances += _distances(found[0])
    figures: dict[str, float | None] = {}
    if confusion.any():
        iou = intersection_over_union(confusion)
        figures["mean IoU"] = float(np.nanmean(iou[1:]))
        figures |= {f"IoU {name}": float(v) for name, v in zip(CLASS_NAMES, iou, strict=True)}
    if distances:
        figures["UV mm"], figures["UV %"] = np.mean(distances, axis=0).tolist()
    return figures


def _confusion(one: MapPrediction) -> NDArray[np.int64]:
    count = len(CLASS_NAMES)
    if one.parsing is None:
        return np.zeros((count, count), np.int64)
    pairs = one.mesh_parsing.astype(np.int64) * count + one.parsing
    return np.bincount(pairs.ravel(), minlength=count**2).reshape(count, count)


def _distances(one: MapPrediction) -> list[tuple[float, float]]:
    """Return the mean distance of the UV position maps of a face, mm and % of the face size; nothing without that head."""
    if one.uv_position is None:
        return []
    apart = float(texel_distance(one.uv_position, one.mesh_uv_position, one.uv_mask).mean())
    return [(apart * one.mm_per_px, 100 * apart / one.face_size)]


def _aflw2000(sets: Sets) -> tuple[list[Path], RealArray]:
    folder = sets.folder("aflw2000")
    truth = sets.some(arrays(folder / "gt.npz", "name"))
    images = [folder / "crop120" / str(name) for name in truth["name"]]
    return images, np.repeat(WHOLE_CROP, len(images), axis=0)


def _lp(sets: Sets) -> tuple[list[Path], RealArray]:
    folder = sets.folder("faces")
    labels = arrays(folder / "lp.npz", "name", "split", "roi")
    rows = sets.some(chosen(labels, labels["split"] == "val"))
    return [folder / "img" / str(name) for name in rows["name"]], rows["roi"]
