"""Basic expressions from ARKit coefficients, by prototypes of the Facial Action Coding System (FACS).

Nothing is trained. A face is a vector of action-unit intensities; each expression is a direction from the literature.
With independent errors of equal size in all intensities, the logarithm of the likelihood of an expression of unknown strength is the squared
projection on its direction over twice the variance; the softmax of these is the result of :func:`basic_expression` returns.

Prototypes: P. Ekman, W. Friesen, "EMFACS-7" (1983), and P. Lucey et al., "The Extended Cohn-Kanade Dataset (CK+)", CVPR Workshops 2010, table 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tddfa_ros.arkit import ARKIT_NAMES, COEFFICIENT_RANGES, without_side
from tddfa_ros.errors import ModelError
from tddfa_ros.types import DoubleArray

NEUTRAL = "neutral"


@dataclass(frozen=True)
class ActionUnit:
    """An action unit of FACS, measured by ARKit coefficients.

    Attributes:
        coefficients: ARKit names; both sides of the face count the same.
        rest: coefficient at intensity 0, the median over many faces.
        full: coefficient at intensity 1, the 98th percentile. The default network underestimates
            some actions (a wide eye gives 0.02); this scaling compensates, with more noise.
    """

    coefficients: tuple[str, ...]
    rest: float
    full: float


def _unit(name: str) -> ActionUnit:
    reach = COEFFICIENT_RANGES[name]
    both = tuple(n for n in ARKIT_NAMES if without_side(n) == name)
    return ActionUnit(both, reach.median, reach.strong)


ACTION_UNITS: Mapping[int, ActionUnit] = MappingProxyType(
    {
        1: _unit("browInnerUp"),
        2: _unit("browOuterUp"),
        4: _unit("browDown"),
        5: _unit("eyeWide"),
        6: _unit("cheekSquint"),
        7: _unit("eyeSquint"),
        9: _unit("noseSneer"),
        10: _unit("mouthUpperUp"),
        12: _unit("mouthSmile"),
        15: _unit("mouthFrown"),
        16: _unit("mouthLowerDown"),
        17: _unit("mouthShrugLower"),
        20: _unit("mouthStretch"),
        24: _unit("mouthPress"),
        26: _unit("jawOpen"),
    }
)
"""Action units by number."""


@dataclass(frozen=True)
class Prototype:
    """An expression as action units.

    Attributes:
        units: weights of its units; half for units shared with other expressions or speech.
        required: units without which it is another expression (CK+ criteria); the weakest counts.
        against: units that contradict it, with weight -1. A smile also moves other coefficients of the lips and their corners, so it counts
            against units measured by these.
    """

    units: Mapping[int, float]
    required: tuple[int, ...]
    against: tuple[int, ...] = ()


PROTOTYPES: Mapping[str, Prototype] = MappingProxyType(
    {
        "happiness": Prototype({6: 0.5, 12: 1.0}, (12,)),
        "sadness": Prototype({1: 1.0, 4: 0.5, 15: 1.0, 17: 0.5}, (1, 15), (2, 12)),
        "surprise": Prototype({1: 1.0, 2: 1.0, 5: 0.5, 26: 1.0}, (1, 2, 26), (4, 12)),
        "fear": Prototype({1: 1.0, 2: 0.5, 4: 1.0, 5: 1.0, 20: 1.0, 26: 0.5}, (1, 4), (12,)),
        "disgust": Prototype({9: 1.0, 10: 0.5, 15: 0.5, 16: 0.5}, (9, 10), (12, 26)),
        "anger": Prototype({4: 1.0, 5: 0.5, 7: 0.5, 24: 1.0}, (4, 24), (1, 12)),
    }
)

EXPRESSIONS = (NEUTRAL, *PROTOTYPES)

_NOISE = 0.35
"""Standard deviation of an intensity's error."""

_THRESHOLD = 0.6
"""Projection at which an expression is as likely as none."""

_PRESENT = 0.5
"""Intensity from which a required unit counts as present; below it, the projection falls in proportion."""

_MOST = 1.5
"""Upper limit of intensities, so that no single coefficient dominates."""

_UNITS = tuple(ACTION_UNITS)


@dataclass(frozen=True)
class Expression:
    """One of the basic expressions.

    Attributes:
        name: the most probable one, in :data:`EXPRESSIONS`.
        probabilities: probabilities of all seven, sum 1.
    """

    name: str
    probabilities: Mapping[str, float]

    @property
    def probability(self) -> float:
        """Probability of :attr:`name`."""
        return self.probabilities[self.name]


def has_action_units(coefficients: Mapping[str, float]) -> bool:
    """Return whether these are ARKit coefficients; those of other morphable models have no semantics."""
    return all(name in coefficients for u in ACTION_UNITS.values() for name in u.coefficients)


def intensities(coefficients: Mapping[str, float]) -> DoubleArray:
    """Return the intensity 0..1.5 of each of :data:`ACTION_UNITS`, in their order.

    Raises:
        ModelError: a coefficient is missing, or is not finite.
    """
    if not has_action_units(coefficients):
        raise ModelError("basic expressions need ARKit's 52 coefficients, which this model lacks")
    values = np.array(
        [
            (np.mean([coefficients[name] for name in u.coefficients]) - u.rest) / (u.full - u.rest)
            for u in ACTION_UNITS.values()
        ]
    )
    if not np.isfinite(values).all():
        raise ModelError("an expression coefficient is NaN or infinite")
    return np.clip(values, 0.0, _MOST)


def basic_expression(coefficients: Mapping[str, float]) -> Expression:
    """Classify ARKit coefficients, such as ``face.expression``, as a basic expression.

    Raises:
        ModelError: see :func:`intensities`.
    """
    found = intensities(coefficients)
    projection = np.maximum(_DIRECTIONS @ found, 0.0) * _presence(found)
    scores = np.append(_THRESHOLD, projection) ** 2 / (2 * _NOISE**2)
    likelihood = np.exp(scores - scores.max())
    probabilities = (likelihood / likelihood.sum()).tolist()
    named = dict(zip(EXPRESSIONS, probabilities, strict=True))
    return Expression(max(named, key=named.__getitem__), MappingProxyType(named))


def _presence(found: DoubleArray) -> DoubleArray:
    """Return the presence (6,) 0..1 of the required units of each expression."""
    weakest = [
        min(found[_UNITS.index(unit)] for unit in prototype.required)
        for prototype in PROTOTYPES.values()
    ]
    return np.clip(np.array(weakest) / _PRESENT, 0.0, 1.0)


def _directions() -> DoubleArray:
    """Return the unit vectors (6, U) of the prototypes."""
    rows = np.zeros((len(PROTOTYPES), len(_UNITS)))
    for row, prototype in zip(rows, PROTOTYPES.values(), strict=True):
        for unit, weight in {**prototype.units, **dict.fromkeys(prototype.against, -1.0)}.items():
            row[_UNITS.index(unit)] = weight
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


_DIRECTIONS = _directions()
