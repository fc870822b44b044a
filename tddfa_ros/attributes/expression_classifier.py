"""A linear softmax classifier of basic expressions on ARKit coefficients and their squares."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tddfa_ros.arkit import ARKIT_NAMES, without_side
from tddfa_ros.errors import ModelError
from tddfa_ros.files import atomic_path
from tddfa_ros.types import DoubleArray, RealArray

EXPRESSIONS = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger")
"""Classes of the classifier, in the order of its outputs."""

INPUTS = tuple(name for name in ARKIT_NAMES if name != "tongueOut")
"""Coefficients that the classifier needs; the default network does not estimate ``tongueOut``."""

ACTIONS = tuple(dict.fromkeys(without_side(name) for name in INPUTS))
"""Inputs after averaging the left and right side, so that a face and its mirror image get the same result."""

NEUTRAL_PRIOR = 3.0
"""How much more frequent neutral faces are taken to be than each other expression; without it, most relaxed faces get another name."""

WEIGHTS_FILE = Path(__file__).with_name("expression_weights.json")


@dataclass(frozen=True, eq=False)
class ExpressionClassifier:
    """Softmax of a linear function of A actions and their squares, F = 2 A features.

    Attributes:
        low, high: (A,) range of each action in the training faces; values outside are clipped.
        mean, std: (F,) moments of the features in the training faces.
        weights: (7, F + 1) for the standardized features, the last column is the bias.
    """

    low: DoubleArray
    high: DoubleArray
    mean: DoubleArray
    std: DoubleArray
    weights: DoubleArray

    def __call__(self, actions: RealArray, neutral_prior: float = NEUTRAL_PRIOR) -> DoubleArray:
        """Return the probabilities (n, 7) of :data:`EXPRESSIONS` for actions (n, A).

        Args:
            actions: of :func:`actions_of`.
            neutral_prior: frequency of neutral faces over that of each other expression; 1 in the training loss.
        """
        seen = (features(np.clip(actions, self.low, self.high)) - self.mean) / self.std
        scores = seen @ self.weights[:, :-1].T + self.weights[:, -1]
        scores[:, EXPRESSIONS.index("neutral")] += np.log(neutral_prior)
        likelihood = np.exp(scores - scores.max(axis=1, keepdims=True))
        return likelihood / likelihood.sum(axis=1, keepdims=True)

    def save(self, path: Path) -> None:
        """Write a JSON file, with four significant digits."""
        record = {"expressions": EXPRESSIONS, "actions": ACTIONS}
        arrays = {name: _rounded(values) for name, values in vars(self).items()}
        text = json.dumps(record | arrays).replace('], "', '],\n"').replace("], [", "],\n[")
        with atomic_path(path) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path = WEIGHTS_FILE) -> ExpressionClassifier:
        """Read a file of :meth:`save`.

        Raises:
            ModelError: the file is missing, or is not of this classifier.
        """
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            arrays = {name: np.array(record[name]) for name in cls.__dataclass_fields__}
            names = record["expressions"], record["actions"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path} is not an expression classifier") from error
        count = len(ACTIONS)
        shapes = [(count,), (count,), (2 * count,), (2 * count,), (len(EXPRESSIONS), 2 * count + 1)]
        if names != ([*EXPRESSIONS], [*ACTIONS]) or [a.shape for a in arrays.values()] != shapes:
            raise ModelError(f"{path} is an expression classifier of another version")
        return cls(**arrays)


@cache
def default_classifier() -> ExpressionClassifier:
    """Return the classifier of this package, loaded on first use."""
    return ExpressionClassifier.load()


def actions_of(coefficients: Mapping[str, float]) -> DoubleArray:
    """Return the actions (A,) of ARKit coefficients: means of the left and right side."""
    sides: dict[str, list[float]] = {name: [] for name in ACTIONS}
    for name in INPUTS:
        sides[without_side(name)].append(coefficients[name])
    return np.array([np.mean(values) for values in sides.values()])


def features(actions: RealArray) -> DoubleArray:
    """Return the features (n, 2 A) of actions (n, A): the values, then their squares."""
    values = np.asarray(actions, np.float64)
    return np.concatenate([values, values**2], axis=1)


def _rounded(values: RealArray) -> Any:
    if np.ndim(values) > 1:
        return [_rounded(row) for row in values]
    return [float(f"{value:.4g}") for value in values.tolist()]
