"""Calibrate confidence and landmark sigma on crops that were held out from training, faces framed as tracking frames them.

A network with a confidence head is calibrated against crops without a face. Where there are none (a user's dataset), or no such head,
the confidence is how well the two sets of landmarks agree, which needs faces only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tddfa_ros.errors import ConfigError
from tddfa_ros.geometry.metrics import auc
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.augment import about_landmarks, landmark_pixels, reframe
from tddfa_ros.training.cache import FaceCache
from tddfa_ros.training.dataset import held_out_rows
from tddfa_ros.training.networks import FaceNet, Predictions, normalize
from tddfa_ros.types import CROP_FRAME, FloatArray

_FACE_QUANTILE = 0.02  # of usual faces have a confidence under 0.5
_SURE = 0.98  # confidence of the median face
_ROI_NOISE = (0.06, 0.035)  # logarithm of the size, place in widths
_LEAST_WIDTH = 1e-3
_ONE_SIGMA = 0.6827  # of a normal distribution lie within one standard deviation
_BATCH = 128


@dataclass(frozen=True)
class Confidence:
    """confidence = 1 / (1 + exp((midpoint - score) / width)); score: the head's logit, or the disagreement of both heads' landmarks in
    crop px, negated."""

    midpoint: float
    width: float


@dataclass(frozen=True, eq=False)
class Calibration:
    """Attributes: confidence: the curve; of_head: whether the score is the logit of the confidence head; faces, others: (n,) scores;
    sigma_scale: factor after which 68 % of the landmarks' coordinates lie within one predicted sigma of their labels; None without that head."""

    confidence: Confidence
    of_head: bool
    faces: FloatArray
    others: FloatArray
    sigma_scale: float | None = None

    @property
    def auc(self) -> float:
        """Share of pairs in which the face scores higher, ties counting half; NaN without other crops."""
        return auc(self.faces, self.others)


def calibrate(
    network: FaceNet, cache: FaceCache, model: MorphableModel, size: int, seed: int = 0
) -> Calibration:
    """Find the logistic curve of the confidence, and the scale of the landmarks' sigma.

    The midpoint keeps 98 % of the faces above 0.5: losing a face costs a tracker more than following a shadow for some frames. The width
    makes the median face 98 % sure.

    Args:
        size: side of the network's crops, px.

    Raises:
        ConfigError: the cache has no held-out faces.
    """
    faces, others = (held_out_rows(cache, face) for face in (True, False))
    if len(faces) == 0:
        raise ConfigError("the confidence is calibrated on held-out faces; the cache has none")
    of_head = network.confidence_head is not None and len(others) > 0
    rng = np.random.default_rng(seed)
    views = [_as_tracked(cache, int(row), model, size, rng) for row in faces]
    images = np.stack([image for image, _ in views])
    high = _scores(network, images, model, of_head)
    scale = None
    if network.sigma_head is not None:
        scale = sigma_scale(network, images, np.stack([params for _, params in views]), model)
    low = high[:0]
    if len(others):
        crops = [_stored(cache, int(row), size) for row in others]
        low = _scores(network, np.stack(crops), model, of_head)
    midpoint = float(np.quantile(high, _FACE_QUANTILE))
    width = (float(np.median(high)) - midpoint) / float(np.log(_SURE / (1 - _SURE)))
    return Calibration(Confidence(midpoint, max(width, _LEAST_WIDTH)), of_head, high, low, scale)


def sigma_scale(
    network: FaceNet, crops: NDArray[np.uint8], params: FloatArray, model: MorphableModel
) -> float:
    """Factor of the predicted sigma after which :data:`_ONE_SIGMA` of the coordinates of crops (n, S, S, 3) lie within it of their labels (n, P)."""
    ratios = []
    for start in range(0, len(crops), _BATCH):
        found = _predict(network, crops[start : start + _BATCH])
        assert found.landmark_sigma is not None
        wanted = landmark_pixels(model, params[start : start + _BATCH])
        error = np.abs(landmark_pixels(model, found.params.numpy()) - wanted)
        ratios.append((error / found.landmark_sigma.numpy()[..., None]).ravel())
    return float(np.quantile(np.concatenate(ratios), _ONE_SIGMA))


def _as_tracked(
    cache: FaceCache, row: int, model: MorphableModel, size: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], FloatArray]:
    params = cache.params[row]
    scale, place = _ROI_NOISE
    zoom, shift = float(np.exp(rng.normal(0, scale))), rng.normal(0, place, 2) * CROP_FRAME
    zoom, shift = about_landmarks(landmark_pixels(model, params), 0.0, zoom, shift)
    return reframe(np.asarray(cache.images[row]), params, 0.0, zoom, shift, size=size)


def _stored(cache: FaceCache, row: int, size: int) -> NDArray[np.uint8]:
    image = np.asarray(cache.images[row])
    return reframe(image, cache.params[row], 0.0, 1.0, np.zeros(2), size=size)[0]


def _predict(network: FaceNet, crops: NDArray[np.uint8]) -> Predictions:
    with torch.no_grad():
        found: Predictions = network(normalize(torch.from_numpy(crops).permute(0, 3, 1, 2)))
    return found


def _scores(
    network: FaceNet, crops: NDArray[np.uint8], model: MorphableModel, of_head: bool
) -> FloatArray:
    out = []
    for start in range(0, len(crops), _BATCH):
        found = _predict(network, crops[start : start + _BATCH])
        out.append(found.confidence.numpy() if of_head else -_disagreement(found, model))
    return np.concatenate(out).astype(np.float32)


def _disagreement(found: Predictions, model: MorphableModel) -> FloatArray:
    """Mean distance (n,) of the mesh's landmarks from the direct ones, as the regressor measures it."""
    mesh = landmark_pixels(model, found.params.numpy())
    distance = np.linalg.norm(mesh - found.landmarks.numpy(), axis=2).mean(axis=1)
    return np.asarray(distance, dtype=np.float32)
