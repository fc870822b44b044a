"""Parameter overrides: which of them were given to a node by name, and QoS overrides of its topics."""

from __future__ import annotations

import copy
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import yaml
from rclpy.node import Node
from rclpy.qos import QoSPolicyKind, QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions

from tddfa_ros.errors import ConfigError

QOS_PREFIX = "qos_overrides."
QOS_POLICIES = ("history", "depth", "reliability", "durability")
"""Policies that ``qos_overrides.<topic>.<publisher or subscription>.<policy>`` can set."""

_QOS_NAME = re.compile(
    r"qos_overrides\.(?P<topic>.+)\.(?P<kind>publisher|subscription)\.(?P<policy>\w+)"
)


def given_to_all(
    node_name: str, arguments: Sequence[str] | None = None, *, several_nodes: bool = False
) -> set[str]:
    """Return the names of parameters that a command line gives to every node, and not to this node by name.

    These are the sections ``/**`` of parameter files. A parameter without a node name on the command line of a program with
    several nodes counts as well.

    Args:
        node_name: name without namespace.
        arguments: command line; None = ``sys.argv``.
        several_nodes: whether the program runs more than one node.
    """
    everyone: set[str] = set()
    named: set[str] = set()
    for addressee, parameter in _given(sys.argv if arguments is None else arguments):
        if addressee is None:
            (everyone if several_nodes else named).add(parameter)
        elif addressee.rpartition("/")[2] == node_name:
            named.add(parameter)
        elif not addressee.rpartition("/")[2].strip("*"):
            everyone.add(parameter)
    return everyone - named


def _given(arguments: Sequence[str]) -> Iterator[tuple[str | None, str]]:
    """Yield (node pattern or None, parameter name) of a command line."""
    for option, value in pairwise(arguments):
        if option == "--params-file":
            try:
                with open(value, encoding="utf-8") as file:
                    document = yaml.safe_load(file)
            except (OSError, ValueError, yaml.YAMLError):
                continue  # rcl has reported it, or has read it with its own parser
            if isinstance(document, Mapping):
                yield from _sections(document, "")
        elif option in ("-p", "--param"):
            left = value.partition(":=")[0]
            node, colon, name = left.rpartition(":")
            yield (node if colon else None), name


def _sections(tree: Mapping[Any, Any], path: str) -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if key == "ros__parameters" and isinstance(value, Mapping):
            yield from ((path, name) for name in _leaves(value, ""))
        elif isinstance(value, Mapping):
            yield from _sections(value, f"{path}/{key}")


def _leaves(tree: Mapping[Any, Any], prefix: str) -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


class TopicNode(Node):
    """Node whose topics accept QoS overrides: parameters ``qos_overrides.<topic>.<publisher|subscription>.<policy>``.

    rclpy ignores such parameters unless a topic is created with options for them. Only overrides that are given are declared.
    """

    several_nodes = False
    """Whether this process runs more than one node."""

    def create_publisher(self, msg_type: Any, topic: str, qos_profile: Any, **kwargs: Any) -> Any:
        """Create a publisher with the QoS of its overrides.

        Raises:
            ConfigError: an override has an invalid value.
        """
        return self._overridden("publisher", msg_type, topic, qos_profile, kwargs)

    def create_subscription(
        self, msg_type: Any, topic: str, callback: Any, qos_profile: Any, **kwargs: Any
    ) -> Any:
        """Create a subscription with the QoS of its overrides.

        Raises:
            ConfigError: an override has an invalid value.
        """
        kwargs["callback"] = callback
        return self._overridden("subscription", msg_type, topic, qos_profile, kwargs)

    def expect_subscription(self, topic: str) -> None:
        """Accept overrides of a subscription that is created later."""
        self._expected().add(f"{self.resolve_topic_name(topic)}.subscription")

    def check_qos_overrides(self) -> None:
        """Check that every QoS override that names this node was used.

        Raises:
            ConfigError: an override has an unknown topic or policy.
        """
        general = given_to_all(self.get_name(), several_nodes=self.several_nodes)
        for name in self._qos_overrides():
            if name in general:
                continue
            found = _QOS_NAME.fullmatch(name)
            if found is None or found["policy"] not in QOS_POLICIES:
                raise ConfigError(
                    f"parameter '{name}' of {self.get_name()} is not a QoS override: write "
                    "qos_overrides.<topic>.<publisher or subscription>.<policy>, with one of the policies "
                    + ", ".join(QOS_POLICIES)
                )
            endpoint = f"{found['topic']}.{found['kind']}"
            if endpoint not in self._expected():
                raise ConfigError(
                    f"parameter '{name}' of {self.get_name()} matches none of its topics: "
                    + ", ".join(sorted(self._expected()))
                )

    def _overridden(
        self, kind: str, msg_type: Any, topic: str, qos: Any, kwargs: dict[str, Any]
    ) -> Any:
        create = getattr(super(), f"create_{kind}")
        arguments = [msg_type, topic, *([kwargs.pop("callback")] if "callback" in kwargs else [])]
        if "qos_overriding_options" in kwargs or not isinstance(qos, QoSProfile):
            return create(*arguments, qos, **kwargs)  # topics of rclpy itself
        endpoint = f"{self.resolve_topic_name(topic)}.{kind}"
        self._expected().add(endpoint)
        given = [
            policy
            for policy in QOS_POLICIES
            if f"{QOS_PREFIX}{endpoint}.{policy}" in self._qos_overrides()
        ]
        if not given:
            return create(*arguments, qos, **kwargs)
        kwargs["qos_overriding_options"] = QoSOverridingOptions(
            [QoSPolicyKind[policy.upper()] for policy in given]
        )
        try:
            # rclpy writes the overrides into the profile that it is given.
            return create(*arguments, copy.copy(qos), **kwargs)
        except Exception as error:
            raise ConfigError(
                f"QoS override of {endpoint} of {self.get_name()} is invalid: {error}"
            ) from error

    def _qos_overrides(self) -> list[str]:
        overrides = getattr(self, "_parameter_overrides", {})
        return [name for name in overrides if name.startswith(QOS_PREFIX)]

    def _expected(self) -> set[str]:
        """Topics with their kind, ``/face_mesh.publisher``; rclpy creates topics before a constructor could set an attribute."""
        if "_expected_endpoints" not in self.__dict__:
            self._expected_endpoints: set[str] = set()
        return self._expected_endpoints
