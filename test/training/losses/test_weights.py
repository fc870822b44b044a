from __future__ import annotations

from dataclasses import fields

import pytest

from tddfa_ros.errors import ConfigError
from tddfa_ros.schema import from_dict
from tddfa_ros.training.loss_weights import (
    TERMS,
    LossDecay,
    LossWeights,
    parse_loss_decay,
    parse_loss_weights,
)


def test_every_term_has_a_weight_and_a_decay() -> None:
    assert {f.name for f in fields(LossWeights)} == {*TERMS, "depth", "decay"}
    assert {f.name for f in fields(LossDecay)} == set(TERMS)
    for f in [*fields(LossWeights), *fields(LossDecay)]:
        if f.metadata:
            assert f.metadata["help"]
            assert f.metadata["min"] <= f.default <= f.metadata["max"]


def test_decay_is_configured_per_term() -> None:
    weights = from_dict(LossWeights, {"vdc": 2, "decay": {"vdc": 0.25}}, "loss.")
    assert (weights.vdc, weights.decay.vdc, weights.decay.lmk) == (2.0, 0.25, 0.9)


def test_only() -> None:
    weights = LossWeights.only(lmk=1.0, vdc=0.1)
    assert {t: getattr(weights, t) for t in TERMS if getattr(weights, t)} == {
        "lmk": 1.0,
        "vdc": 0.1,
    }
    assert weights.depth == LossWeights().depth
    with pytest.raises(ConfigError, match=r"loss\.lmkk: did you mean loss\.lmk\?"):
        LossWeights.only(lmkk=1.0)


def test_parse_loss_weights() -> None:
    assert parse_loss_weights("wpdc=1,vdc=.5") == {"wpdc": 1.0, "vdc": 0.5}
    assert parse_loss_weights(" seg = 1e-3 , depth=0,") == {"seg": 0.001, "depth": 0.0}
    assert parse_loss_weights("") == {}


def test_parse_loss_decay() -> None:
    assert parse_loss_decay("wpdc=.5, seg=1") == {"wpdc": 0.5, "seg": 1.0}
    assert parse_loss_decay("0.8") == dict.fromkeys(TERMS, 0.8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wpcd=1", r"loss\.wpcd: did you mean loss\.wpdc\?"),
        ("mesh_landmarks=1", r"unknown configuration option loss\.mesh_landmarks"),
        ("wpdc", "name=number,name=number; not 'wpdc'"),
        ("=1", "not '=1'"),
        ("wpdc=much", r"loss\.wpdc must be a finite number, not 'much'"),
        ("wpdc=", r"loss\.wpdc must be a finite number, not ''"),
        ("wpdc=nan", r"loss\.wpdc must be a finite number"),
        ("wpdc=inf", r"loss\.wpdc must be a finite number"),
        ("wpdc=-1", r"loss\.wpdc must be between 0\.0 and"),
        ("wpdc=1,wpdc=2", r"loss\.wpdc is given twice"),
        ("decay=1", r"loss\.decay"),
    ],
)
def test_rejects_invalid_options(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_loss_weights(text)


def test_rejects_invalid_decay() -> None:
    for text, message in (
        ("wpdc=0", r"loss\.decay\.wpdc must be between"),
        ("x", "vertices must be a"),
    ):
        with pytest.raises(ConfigError, match=message):
            parse_loss_decay(text)


def test_schedule() -> None:
    torch = pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")
    assert torch
    from tddfa_ros.training.loss_weights import weights_at

    weights = LossWeights.only(lmk=2.0, vdc=1.0, seg=3.0, decay={"vdc": 0.25, "seg": 1.0})
    assert weights_at(weights, 0.0) == {"lmk": 2.0, "vdc": 1.0, "seg": 3.0}
    assert weights_at(weights, 0.5) == pytest.approx({"lmk": 2 * 0.9**0.5, "vdc": 0.5, "seg": 3.0})
    assert weights_at(weights, 1.0) == pytest.approx({"lmk": 1.8, "vdc": 0.25, "seg": 3.0})
