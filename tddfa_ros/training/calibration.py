"""Calibrate the confidence: how far mesh and direct landmarks lie apart on faces, and where there is no face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.augment import reframe
from tddfa_ros.training.cache import FaceCache
from tddfa_ros.training.export import Confidence
from tddfa_ros.training.losses import PosedPoints, crop_pixels
from tddfa_ros.training.networks import FaceNet
from tddfa_ros.training.trainer import normalise
from tddfa_ros.types import CROP_FRAME, FloatArray

_FACE_QUANTILE = 0.98  # of usual faces have a confidence over 0.5
_SURE = 0.98  # confidence of the median face


@dataclass(frozen=True, eq=False)
class Calibration:
    """Attributes: confidence; faces, others: (n,) distances in crop px; auc: how well the distance tells them apart."""

    confidence: Confidence
    faces: FloatArray
    others: FloatArray
    auc: float


def calibrate(
    network: FaceNet,
    model: MorphableModel,
    cache: FaceCache,
    rows: NDArray[np.int64],
    seed: int = 0,
) -> Calibration:
    """Compare held-out faces (``rows``) with wrong crops of the same pictures: shifted by a face or so, or far too close.

    The midpoint keeps 98 % of the faces above 0.5: losing a face costs a tracker more than following a shadow for some frames. The width
    makes the median face 98 % sure.
    """
    rng = np.random.default_rng(seed)
    points = PosedPoints(model)
    faces, others = [], []
    for row in rows:
        image, params = np.asarray(cache.images[row]), cache.params[row]
        faces.append(reframe(image, params, 0.0, 1.0, np.zeros(2))[0])
        angle = rng.uniform(0, 2 * np.pi)
        shift = np.array([np.cos(angle), np.sin(angle)]) * rng.uniform(0.8, 1.1) * CROP_FRAME
        zoom = 1.0 if rng.random() < 0.7 else rng.uniform(3, 5)
        others.append(reframe(image, params, 0.0, zoom, shift, None)[0])
    near, far = (_distances(network, points, np.stack(crops)) for crops in (faces, others))
    midpoint = float(np.quantile(near, _FACE_QUANTILE))
    width = (midpoint - float(np.median(near))) / float(np.log(_SURE / (1 - _SURE)))
    auc = float((near[:, None] < far[None]).mean())
    return Calibration(Confidence(midpoint, width), near, far, auc)


def _distances(network: FaceNet, points: PosedPoints, crops: NDArray[np.uint8]) -> FloatArray:
    out = []
    with torch.no_grad():
        for part in np.array_split(crops, max(1, len(crops) // 128)):
            params, direct = network(normalise(torch.from_numpy(part).permute(0, 3, 1, 2)))
            mesh = crop_pixels(points(params)[:, :68])
            out.append((mesh - direct).norm(dim=2).mean(dim=1))
    return np.asarray(torch.cat(out).numpy(), dtype=np.float32)
