"""Basic expressions and action units from ARKit coefficients, the file of the classifier, and labeled images."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from tddfa_ros.arkit import ARKIT_NAMES, COEFFICIENT_RANGES, without_side
from tddfa_ros.attributes.expression_classifier import (
    ACTIONS,
    EXPRESSIONS,
    WEIGHTS_FILE,
    ExpressionClassifier,
    actions_of,
    default_classifier,
)
from tddfa_ros.attributes.expressions import (
    ACTION_UNITS,
    basic_expression,
    has_action_units,
    intensities,
)
from tddfa_ros.errors import ModelError

REST = {name: COEFFICIENT_RANGES[without_side(name)].rest for name in ARKIT_NAMES}


def moved(**changes: float) -> dict[str, float]:
    """A face at rest with these actions, on both sides."""
    return {name: changes.get(without_side(name), value) for name, value in REST.items()}


def test_rest_is_neutral() -> None:
    assert basic_expression(REST).name == "neutral"
    assert basic_expression(REST).probability > 0.4


def test_smile_is_happiness() -> None:
    found = basic_expression(moved(mouthSmile=0.7, cheekSquint=0.1, mouthUpperUp=0.3))
    assert found.name == "happiness" and found.probability > 0.8
    assert sum(found.probabilities.values()) == pytest.approx(1)
    assert tuple(found.probabilities) == EXPRESSIONS


def test_raised_brows_and_open_mouth_are_surprise() -> None:
    face = moved(browInnerUp=0.5, browOuterUp=0.4, jawOpen=0.5, eyeWide=0.25, mouthFunnel=0.1)
    assert basic_expression(face).name == "surprise"


def test_mirrored_action_has_the_same_expression() -> None:
    left = basic_expression({**REST, "mouthSmileLeft": 0.6, "browDownRight": 0.4})
    right = basic_expression({**REST, "mouthSmileRight": 0.6, "browDownLeft": 0.4})
    assert left.probabilities == pytest.approx(dict(right.probabilities))
    assert left.probabilities != pytest.approx(dict(basic_expression(REST).probabilities))


def test_matches_scalar_reference() -> None:
    """Softmax of the stored weights, one feature at a time, with coefficients clipped to the training range."""
    stored = json.loads(WEIGHTS_FILE.read_text())
    face = moved(jawOpen=3.0, mouthSmile=0.4)
    logits = []
    for row, extra in zip(stored["weights"], [math.log(3), *[0] * 6], strict=True):
        total = row[-1] + extra
        for i, action in enumerate(ACTIONS):
            value = np.mean([v for n, v in face.items() if without_side(n) == action])
            value = min(max(value, stored["low"][i]), stored["high"][i])
            for k, x in ((i, value), (i + len(ACTIONS), value**2)):
                total += row[k] * (x - stored["mean"][k]) / stored["std"][k]
        logits.append(total)
    expected = np.exp(logits) / np.exp(logits).sum()
    assert [*basic_expression(face).probabilities.values()] == pytest.approx(expected, rel=1e-6)


def test_neutral_prior_multiplies_the_odds_of_neutral() -> None:
    actions = actions_of(moved(mouthSmile=0.2))[None]
    (one,), (three,) = (default_classifier()(actions, prior) for prior in (1, 3))
    assert three[0] / three[1] == pytest.approx(3 * one[0] / one[1])


def test_classifier_file_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "weights.json"
    default_classifier().save(path)
    assert path.read_text() == WEIGHTS_FILE.read_text()
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"actions": record["actions"][::-1]}))
    with pytest.raises(ModelError, match="of another version"):
        ExpressionClassifier.load(path)
    path.write_text(json.dumps(record | {"mean": record["mean"][1:]}))
    with pytest.raises(ModelError, match="of another version"):
        ExpressionClassifier.load(path)
    path.write_text("[1")
    with pytest.raises(ModelError, match="is not an expression classifier"):
        ExpressionClassifier.load(path)


def test_intensities_are_scaled_between_median_and_strong() -> None:
    smile = COEFFICIENT_RANGES["mouthSmile"]
    face = moved(mouthSmile=(smile.median + smile.strong) / 2, jawOpen=9.0)
    found = dict(zip(ACTION_UNITS, intensities(face), strict=True))
    assert found[12] == pytest.approx(0.5)
    assert found[26] == 1.5
    assert found[4] == 0


def test_rejects_invalid_coefficients() -> None:
    assert has_action_units(REST) and not has_action_units({"expression_1": 0.3})
    for function in (basic_expression, intensities):
        with pytest.raises(ModelError, match="need ARKit's 52 coefficients"):
            function({"expression_1": 0.3})
        with pytest.raises(ModelError, match="NaN or infinite"):
            function({**REST, "jawOpen": math.nan})
