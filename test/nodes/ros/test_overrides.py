from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: run through `make test`")
pytest.importorskip("tddfa_msgs", reason="tddfa_msgs is not built: run through `make test`")

from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from support.faces import model_parameters

from tddfa_ros.nodes.face_publisher import OUTPUT_QOS
from tddfa_ros.nodes.ros.overrides import given_to_all

FILE = """
/**:
  ros__parameters: {shared: 1, both: 1, nested: {leaf: 1}}
/**/face_node:
  ros__parameters: {both: 2, own: 3}
robot:
  smoothing_node:
    ros__parameters: {foreign: 4}
"""


def test_wildcard_sections_are_told_from_named_ones(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(FILE)
    line = ["node", "--ros-args", "--params-file", str(path), "-p", "x:=1", "-p", "other:y:=2"]
    assert given_to_all("face_node", line) == {"shared", "nested.leaf"}
    assert given_to_all("face_node", line, several_nodes=True) == {"shared", "nested.leaf", "x"}
    assert given_to_all("smoothing_node", line) == {"shared", "both", "nested.leaf"}


@pytest.mark.ros
def test_no_warnings_about_parameters_of_other_nodes(graph: Any, tmp_path: Path) -> None:
    path = tmp_path / "robot.yaml"
    path.write_text(
        "/**:\n  ros__parameters:\n"
        "    smoothing: {method: kalman}\n    marker_rate: 5.0\n    exposure_of_the_left_camera: 3\n"
        "    publish_vertexes: true\n"
        "/smoothing_node:\n  ros__parameters:\n    marker_lifetime: 1.0\n"
    )
    own = model_parameters(perception=False)
    node = graph.start(
        "smoothing_node", parameters=own, params_file=path, wait_for="/smoothing_node"
    )
    graph.wait_until(lambda: graph.node.count_publishers("/face_mesh") == 1)
    warned = [line for line in node.output.splitlines() if "unknown parameter" in line]
    # A typing error for all nodes, and a parameter of another node in this node's own section.
    assert ["publish_vertexes" in line or "marker_lifetime" in line for line in warned] == [
        True
    ] * 2
    assert "did you mean 'publish_vertices'" in node.output


@pytest.mark.ros
def test_qos_overrides_change_publishers_and_subscriptions(graph: Any) -> None:
    changed = {
        "qos_overrides./face_mesh.publisher.reliability": "best_effort",
        "qos_overrides./face_mesh_raw.subscription.durability": "transient_local",
        "lazy": False,
    }
    own = model_parameters(perception=False) | changed
    graph.start("smoothing_node", parameters=own, wait_for="/smoothing_node")
    node = graph.node
    graph.wait_until(lambda: node.get_subscriptions_info_by_topic("/face_mesh_raw"))
    (mesh,) = node.get_publishers_info_by_topic("/face_mesh")
    (raw,) = node.get_subscriptions_info_by_topic("/face_mesh_raw")
    (landmarks,) = node.get_publishers_info_by_topic("/face_landmarks")
    assert mesh.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    assert raw.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert landmarks.qos_profile.reliability == OUTPUT_QOS.reliability == ReliabilityPolicy.RELIABLE


@pytest.mark.ros
@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("qos_overrides./face_mash.publisher.depth", 3, "matches none of its topics"),
        ("qos_overrides./face_mesh.publisher.liveliness", "automatic", "is not a QoS override"),
        ("qos_overrides./face_mesh.publisher.reliability", "sometimes", "sometimes"),
        ("qos_overrides./face_mesh.publisher.depth", "many", "is invalid"),
    ],
)
def test_unusable_qos_overrides_are_refused(
    graph: Any, name: str, value: Any, sentence: str
) -> None:
    own = model_parameters(perception=False) | {name: value}
    node = graph.start("smoothing_node", parameters=own)
    assert node.wait() == 2, node.output
    errors = [line for line in node.output.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert sentence in errors[0]
    assert "Traceback" not in node.output
