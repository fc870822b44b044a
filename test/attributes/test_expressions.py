"""Classification of basic expressions: prototypes, noise, and contradicting action units."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tddfa_ros.attributes.expressions import (
    ACTION_UNITS,
    EXPRESSIONS,
    NEUTRAL,
    PROTOTYPES,
    basic_expression,
    intensities,
)
from tddfa_ros.errors import ModelError

REST = {name: u.rest for u in ACTION_UNITS.values() for name in u.coefficients}


def coefficients(units: dict[int, float]) -> dict[str, float]:
    """ARKit coefficients of a face whose units have these intensities, the others at rest."""
    out = dict(REST)
    for number, intensity in units.items():
        unit = ACTION_UNITS[number]
        out.update(
            dict.fromkeys(unit.coefficients, unit.rest + intensity * (unit.full - unit.rest))
        )
    return out


def likelihoods(found: np.ndarray) -> dict[str, float]:
    """Reference: squared projection over twice the variance, one expression at a time."""
    numbers = list(ACTION_UNITS)
    scores = {NEUTRAL: 0.6**2 / (2 * 0.35**2)}
    for name, prototype in PROTOTYPES.items():
        dot = norm = 0.0
        for unit, weight in prototype.units.items():
            dot += weight * found[numbers.index(unit)]
            norm += weight**2
        for unit in prototype.against:
            dot -= found[numbers.index(unit)]
            norm += 1
        weakest = min(found[numbers.index(unit)] for unit in prototype.required)
        projection = max(dot, 0) / math.sqrt(norm) * min(weakest / 0.5, 1)
        scores[name] = projection**2 / (2 * 0.35**2)
    total = sum(math.exp(s) for s in scores.values())
    return {name: math.exp(s) / total for name, s in scores.items()}


def test_zero_coefficients_are_neutral() -> None:
    assert basic_expression(REST).name == NEUTRAL
    assert basic_expression(REST).probability > 0.4
    zero = dict.fromkeys(REST, 0.0)
    assert basic_expression(zero).name == NEUTRAL


@pytest.mark.parametrize("name", list(PROTOTYPES))
def test_recognizes_full_prototypes(name: str) -> None:
    found = basic_expression(coefficients(dict.fromkeys(PROTOTYPES[name].units, 1.0)))
    assert found.name == name
    assert found.probability > 0.5
    assert sum(found.probabilities.values()) == pytest.approx(1)
    assert tuple(found.probabilities) == EXPRESSIONS


def test_matches_scalar_reference() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        face = coefficients({n: float(rng.uniform(-0.3, 1.4)) for n in ACTION_UNITS})
        expected = likelihoods(intensities(face))
        assert basic_expression(face).probabilities == pytest.approx(expected, rel=1e-9)


def test_prototypes_under_noise() -> None:
    """Full prototypes with an error of 0.2 in all intensities: nine of ten are recognized; faces at rest stay neutral."""
    rng = np.random.default_rng(1)
    right, total, neutral = 0, 0, 0
    for _ in range(100):
        noise = dict(zip(ACTION_UNITS, rng.normal(0, 0.2, len(ACTION_UNITS)), strict=True))
        neutral += basic_expression(coefficients(noise)).name == NEUTRAL
        for name, prototype in PROTOTYPES.items():
            units = {n: noise[n] + (n in prototype.units) for n in ACTION_UNITS}
            right += basic_expression(coefficients(units)).name == name
            total += 1
    assert right / total > 0.85
    assert neutral >= 98


def test_other_expressions_stay_neutral() -> None:
    speech = coefficients({26: 1.0, 16: 0.6, 10: 0.3})
    yawn = coefficients({26: 1.2, 16: 0.8, 10: 0.7, 6: 0.4, 9: 0.3})
    assert basic_expression(speech).name == NEUTRAL
    assert basic_expression(yawn).name == NEUTRAL


def test_smile_is_happiness() -> None:
    smile = coefficients({12: 0.9, 15: 0.7, 20: 0.7, 24: 0.7, 4: 0.4, 7: 0.3, 9: 0.3})
    assert basic_expression(smile).name == "happiness"


def test_rejects_invalid_coefficients() -> None:
    with pytest.raises(ModelError, match="need ARKit's 52 coefficients"):
        basic_expression({"expression_1": 0.3})
    with pytest.raises(ModelError, match="NaN or infinite"):
        basic_expression({**REST, "jawOpen": math.nan})
