"""Schemas of configuration dataclasses: declare options, validate values, read mappings and YAML.

An option is declared once, as a dataclass field made by :func:`option`. ROS parameter descriptors, ``config/face.yaml``, command-line choices
and the tables of the documentation are generated from these fields or checked against them.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from tddfa_ros.errors import ConfigError

T = TypeVar("T")


def option(
    default: Any,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | None = None,
    runtime: bool = True,
) -> Any:
    """Declare an option as a dataclass field.

    Args:
        default: default value; its type (bool, int, float, str, or a tuple of these) is the type of the option.
        description: one line with the unit, used as help text and ROS parameter description.
        minimum: smallest valid number.
        maximum: largest valid number.
        choices: valid values of a string.
        runtime: whether the value can change while a node runs.
    """
    metadata = {
        "help": description,
        "min": minimum,
        "max": maximum,
        "choices": choices,
        "runtime": runtime,
    }
    return field(default=default, metadata=metadata)


class Validated:
    """Base class of configuration dataclasses that are validated on construction and by :func:`dataclasses.replace`.

    Raises:
        ConfigError: an option has the wrong type, is not finite, is out of range or is not one of its choices.
    """

    def __post_init__(self) -> None:
        for f in fields(self):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            if f.default is not MISSING:
                object.__setattr__(self, f.name, checked(f.name, value, f.default, f.metadata))
            elif isinstance(f.default_factory, type) and not isinstance(value, f.default_factory):
                raise ConfigError(f"{f.name} must be a {f.default_factory.__name__}, not {value!r}")


def checked(name: str, value: Any, default: Any, limits: Mapping[str, Any]) -> Any:
    """Convert a value to the type of an option's default.

    Args:
        name: name of the option in the error message.
        value: value to check; an int is accepted for a float, a list for a tuple, a bool for the choices true and false.
        default: default of the option.
        limits: metadata of the field, as written by :func:`option`.

    Raises:
        ConfigError: wrong type, not finite, out of range, or not one of the choices.
    """
    kind = type(default)
    if kind is tuple:
        if not isinstance(value, (list, tuple)) or len(value) != len(default):
            raise ConfigError(f"{name} must be a list of {len(default)} values, not {value!r}")
        pairs = enumerate(zip(value, default, strict=True))
        return tuple(checked(f"{name}[{i}]", v, d, limits) for i, (v, d) in pairs)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if isinstance(value, bool) and "true" in (limits.get("choices") or ()):
        value = str(value).lower()  # YAML reads true as a bool
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        raise ConfigError(f"{name} must be {_KIND[kind]}, not {value!r}")
    choices, low, high = limits.get("choices"), limits.get("min"), limits.get("max")
    if (
        (choices and value not in choices)
        or (low is not None and value < low)
        or (high is not None and value > high)
    ):
        raise ConfigError(f"{name} must be {constraints(limits)}, not {value!r}")
    return value


def constraints(limits: Mapping[str, Any]) -> str:
    """Describe the choices or the range in the metadata of an option; empty when there are none."""
    choices, low, high = limits.get("choices"), limits.get("min"), limits.get("max")
    if choices:
        return "one of " + ", ".join(choices)
    if low is not None and high is not None:
        return f"between {low} and {high}"
    if low is not None:
        return f"at least {low}"
    return f"at most {high}" if high is not None else ""


def to_dict(config: Any) -> dict[str, Any]:
    """Convert a configuration dataclass to nested dictionaries; the inverse of :func:`from_dict`."""
    return asdict(config)


def from_dict(cls: type[T], values: Mapping[str, Any], where: str = "") -> T:
    """Build a configuration dataclass from nested mappings; missing options keep their defaults.

    Args:
        cls: a dataclass whose fields are options or such dataclasses.
        values: option -> value, or stage -> mapping.
        where: prefix of option names in error messages, such as ``"detection."``.

    Raises:
        ConfigError: unknown option, wrong type, or a value out of range.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(
            f"{where.rstrip('.') or 'the configuration'} must be a mapping, not {values!r}"
        )
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    arguments: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(_unknown(f"{where}{name}", [f"{where}{k}" for k in known]))
        stage = known[name].default_factory
        if stage is not MISSING and is_dataclass(stage):
            arguments[name] = from_dict(stage, {} if value is None else value, f"{where}{name}.")
        else:
            f = known[name]
            arguments[name] = checked(f"{where}{name}", value, f.default, f.metadata)
    return cls(**arguments)


def read_yaml(path: Path) -> Mapping[str, Any]:
    """Read a YAML file that holds a mapping; an empty file is an empty mapping.

    Raises:
        ConfigError: the file cannot be read, is not valid YAML, or holds something else.
    """
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the configuration {path}: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path} must hold a mapping of options to values")
    return values


_KIND = {bool: "true or false", int: "an integer", float: "a finite number", str: "a string"}


def _unknown(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known options are {', '.join(known)}"
    return f"unknown configuration option {name}: {hint}"
