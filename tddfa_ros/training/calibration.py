"""Calibrate confidence and landmark sigma on held-out crops, with faces framed as in tracking.

A confidence head is calibrated against crops without a face. Without such crops (a user's dataset) or such a head, the confidence is computed from
the disagreement of both sets of landmarks, which needs faces only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tddfa_ros.errors import ConfigError
from tddfa_ros.geometry.metrics import auc
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.cache import FaceCache
from tddfa_ros.training.dataset import held_out_rows
from tddfa_ros.training.framing import about_landmarks, landmark_pixels, reframe
from tddfa_ros.training.networks import FaceNet, Predictions, normalize
from tddfa_ros.types import CROP_FRAME, FloatArray

_FACE_QUANTILE = 0.02  # share of faces with a confidence below 0.5
_SURE = 0.98  # confidence of the median face
_ROI_NOISE = (0.06, 0.035)  # standard deviations: logarithm of the size, position in widths
_LEAST_WIDTH = 1e-3
_ONE_SIGMA = 0.6827  # share of a normal distribution within one standard deviation
_BATCH = 128


@dataclass(frozen=True)
class Confidence:
    """Logistic curve: confidence = 1 / (1 + exp((midpoint - score) / width)).

    The score is the logit of the head, or the negative disagreement of both heads' landmarks in crop px.
    """

    midpoint: float
    width: float


@dataclass(frozen=True, eq=False)
class Calibration:
    """Result of a calibration.

    Attributes:
        confidence: the curve.
        of_head: whether the score is the logit of the confidence head.
        faces: (n,) scores of held-out faces.
        others: (m,) scores of held-out crops without a face.
        sigma_scale: factor of sigma after which 68 % of the coordinates lie within one sigma of their labels; None without that head.
    """

    confidence: Confidence
    of_head: bool
    faces: FloatArray
    others: FloatArray
    sigma_scale: float | None = None

    @property
    def auc(self) -> float:
        """Area under the ROC curve: share of pairs in which the face has the higher score, ties count half; NaN without other crops."""
        return auc(self.faces, self.others)


def calibrate(
    network: FaceNet, cache: FaceCache, model: MorphableModel, size: int, seed: int = 0
) -> Calibration:
    """Fit the logistic curve of the confidence and the scale of landmark sigma.

    98 % of the faces get a confidence above 0.5, because a lost face costs a tracker more than some frames of a false positive. The median face
    gets 0.98.

    Args:
        network: in evaluation mode.
        cache: with held-out crops.
        model: morphable model of the labels.
        size: side of the network's crops, px.
        seed: of the ROI noise.

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
    """Return the factor of sigma after which 68 % of the landmark coordinates lie within one sigma of their labels.

    Args:
        network: with the sigma head.
        crops: (n, S, S, 3) uint8.
        params: (n, P) labels.
        model: morphable model of the labels.
    """
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
    noise = float(np.exp(rng.normal(0, scale))), rng.normal(0, place, 2) * CROP_FRAME
    zoom, shift = about_landmarks(landmark_pixels(model, params), 0.0, *noise)
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
        if of_head:
            assert found.confidence is not None
            out.append(found.confidence.numpy())
        else:
            out.append(-_disagreement(found, model))
    return np.concatenate(out).astype(np.float32)


def _disagreement(found: Predictions, model: MorphableModel) -> FloatArray:
    """Return the mean distance (n,) of the mesh's landmarks from the direct ones, crop px, as the regressor computes it."""
    mesh = landmark_pixels(model, found.params.numpy())
    distance = np.linalg.norm(mesh - found.landmarks.numpy(), axis=2).mean(axis=1)
    return np.asarray(distance, dtype=np.float32)
