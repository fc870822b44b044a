"""Every node ends with exit code 0, whatever signals arrive while it ends."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest
from support.faces import model_parameters

pytest.importorskip("rclpy", reason="no ROS 2 here: run through `make test`")
pytest.importorskip("tddfa_msgs", reason="tddfa_msgs is not built: run through `make test`")

pytestmark = pytest.mark.ros

NODES = (
    "face_node", "smoothing_node", "visualization_node", "avatar_node", "hri_node", "image_source_node", "face_system",
)  # fmt: skip


def start(graph: Any, node: str) -> Any:
    if node == "hri_node":
        pytest.importorskip("hri_msgs", reason="hri_msgs is not installed")
    if node == "image_source_node":
        pytest.importorskip("skimage", reason="scikit-image provides the demo image")
    perception = node in ("face_node", "face_system")
    parameters = {} if node == "image_source_node" else model_parameters(perception=perception)
    name = "face_node" if node == "face_system" else node
    return graph.start(node, parameters=parameters, wait_for=f"/{name}")


@pytest.mark.parametrize("node", NODES)
def test_repeated_sigint_until_exit(graph: Any, node: str) -> None:
    """Ctrl-C reaches a node twice: from the terminal and from launch. Signals every 10 ms hit every moment of its exit."""
    running = start(graph, node)
    graph.spin(0.5)
    end = time.monotonic() + 20
    while running.alive and time.monotonic() < end:
        running.process.send_signal(signal.SIGINT)
        time.sleep(0.01)
    assert running.process.returncode == 0, running.output
    assert "Traceback" not in running.output
    assert "Exception ignored" not in running.output


@pytest.mark.parametrize("pause", [0.1, 0.25, 0.4])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_second_signal_during_exit(graph: Any, second: int, pause: float) -> None:
    running = start(graph, "smoothing_node")
    graph.spin(0.5)
    running.process.send_signal(signal.SIGINT)
    time.sleep(pause)
    assert running.stop(second) == 0, running.output
    assert "Traceback" not in running.output
