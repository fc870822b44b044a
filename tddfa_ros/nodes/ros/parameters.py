"""Declare the options of a configuration dataclass as ROS parameters, with descriptions, ranges and choices."""

from __future__ import annotations

import dataclasses
import difflib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import Field
from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter

from tddfa_ros.errors import ConfigError
from tddfa_ros.schema import constraints, from_dict, to_dict

C = TypeVar("C")

_INT_LIMIT = 2**31 - 1

# Declared by rclpy for every node.
_FOREIGN = ("use_sim_time", "start_type_description_service", "qos_overrides.")


class Parameters(Generic[C]):
    """Parameters of a node, backed by a configuration dataclass.

    Nested dataclasses become dotted names (``detection.input_size``). Options declared with ``runtime=True`` can be set while the
    node runs; all others are read-only. A set request is accepted or rejected as a whole, with one sentence as the reason.

    Args:
        node: node to declare the parameters on.
        default: values used without overrides.
        on_change: called with the new dataclass after a set request was accepted.

    Raises:
        ConfigError: an override is invalid.
    """

    def __init__(
        self, node: Node, default: C, on_change: Callable[[C], None] | None = None
    ) -> None:
        self._default = default
        self._on_change = on_change
        self._values: dict[str, Any] = {}
        for name, spec, value in flatten(default):
            self._values[name] = self._declare(node, name, spec, value)
        self._config = unflatten(default, self._values)
        _warn_unknown(node, self._values)
        node.add_on_set_parameters_callback(self._set)

    @property
    def config(self) -> C:
        """Current values."""
        return self._config

    def _declare(self, node: Node, name: str, spec: Field[Any], default: Any) -> Any:
        try:
            return node.declare_parameter(name, default, descriptor(spec, default)).value
        except ParameterException as error:
            override = getattr(node, "_parameter_overrides", {}).get(name)
            given = "" if override is None else f" to {override.value!r}"
            limits = constraints(spec.metadata)
            raise ConfigError(
                f"parameter '{name}' of {node.get_name()} cannot be set{given}: it must be {limits or type(default).__name__}"
            ) from error

    def _set(self, changes: Sequence[Parameter]) -> SetParametersResult:
        known = {p.name: p.value for p in changes if p.name in self._values}
        if not known:  # parameters of rclpy, such as use_sim_time
            return SetParametersResult(successful=True)
        values = self._values | known
        try:
            config = unflatten(self._default, values)
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self._values, self._config = values, config
        if self._on_change is not None:
            self._on_change(config)
        return SetParametersResult(successful=True)


def flatten(config: Any, prefix: str = "") -> Iterator[tuple[str, Field[Any], Any]]:
    """Yield (dotted name, field, value) of every leaf of a dataclass, in order of declaration."""
    for spec in dataclasses.fields(config):
        value = getattr(config, spec.name)
        if dataclasses.is_dataclass(value):
            yield from flatten(value, f"{prefix}{spec.name}.")
        else:
            yield f"{prefix}{spec.name}", spec, value


def unflatten(default: C, values: Mapping[str, Any]) -> C:
    """Build the dataclass from dotted names and values; missing options keep their defaults.

    Raises:
        ConfigError: a value has the wrong type or is out of range; the message names the parameter.
    """
    tree: dict[str, Any] = to_dict(default)
    for name, value in values.items():
        *path, leaf = name.split(".")
        branch = tree
        for step in path:
            branch = branch[step]
        branch[leaf] = value
    return from_dict(type(default), tree)


def descriptor(spec: Field[Any], default: Any) -> ParameterDescriptor:
    """Build the descriptor shown by ``ros2 param describe`` and rqt_reconfigure."""
    low, high = spec.metadata.get("min"), spec.metadata.get("max")
    described = ParameterDescriptor(
        description=spec.metadata.get("help", ""),
        additional_constraints=constraints(spec.metadata),
        read_only=not spec.metadata.get("runtime", False),
        # Accept integers for floats ("beta: 10") and bools for choices ("true"); the dataclass checks the type.
        dynamic_typing=isinstance(default, float) or "true" in (spec.metadata.get("choices") or ()),
    )
    if low is None and high is None:
        return described
    if isinstance(default, float):
        described.floating_point_range = [
            FloatingPointRange(
                from_value=float(low if low is not None else -sys.float_info.max),
                to_value=float(high if high is not None else sys.float_info.max),
            )
        ]
    elif isinstance(default, int):
        described.integer_range = [
            IntegerRange(
                from_value=int(low if low is not None else -_INT_LIMIT),
                to_value=int(high if high is not None else _INT_LIMIT),
                step=1,
            )
        ]
    return described


def _warn_unknown(node: Node, known: Mapping[str, Any]) -> None:
    """Warn about overrides that the node does not declare; most are typing errors."""
    for name in getattr(node, "_parameter_overrides", {}):
        if name in known or name.startswith(_FOREIGN):
            continue
        close = difflib.get_close_matches(name, known, n=1)
        hint = f" (did you mean '{close[0]}'?)" if close else ""
        node.get_logger().warning(f"unknown parameter '{name}' is ignored{hint}")
