"""Synthetic faces of basic expressions from the Facial Action Coding System, so that the classifier does not depend on correlations of one data set.

Prototypes: P. Ekman, W. Friesen, "EMFACS-7" (1983), and P. Lucey et al., "The Extended Cohn-Kanade Dataset (CK+)", CVPR Workshops 2010, table 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.arkit import COEFFICIENT_RANGES, CoefficientRange, without_side
from tddfa_ros.attributes.expression_classifier import ACTIONS, EXPRESSIONS
from tddfa_ros.attributes.expressions import ACTION_UNITS
from tddfa_ros.types import DoubleArray


class Prototype(NamedTuple):
    """Action units of an expression: those it requires, and those that may accompany them."""

    required: tuple[int, ...]
    optional: tuple[int, ...]


PROTOTYPES: Mapping[str, Prototype] = {
    "happiness": Prototype((12,), (6,)),
    "sadness": Prototype((1, 15), (4, 17)),
    "surprise": Prototype((1, 2, 26), (5,)),
    "fear": Prototype((1, 4, 5, 20), (2, 26)),
    "disgust": Prototype((9, 10), (15, 16)),
    "anger": Prototype((4, 24), (5, 7)),
}

_NEUTRAL: tuple[Mapping[int, float], ...] = (
    {},
    {26: 0.6},
    {26: 1.0, 16: 0.6, 10: 0.3},  # speech
    {26: 1.2, 16: 0.8, 10: 0.7, 6: 0.4, 9: 0.3},  # a yawn
)

_BASES: tuple[Callable[[CoefficientRange], float], ...] = (
    lambda _: 0.0,
    lambda reach: reach.rest,
    lambda reach: reach.median,
)
_INTENSITIES = (0.7, 1.0, 1.3)
_OPTIONAL = (0.0, 0.5, 1.0)


def synthetic_faces() -> tuple[DoubleArray, NDArray[np.int64], DoubleArray]:
    """Return actions (n, A), labels (n,) and weights (n,) with sum 1, the same for each expression.

    All other actions are 0, at rest, or at their median.
    """
    faces: list[tuple[dict[int, float], int, float]] = []
    for name, prototype in PROTOTYPES.items():
        share = 1 / (len(_INTENSITIES) * len(_OPTIONAL))
        for intensity in _INTENSITIES:
            for part in _OPTIONAL:
                units = dict.fromkeys(prototype.required, intensity)
                units |= dict.fromkeys(prototype.optional, intensity * part)
                faces.append((units, EXPRESSIONS.index(name), share))
    faces += [({**units}, EXPRESSIONS.index("neutral"), 1 / len(_NEUTRAL)) for units in _NEUTRAL]
    actions = [_actions(units, base) for base in _BASES for units, *_ in faces]
    labels = np.array([label for _, label, _ in faces] * len(_BASES))
    weights = np.array([share for *_, share in faces] * len(_BASES))
    return np.array(actions), labels, weights / weights.sum()


def _actions(units: Mapping[int, float], base: Callable[[CoefficientRange], float]) -> list[float]:
    found = {name: base(COEFFICIENT_RANGES[name]) for name in ACTIONS}
    for number, intensity in units.items():
        unit = ACTION_UNITS[number]
        if intensity > 0:
            found[without_side(unit.coefficients[0])] = unit.rest + intensity * (unit.full - unit.rest)  # fmt: skip
    return list(found.values())
