"""Action units of the Facial Action Coding System (FACS), and basic expressions, from ARKit coefficients.

Action units are single coefficients, scaled to intensities. Basic expressions come from a linear classifier that ``scripts/train_expressions.py`` trains on
labeled images; docs/guide/attributes.md has its confusion tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tddfa_ros.arkit import ARKIT_NAMES, COEFFICIENT_RANGES, without_side
from tddfa_ros.attributes.expression_classifier import (
    EXPRESSIONS,
    INPUTS,
    actions_of,
    default_classifier,
)
from tddfa_ros.errors import ModelError
from tddfa_ros.types import DoubleArray

_NO_ARKIT = "basic expressions need ARKit's 52 coefficients, which this model lacks"
_NOT_FINITE = "an expression coefficient is NaN or infinite"


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

_MOST = 1.5
"""Upper limit of intensities, so that no single coefficient dominates."""


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
    return all(name in coefficients for name in INPUTS)


def intensities(coefficients: Mapping[str, float]) -> DoubleArray:
    """Return the intensity 0..1.5 of each of :data:`ACTION_UNITS`, in their order.

    Raises:
        ModelError: a coefficient is missing, or is not finite.
    """
    if not has_action_units(coefficients):
        raise ModelError(_NO_ARKIT)
    values = np.array(
        [
            (np.mean([coefficients[name] for name in u.coefficients]) - u.rest) / (u.full - u.rest)
            for u in ACTION_UNITS.values()
        ]
    )
    if not np.isfinite(values).all():
        raise ModelError(_NOT_FINITE)
    return np.clip(values, 0.0, _MOST)


def basic_expression(coefficients: Mapping[str, float]) -> Expression:
    """Classify ARKit coefficients, such as ``face.expression``, as a basic expression.

    The probabilities hold where neutral faces are :data:`~.expression_classifier.NEUTRAL_PRIOR` times as frequent as each other expression.

    Raises:
        ModelError: see :func:`intensities`.
    """
    if not has_action_units(coefficients):
        raise ModelError(_NO_ARKIT)
    actions = actions_of(coefficients)
    if not np.isfinite(actions).all():
        raise ModelError(_NOT_FINITE)
    probabilities = default_classifier()(actions[None])[0].tolist()
    named = dict(zip(EXPRESSIONS, probabilities, strict=True))
    return Expression(max(named, key=named.__getitem__), MappingProxyType(named))
