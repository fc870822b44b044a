"""Train the classifier of basic expressions: multinomial logistic regression with class weights and cross-validation."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from tqdm import tqdm

from tddfa_ros.attributes.expression_classifier import (
    EXPRESSIONS,
    ExpressionClassifier,
    actions_of,
    features,
)
from tddfa_ros.geometry.roi import roi_from_landmarks
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.training.attributes.prototypes import synthetic_faces
from tddfa_ros.types import DoubleArray, RealArray

OTHER = -1
"""Label of faces that show none of the expressions, such as yawns: every expression shall be equally probable, so that none is reported."""

PENALTIES = (3e-4, 1e-3, 3e-3, 1e-2)
"""Candidate weights of the squared norm, chosen by cross-validation."""

_SIDE = 144  # px, to which the face squares are scaled
_SMALLEST_STD = 1e-6
_SYNTHETIC = 0.1  # share of the synthetic faces in the loss
_OTHERS = 0.1  # share of the faces with the label OTHER


def regress_actions(squares: NDArray[np.uint8], pipeline: FacePipeline) -> DoubleArray:
    """Regress the actions (n, A) of grayscale squares (n, S, S) uint8 filled by a face.

    Two passes, the second on the ROI of the landmarks, as in tracking.
    """
    rows = []
    whole = np.array([[0.0, 0.0, _SIDE, _SIDE]])
    for square in tqdm(squares, unit="face", disable=None):
        gray = cv2.resize(square, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
        image = cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR)
        first = pipeline.regress(image, whole)[0]
        face = pipeline.regress(image, roi_from_landmarks(first.landmarks68)[None])[0]
        rows.append(actions_of(face.expression))
    return np.array(rows)


def fit(actions: RealArray, labels: NDArray[np.int64], penalty: float) -> ExpressionClassifier:
    """Fit a classifier to actions (n, A) and labels (n,), indices of expressions or :data:`OTHER`; each class counts the same.

    Minimizes the weighted cross entropy plus ``penalty`` times the squared norm of the weights without bias. A tenth of the cross entropy is that of
    :func:`~.prototypes.synthetic_faces`, a tenth that of the faces with the label :data:`OTHER`, if there are any.
    """
    synthetic, names, shares = synthetic_faces()
    values = np.concatenate([np.asarray(actions, np.float64), synthetic])
    seen = features(values)
    real = seen[: len(labels)]
    mean, std = real.mean(axis=0), np.maximum(real.std(axis=0), _SMALLEST_STD)
    inputs = np.column_stack([(seen - mean) / std, np.ones(len(seen))])
    classes = len(EXPRESSIONS)
    other = labels == OTHER
    named = np.where(other, 0.0, 1 / np.bincount(labels[~other], minlength=classes)[labels])
    share = _OTHERS if other.any() else 0.0
    each = (1 - _SYNTHETIC - share) * named / named.sum() + share * other / max(other.sum(), 1)
    weight = np.append(each, _SYNTHETIC * shares)
    truth = np.eye(classes)[np.append(labels, names)]
    truth[: len(labels)][other] = 1 / classes

    def loss(flat: DoubleArray) -> tuple[float, DoubleArray]:
        weights = flat.reshape(classes, -1)
        scores = inputs @ weights.T
        scores -= scores.max(axis=1, keepdims=True)
        log_p = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        slope = ((np.exp(log_p) - truth) * weight[:, None]).T @ inputs
        slope[:, :-1] += 2 * penalty * weights[:, :-1]
        value = -(weight[:, None] * truth * log_p).sum() + penalty * (weights[:, :-1] ** 2).sum()
        return float(value), slope.ravel()

    start = np.zeros(classes * inputs.shape[1])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 2000})
    weights = found.x.reshape(classes, -1)
    return ExpressionClassifier(values.min(axis=0), values.max(axis=0), mean, std, weights)


def cross_validated_penalty(
    actions: RealArray, labels: NDArray[np.int64], persons: Sequence[str], folds: int = 5
) -> tuple[float, dict[float, float]]:
    """Return the penalty with the smallest cross entropy on held-out persons, and the cross entropy of each, nats per face.

    Faces with the label :data:`OTHER` are trained on, but do not count.
    """
    _, person = np.unique(np.asarray(persons), return_inverse=True)
    fold = (np.random.default_rng(0).permutation(person.max() + 1) % folds)[person]
    entropies = {}
    for penalty in PENALTIES:
        likelihood = np.zeros(len(labels))
        for number in range(folds):
            held_out = fold == number
            classifier = fit(actions[~held_out], labels[~held_out], penalty)
            found = classifier(actions[held_out], neutral_prior=1)
            likelihood[held_out] = found[np.arange(len(found)), labels[held_out]]
        entropies[penalty] = float(-np.log(likelihood[labels != OTHER]).mean())
    return min(entropies, key=entropies.__getitem__), entropies


def confusion(probabilities: RealArray, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the confusion matrix (7, 7) of counts: rows are labels, columns the most probable expressions."""
    table = np.zeros((len(EXPRESSIONS), len(EXPRESSIONS)), np.int64)
    np.add.at(table, (labels, np.argmax(probabilities, axis=1)), 1)
    return table
