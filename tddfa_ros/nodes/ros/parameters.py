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
from tddfa_ros.nodes import options
from tddfa_ros.nodes.ros.overrides import given_to_all
from tddfa_ros.schema import constraints, from_dict, to_dict

C = TypeVar("C")

_INT_LIMIT = 2**31 - 1

_FIXED = ("lifecycle", "autostart")
"""Read once, when the node is created."""

# Declared by rclpy for every node.
_FOREIGN = ("use_sim_time", "start_type_description_service", "qos_overrides.")


class Parameters(Generic[C]):
    """Parameters of a node, backed by a configuration dataclass.

    Nested dataclasses become dotted names (``detection.input_size``). Options declared with ``runtime=True`` can be set while the
    node runs; all others are read-only, or read-only while ``locked()``. A set request is accepted or rejected as a whole, with one
    sentence as the reason.

    Args:
        node: node to declare the parameters on.
        default: values used without overrides.
        on_change: called with the new dataclass after a set request was accepted.
        locked: returns whether a managed node is configured; None = not a managed node.

    Raises:
        ConfigError: an override is invalid.
    """

    def __init__(
        self,
        node: Node,
        default: C,
        on_change: Callable[[C], None] | None = None,
        locked: Callable[[], bool] | None = None,
    ) -> None:
        self._default = default
        self._on_change = on_change
        self._locked = locked
        self._startup = {n for n, spec, _ in flatten(default) if not spec.metadata.get("runtime")}
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
            described = descriptor(spec, default)
            # Not read-only for rclpy: a managed node takes over new values when it is configured again.
            described.read_only &= self._locked is None or name in _FIXED
            return node.declare_parameter(name, default, described).value
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
        if self._locked is not None and self._locked():
            for name in sorted(self._startup & known.keys()):
                reason = f"{name} is read-only while the node is configured"
                return SetParametersResult(successful=False, reason=reason)
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
    """Warn about overrides that the node does not declare; most are typing errors.

    A section ``/**`` of a parameter file addresses all nodes: of its names only those that no node of this package declares and
    that resemble one of this node are reported.
    """
    unknown = [
        name
        for name in getattr(node, "_parameter_overrides", {})
        if name not in known and not name.startswith(_FOREIGN)
    ]
    if not unknown:
        return
    several = getattr(node, "several_nodes", False)
    general = given_to_all(node.get_name(), several_nodes=several)
    elsewhere = _names_of_all_nodes()
    for name in unknown:
        close = difflib.get_close_matches(name, known, n=1)
        if name in general and (name in elsewhere or not close):
            continue
        hint = f" (did you mean '{close[0]}'?)" if close else ""
        node.get_logger().warning(f"unknown parameter '{name}' is ignored{hint}")


def _names_of_all_nodes() -> set[str]:
    declared = [kind for name, kind in vars(options).items() if name.endswith("NodeOptions")]
    return {name for kind in declared for name, _, _ in flatten(kind())}
