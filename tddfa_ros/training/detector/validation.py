"""Validation of the detector: recall and ROI error on held-out images, or on composites of held-out faces."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from torch import nn

from tddfa_ros.detection.boxes import fit, suppress
from tddfa_ros.detection.tddfa_detect import NMS_IOU, STRIDES, decode
from tddfa_ros.evaluation.detection_curve import DetectionCurve
from tddfa_ros.geometry.roi import roi_from_box
from tddfa_ros.tracking.association import iou
from tddfa_ros.training.detector.data import DetectorData
from tddfa_ros.training.detector.images import LabeledImage
from tddfa_ros.types import FloatArray, ImageBGR

_LOWEST_SCORE = 0.05
_SIZE = 320  # long side of the images, px
_UNMATCHED = 0.1  # per image
_MOST_FACES = 100
_TILES = 12  # of the overlay


class DetectorValidation:
    """Figures and an overlay of a network."""

    def __init__(self, data: DetectorData) -> None:
        self._items = list(_items(data))

    def __call__(self, network: nn.Module) -> dict[str, float]:
        """Return ``recall`` at 0.1 unmatched detections an image, and ``roi_error``, the mean distance of ROI centers in ROI sides."""
        curve, errors = DetectionCurve(0.5), []
        for item in self._items:
            found = detect(network, item.image, _LOWEST_SCORE)
            curve.add(found, item.boxes, item.ignore)
            if len(found) and len(item.boxes):
                errors.extend(_roi_errors(found, item.boxes[~item.ignore]))
        recall, threshold = curve.recall(round(_UNMATCHED * curve.images))
        error = float(np.mean(errors)) if errors else float("nan")
        return {"recall": recall, "threshold": threshold, "roi_error": error}

    def overlay(self, network: nn.Module) -> ImageBGR:
        """Draw labels (green) and detections (red) of the first images."""
        tiles = []
        for item in self._items[:_TILES]:
            tile = np.zeros((_SIZE, _SIZE, 3), np.uint8)
            image = item.image.copy()
            found = detect(network, item.image, 0.4)
            for boxes, color in ((item.boxes, (0, 255, 0)), (found, (0, 0, 255))):
                for box in np.rint(boxes[:, :4]).astype(int):
                    cv2.rectangle(image, box[:2].tolist(), box[2:].tolist(), color, 1)
            tile[: image.shape[0], : image.shape[1]] = image[:_SIZE, :_SIZE]
            tiles.append(tile)
        while len(tiles) % 4:
            tiles.append(np.zeros_like(tiles[0]))
        rows = [np.hstack(tiles[start : start + 4]) for start in range(0, len(tiles), 4)]
        return np.asarray(np.vstack(rows), np.uint8)


def detect(network: nn.Module, image: ImageBGR, threshold: float) -> FloatArray:
    """Detect faces (n, 5) in an image at its own size."""
    fitted = fit(image, max(image.shape[:2]), STRIDES[-1]).image
    with torch.no_grad():
        maps = network(torch.from_numpy(fitted[None]).permute(0, 3, 1, 2).float())
    return suppress(decode([m.numpy() for m in maps], threshold), NMS_IOU, _MOST_FACES)


def _items(data: DetectorData) -> Iterator[LabeledImage]:
    pool = data.labeled
    if pool is not None and pool.held_out.any():
        for number in np.flatnonzero(pool.held_out):
            yield pool[int(number)].resized(_SIZE)
        return
    nowhere = np.full((68, 2), np.nan, np.float32)
    for scene in data.validation_scenes():
        landmarks = np.repeat(nowhere[None], len(scene.boxes), axis=0)
        yield LabeledImage(scene.image, scene.boxes, landmarks, scene.ignore)


def _roi_errors(found: FloatArray, labeled: FloatArray) -> list[float]:
    """Return the distances of the ROI centers of detected faces from the true ones, in ROI sides."""
    if not len(labeled):
        return []
    overlap = iou(found[:, :4], labeled)
    out = []
    for face, best in enumerate(overlap.argmax(axis=0)):
        if overlap[best, face] >= 0.5:
            rois = roi_from_box(np.stack([found[best, :4], labeled[face]]))
            away = (rois[0, :2] + rois[0, 2:] - rois[1, :2] - rois[1, 2:]) / 2
            out.append(float(np.linalg.norm(away) / (rois[1, 2] - rois[1, 0])))
    return out
