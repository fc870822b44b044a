"""Weights of the loss terms and their decay over a run (needs no torch)."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from tddfa_ros.errors import ConfigError
from tddfa_ros.schema import Validated, from_dict, option


def weights_at(weights: LossWeights, progress: float) -> dict[str, float]:
    """Return the weights above 0 at ``progress`` t / T of the run, in [0, 1]."""
    return {
        term: base * getattr(weights.decay, term) ** progress
        for term in TERMS
        if (base := getattr(weights, term)) > 0
    }


def _weight(default: float, description: str) -> Any:
    return option(default, f"weight of {description}", minimum=0.0, maximum=1000.0)


def _decay(term: str) -> Any:
    return option(
        0.9, f"share of the weight of {term} that remains at the end", minimum=1e-6, maximum=1000.0
    )


@dataclass(frozen=True)
class LossDecay(Validated):
    """Decay factors gamma: at progress p of the run, 0..1, a term has its base weight times ``gamma ** p``."""

    vertices: float = _decay("vertices")
    lmk: float = _decay("lmk")
    direct: float = _decay("direct")
    coefficients: float = _decay("coefficients")
    gaps: float = _decay("gaps")
    lids: float = _decay("lids")
    steady: float = _decay("steady")
    vdc: float = _decay("vdc")
    wpdc: float = _decay("wpdc")
    fwpdc: float = _decay("fwpdc")
    seg: float = _decay("seg")
    uv: float = _decay("uv")
    confidence: float = _decay("confidence")
    sigma: float = _decay("sigma")


@dataclass(frozen=True)
class LossWeights(Validated):
    """Weights of the loss terms at the start of a run; a term of weight 0 is not computed."""

    vertices: float = _weight(1.0, "the vertices, robust, px")
    lmk: float = _weight(1.0, "the mesh's 68 landmarks, robust, px")
    direct: float = _weight(1.0, "the direct head's 68 landmarks, robust, px")
    coefficients: float = _weight(0.5, "the whitened coefficients")
    gaps: float = _weight(4.0, "the distances between eyelids and between lips, robust, px")
    lids: float = _weight(
        1.0, "the whitened coefficients that close the eyes, where a model has them"
    )
    steady: float = _weight(1.0, "change of the landmarks' errors within a clip, robust, px")
    vdc: float = _weight(0.0, "the vertex distance cost, px^2")
    wpdc: float = _weight(0.0, "the weighted parameter distance cost over the whole mesh")
    fwpdc: float = _weight(0.0, "the weighted parameter distance cost over a sample of points")
    seg: float = _weight(0.5, "face parsing, where batch and network have it")
    uv: float = _weight(0.5, "the UV position map, px, where batch and network have it")
    confidence: float = _weight(1.0, "the confidence, where the batch has crops without a face")
    sigma: float = _weight(
        0.1, "the likelihood of the landmarks' errors under their predicted sigma"
    )
    depth: float = option(
        0.5, "z against x and y in the terms vertices and lmk", minimum=0.0, maximum=1000.0
    )
    decay: LossDecay = field(default_factory=LossDecay)

    @classmethod
    def only(cls, **options: Any) -> LossWeights:
        """Return weights with the named terms only, such as ``only(lmk=1.0, vdc=0.1)``; options that are not terms keep their default.

        Raises:
            ConfigError: an unknown option, or a value out of range.
        """
        return from_dict(cls, {**dict.fromkeys(TERMS, 0.0), **options}, "loss.")


TERMS: tuple[str, ...] = tuple(f.name for f in fields(LossDecay))
"""Names of all terms in options, logs and tables."""


def parse_loss_weights(text: str) -> dict[str, float]:
    """Parse ``"wpdc=1,vdc=.5"`` to ``{"wpdc": 1.0, "vdc": 0.5}``, the section ``loss`` of a configuration.

    Raises:
        ConfigError: a name is unknown or given twice, or a value is not a number or out of range.
    """
    return _parse(text, LossWeights, "loss.")


def parse_loss_decay(text: str) -> dict[str, float]:
    """Parse ``"0.8"`` (all terms) or ``"wpdc=.5,seg=1"`` to the section ``loss.decay`` of a configuration.

    Raises:
        ConfigError: as :func:`parse_loss_weights`.
    """
    if "=" not in text:
        text = ",".join(f"{term}={text}" for term in TERMS)
    return _parse(text, LossDecay, "loss.decay.")


def _parse(text: str, cls: type[Any], where: str) -> dict[str, float]:
    values: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, number = (piece.strip() for piece in part.partition("="))
        if not (name and equals):
            raise ConfigError(f"loss terms are written name=number,name=number; not {part!r}")
        if name in values:
            raise ConfigError(f"{where}{name} is given twice")
        values[name] = _number(f"{where}{name}", number)
    from_dict(cls, values, where)
    return values


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{name} must be a finite number, not {text!r}") from None
