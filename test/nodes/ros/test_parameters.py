from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

pytest.importorskip("rclpy")

import rclpy
from rclpy.node import Node
from rclpy.parameter import Parameter

from tddfa_ros.config import SmoothingConfig
from tddfa_ros.errors import ConfigError
from tddfa_ros.nodes.options import (
    FaceNodeOptions,
    SmoothingNodeOptions,
    VisualizationNodeOptions,
)
from tddfa_ros.nodes.ros.parameters import Parameters, flatten, unflatten
from tddfa_ros.schema import option


@dataclass(frozen=True)
class Options:
    rate: float = option(15.0, "frames per second", minimum=0.0, maximum=60.0)
    count: int = option(3, "how many", minimum=1)
    mode: str = option("raw", "transport", choices=("raw", "compressed"), runtime=False)
    smoothing: SmoothingConfig = field(default_factory=SmoothingConfig)


MakeNode = Callable[..., Node]


@pytest.fixture
def make_node() -> Iterator[MakeNode]:
    context = rclpy.Context()
    rclpy.init(args=[], context=context)
    nodes: list[Node] = []

    def make(**overrides: Any) -> Node:
        values = [Parameter(name.replace("__", "."), value=v) for name, v in overrides.items()]
        nodes.append(Node("parameters_test", context=context, parameter_overrides=values))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()
    context.try_shutdown()


def set_one(node: Node, name: str, value: Any) -> Any:
    return node.set_parameters([Parameter(name, value=value)])[0]


def test_every_leaf_is_declared_with_its_default(make_node: MakeNode) -> None:
    node = make_node()
    parameters = Parameters(node, Options())
    assert parameters.config == Options()
    for name, _, value in flatten(Options()):
        assert node.get_parameter(name).value == value
    assert node.has_parameter("smoothing.min_cutoff")


def test_overrides_and_int_to_float_conversion(make_node: MakeNode) -> None:
    node = make_node(rate=30, smoothing__method="kalman")
    config = Parameters(node, Options()).config
    assert config.rate == 30.0
    assert isinstance(config.rate, float)
    assert config.smoothing.method == "kalman"
    assert config.smoothing.window == SmoothingConfig().window


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"rate": 61.0}, ("rate", "61")),
        ({"rate": "fast"}, ("rate", "fast")),
        ({"count": 0}, ("count", "0")),
        ({"count": 2.5}, ("count", "2.5")),
        ({"mode": "theora"}, ("mode", "theora", "raw, compressed")),
        ({"smoothing__method": "magic"}, ("smoothing.method", "magic", "kalman")),
    ],
)
def test_invalid_override_raises_one_line(
    make_node: MakeNode, overrides: dict[str, Any], words: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError) as caught:
        Parameters(make_node(**overrides), Options())
    sentence = str(caught.value)
    assert "\n" not in sentence
    for word in words:
        assert word in sentence


@pytest.mark.parametrize(
    ("value", "expected"), [(True, "true"), (False, "false"), ("auto", "auto")]
)
def test_bool_for_choices_true_and_false(
    make_node: MakeNode, value: bool | str, expected: str
) -> None:
    """``-p image_is_rectified:=true`` is a bool for ROS."""
    node = make_node(image_is_rectified=value)
    parameters = Parameters(node, FaceNodeOptions())
    assert parameters.config.image_is_rectified == expected
    assert set_one(node, "image_is_rectified", not value).successful
    assert parameters.config.image_is_rectified == str(not value).lower()
    assert not set_one(node, "image_is_rectified", 3).successful
    assert not set_one(node, "image_is_rectified", "perhaps").successful


def test_descriptions_ranges_and_choices_are_declared(make_node: MakeNode) -> None:
    node = make_node()
    Parameters(node, Options())
    rate, count, mode = (node.describe_parameter(n) for n in ("rate", "count", "mode"))
    assert rate.description == "frames per second"
    assert rate.floating_point_range[0].to_value == 60.0
    assert not rate.read_only
    assert count.integer_range[0].from_value == 1
    assert mode.read_only
    assert mode.additional_constraints == "one of raw, compressed"


def test_runtime_change_calls_back_with_dataclass(make_node: MakeNode) -> None:
    node, seen = make_node(), []
    parameters = Parameters(node, Options(), seen.append)
    assert set_one(node, "smoothing.beta", 3).successful
    assert parameters.config.smoothing.beta == 3.0
    assert seen == [parameters.config]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rate", -1.0),
        ("rate", 100),
        ("rate", "fast"),
        ("count", 0),
        ("count", True),
        ("mode", "compressed"),
        ("smoothing.method", "magic"),
    ],
)
def test_rejected_change_has_reason_and_no_effect(
    make_node: MakeNode, name: str, value: Any
) -> None:
    node, seen = make_node(), []
    parameters = Parameters(node, Options(), seen.append)
    result = set_one(node, name, value)
    assert not result.successful
    assert name.split(".")[-1] in result.reason or "type" in result.reason
    assert "\n" not in result.reason
    assert parameters.config == Options()
    assert seen == []


def test_several_changes_are_accepted_or_rejected_together(make_node: MakeNode) -> None:
    node = make_node()
    parameters = Parameters(node, Options())
    result = node.set_parameters_atomically(
        [Parameter("rate", value=20.0), Parameter("smoothing.method", value="magic")]
    )
    assert not result.successful
    assert parameters.config == Options()


def test_rejects_unknown_dotted_option() -> None:
    with pytest.raises(ConfigError, match=r"min_cutof.*min_cutoff"):
        unflatten(Options(), {"smoothing.min_cutof": 1.0})


@pytest.mark.parametrize(
    "options", [FaceNodeOptions, SmoothingNodeOptions, VisualizationNodeOptions]
)
def test_every_parameter_of_every_node_is_described_and_bounded(options: type) -> None:
    for name, spec, value in flatten(options()):
        assert spec.metadata["help"], name
        assert "runtime" in spec.metadata, name
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            low, high = spec.metadata["min"], spec.metadata["max"]
            assert low <= value <= high, name


@pytest.mark.parametrize(
    "options", [FaceNodeOptions, SmoothingNodeOptions, VisualizationNodeOptions]
)
def test_every_node_can_declare_its_options(make_node: MakeNode, options: type) -> None:
    assert Parameters(make_node(), options()).config == options()
