"""Validation of configuration dataclasses, whether built directly, from a mapping or by ``replace``."""

from __future__ import annotations

import math
from dataclasses import Field, dataclass, field, fields, is_dataclass, replace
from typing import Any

import pytest

from tddfa_ros import config
from tddfa_ros.errors import ConfigError
from tddfa_ros.nodes import options, shared_options
from tddfa_ros.schema import Validated, constraints, from_dict, option

CONFIGS = [
    kind
    for module in (config, options, shared_options)
    for kind in vars(module).values()
    if isinstance(kind, type) and is_dataclass(kind) and kind.__module__ == module.__name__
]


@dataclass(frozen=True)
class Lens(Validated):
    focal: float = option(4.0, "focal length, mm", minimum=1.0)
    blades: int = option(5, "aperture blades", maximum=9)
    coating: str = option("none", "coating", choices=("none", "multi"))
    tilt: tuple[float, float] = option((0.0, 0.0), "tilt, degrees", minimum=-5.0, maximum=5.0)
    fixed: bool = option(True, "fixed focus")


@dataclass(frozen=True)
class Rig(Validated):
    name: str = option("left", "name")
    lens: Lens = field(default_factory=Lens)


def test_finds_every_config_dataclass() -> None:
    assert len(CONFIGS) >= 15
    assert {
        config.PipelineConfig,
        options.FaceNodeOptions,
        shared_options.DiagnosticsOptions,
    } <= set(CONFIGS)


def all_options() -> list[Any]:
    return [
        pytest.param(kind, spec, id=f"{kind.__name__}.{spec.name}")
        for kind in CONFIGS
        for spec in fields(kind)
    ]


@pytest.mark.parametrize(("kind", "spec"), all_options())
def test_construction_rejects_invalid_values(kind: type, spec: Field[Any]) -> None:
    for value in invalid_values(spec):
        with pytest.raises(ConfigError, match=f"^{spec.name} must be ") as caught:
            kind(**{spec.name: value})
        assert "\n" not in str(caught.value)


def invalid_values(spec: Field[Any]) -> list[Any]:
    """Values of the wrong type, not finite, or beyond the limits of an option."""
    default, meta = spec.default, spec.metadata
    if is_dataclass(spec.default_factory):
        return [{}, None, 3]
    if isinstance(default, bool):
        return [1, "true", None]
    if isinstance(default, str):
        return [1, None, *(["no such choice"] if meta["choices"] else [])]
    step = 1 if isinstance(default, int) else 1e-3
    return [
        *("1", None, [default], True, math.nan, math.inf),
        *([meta["min"] - step] if meta["min"] is not None else []),
        *([meta["max"] + step] if meta["max"] is not None else []),
        *([default + 0.5] if isinstance(default, int) else []),
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"focal": 0.5}, "focal must be at least 1.0, not 0.5"),
        ({"blades": 10}, "blades must be at most 9, not 10"),
        ({"coating": "oil"}, "coating must be one of none, multi, not 'oil'"),
        ({"tilt": (0.0, 6)}, "tilt[1] must be between -5.0 and 5.0, not 6.0"),
        ({"tilt": (0.0,)}, "tilt must be a list of 2 values, not (0.0,)"),
        ({"tilt": 3.0}, "tilt must be a list of 2 values, not 3.0"),
        ({"fixed": "yes"}, "fixed must be true or false, not 'yes'"),
    ],
)
def test_error_names_option_limits_and_value(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Lens(**values)
    assert str(caught.value) == message
    with pytest.raises(ConfigError) as caught:
        from_dict(Rig, {"lens": values})
    assert str(caught.value) == f"lens.{message}"
    with pytest.raises(ConfigError):
        replace(Lens(), **values)


def test_nested_config_must_have_its_type() -> None:
    with pytest.raises(ConfigError, match=r"^lens must be a Lens, not \{'focal': 2\}$"):
        Rig(lens={"focal": 2})  # type: ignore[arg-type]
    assert from_dict(Rig, {"lens": {"focal": 2}}).lens == Lens(focal=2.0)


def test_ints_and_lists_convert_to_the_declared_type() -> None:
    lens = Lens(focal=8, tilt=[1, -1])  # type: ignore[arg-type]
    assert (lens.focal, type(lens.focal)) == (8.0, float)
    assert lens.tilt == (1.0, -1.0)


def test_constraints_describe_limits() -> None:
    described = {spec.name: constraints(spec.metadata) for spec in fields(Lens)}
    assert described == {
        "focal": "at least 1.0",
        "blades": "at most 9",
        "coating": "one of none, multi",
        "tilt": "between -5.0 and 5.0",
        "fixed": "",
    }
