"""``face_node`` and ``smoothing_node`` as managed nodes, driven by the services of ROS 2's lifecycle."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.faces import Camera, model_parameters, set_parameters

pytest.importorskip("rclpy", reason="no ROS 2 here: run through `make test`")
pytest.importorskip("tddfa_msgs", reason="tddfa_msgs is not built: run through `make test`")

from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState

from tddfa_msgs.msg import FaceMeshArray

pytestmark = pytest.mark.ros


def change(graph: Any, node: str, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return bool(graph.call(ChangeState, f"/{node}/change_state", request).success)


def state(graph: Any, node: str) -> int:
    return int(graph.call(GetState, f"/{node}/get_state", GetState.Request()).current_state.id)


def memory(process: Any) -> float:
    """Resident memory of a process, MB."""
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


def test_transitions_of_face_node(graph: Any, astronaut: np.ndarray) -> None:
    own = model_parameters() | {"autostart": False, "regression.device": "cpu"}
    process = graph.start("face_node", parameters=own, wait_for="/face_node")
    meshes = graph.collect(FaceMeshArray, "face_mesh")
    assert state(graph, "face_node") == State.PRIMARY_STATE_UNCONFIGURED
    assert graph.node.count_publishers("/face_mesh") == 0
    empty = memory(process)

    ids = []
    for _ in range(2):
        assert change(graph, "face_node", Transition.TRANSITION_CONFIGURE)
        graph.wait_until(lambda: graph.node.count_publishers("/face_mesh") == 1)
        assert graph.node.count_subscribers("/image_raw") == 0
        refused = set_parameters(graph, "/face_node", {"detection.input_size": 320})[0]
        assert "read-only while the node is configured" in refused.reason
        assert change(graph, "face_node", Transition.TRANSITION_ACTIVATE)
        assert state(graph, "face_node") == State.PRIMARY_STATE_ACTIVE
        meshes.clear()
        Camera(graph, astronaut).until(lambda: meshes and meshes[-1].faces)
        ids.append(meshes[-1].faces[0].id)
        full = memory(process)

        assert change(graph, "face_node", Transition.TRANSITION_DEACTIVATE)
        for topic in ("/image_raw", "/camera_info"):
            graph.wait_until(lambda t=topic: graph.node.count_subscribers(t) == 0)
        graph.spin(0.5)
        meshes.clear()
        for _ in range(5):
            Camera(graph, astronaut).send()
        assert meshes == []
        assert change(graph, "face_node", Transition.TRANSITION_CLEANUP)
        graph.wait_until(lambda: graph.node.count_publishers("/face_mesh") == 0)
        assert memory(process) - empty < 0.7 * (full - empty), "the networks are freed"
        # What cannot change in a configured node can now.
        assert set_parameters(graph, "/face_node", {"detection.input_size": 480})[0].successful
    assert process.stop() == 0
    assert "Traceback" not in process.output


def test_smoothing_node_starts_by_itself_and_can_be_paused(
    graph: Any, astronaut: np.ndarray
) -> None:
    perception = model_parameters() | {"publish_face_mesh": False, "regression.device": "cpu"}
    graph.start("face_node", parameters=perception, wait_for="/face_node")
    own = model_parameters(perception=False)
    process = graph.start("smoothing_node", parameters=own, wait_for="/smoothing_node")
    meshes = graph.collect(FaceMeshArray, "face_mesh")
    camera = Camera(graph, astronaut)
    camera.until(lambda: meshes)
    assert state(graph, "smoothing_node") == State.PRIMARY_STATE_ACTIVE
    assert change(graph, "smoothing_node", Transition.TRANSITION_DEACTIVATE)
    graph.wait_until(lambda: graph.node.count_subscribers("/face_mesh_raw") == 0)
    assert change(graph, "smoothing_node", Transition.TRANSITION_CLEANUP)
    assert change(graph, "smoothing_node", Transition.TRANSITION_CONFIGURE)
    assert change(graph, "smoothing_node", Transition.TRANSITION_ACTIVATE)
    meshes.clear()
    camera.until(lambda: meshes)
    assert process.stop() == 0


def test_failed_configuration_can_be_corrected(graph: Any, tmp_path: Path) -> None:
    own = model_parameters(perception=False)
    broken = own | {"autostart": False, "morphable_model": str(tmp_path / "absent.npz")}
    process = graph.start("smoothing_node", parameters=broken, wait_for="/smoothing_node")
    assert not change(graph, "smoothing_node", Transition.TRANSITION_CONFIGURE)
    assert state(graph, "smoothing_node") == State.PRIMARY_STATE_UNCONFIGURED
    assert "absent.npz" in process.output
    good = own.get("morphable_model", "")
    if not good:
        from tddfa_ros.config import RegressionConfig

        good = RegressionConfig().morphable_model
    assert set_parameters(graph, "/smoothing_node", {"morphable_model": good})[0].successful
    assert change(graph, "smoothing_node", Transition.TRANSITION_CONFIGURE)
    assert change(graph, "smoothing_node", Transition.TRANSITION_ACTIVATE)
    assert process.stop() == 0
    assert "Traceback" not in process.output


def test_plain_node_has_no_lifecycle_services(graph: Any) -> None:
    own = model_parameters(perception=False) | {"lifecycle": False}
    graph.start("smoothing_node", parameters=own, wait_for="/smoothing_node")
    graph.wait_until(lambda: graph.node.count_publishers("/face_mesh") == 1)
    names = {name for name, _ in graph.node.get_service_names_and_types()}
    assert "/smoothing_node/reset" in names
    assert "/smoothing_node/change_state" not in names
