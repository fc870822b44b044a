"""``face_system``: all nodes in one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.faces import model_parameters

pytest.importorskip("rclpy", reason="no ROS 2 here: run through `make test`")
pytest.importorskip("tddfa_msgs", reason="tddfa_msgs is not built: run through `make test`")

from rcl_interfaces.srv import GetParameters

from tddfa_msgs.msg import FaceMeshArray
from tddfa_ros.nodes.face_system import parse

pytestmark = pytest.mark.ros


def params_file(folder: Path, **more: dict[str, Any]) -> Path:
    """ROS parameters for the models under test, by node."""
    import yaml

    nodes: dict[str, dict[str, Any]] = {
        "face_node": model_parameters(),
        "smoothing_node": model_parameters(perception=False),
        "visualization_node": model_parameters(perception=False),
        "image_source_node": {"width": 320, "height": 240},
    }
    for name, values in more.items():
        nodes[name] = {**nodes[name], **values}
    sections = {f"/**/{name}": {"ros__parameters": v} for name, v in nodes.items() if v}
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(sections))
    return path


def parameter(graph: Any, node: str, name: str) -> Any:
    request = GetParameters.Request(names=[name])
    return graph.call(GetParameters, f"{node}/get_parameters", request).values[0]


def publishers(graph: Any, topic: str) -> list[str]:
    return sorted(info.node_name for info in graph.node.get_publishers_info_by_topic(topic))


def test_all_nodes_in_one_process(graph: Any, tmp_path: Path, astronaut_path: Path) -> None:
    meshes = graph.collect(FaceMeshArray, "face_mesh")
    chosen = params_file(tmp_path, smoothing_node={"smoothing.method": "kalman"})
    process = graph.start("face_system", arguments=["--source"], params_file=chosen)
    graph.wait_until(lambda: len(meshes) >= 3, 60)
    assert len(graph.processes) == 1
    nodes = {"/face_node", "/smoothing_node", "/visualization_node", "/image_source_node"}
    # Messages may arrive before the names of who sends them.
    graph.wait_until(lambda: nodes <= graph.node_names())
    graph.wait_until(lambda: publishers(graph, "face_mesh") == ["smoothing_node"])
    assert parameter(graph, "/smoothing_node", "smoothing.method").string_value == "kalman"
    assert parameter(graph, "/image_source_node", "width").integer_value == 320
    assert process.stop() == 0
    assert "Traceback" not in process.output
    assert "unknown parameter" not in process.output


def test_without_smoothing_and_in_a_namespace(
    graph: Any, tmp_path: Path, astronaut_path: Path
) -> None:
    meshes = graph.collect(FaceMeshArray, "/robot/face_mesh")
    process = graph.start(
        "face_system",
        arguments=["--no-smoothing", "--no-visualization", "--source"],
        params_file=params_file(tmp_path),
        namespace="/robot",
    )
    graph.wait_until(lambda: len(meshes) >= 3, 60)

    def mine() -> set[str]:
        return {name for name in graph.node_names() if name.startswith("/robot/")}

    nodes = {"/robot/face_node", "/robot/image_source_node"}
    graph.wait_until(lambda: nodes <= mine())
    assert mine() == nodes
    graph.wait_until(lambda: publishers(graph, "/robot/face_mesh") == ["face_node"])
    assert process.stop() == 0
    assert "Traceback" not in process.output


def test_face_system_survives_end_of_source(graph: Any, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    np = pytest.importorskip("numpy")
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((48, 64, 3), np.uint8))
    chosen = params_file(
        tmp_path, image_source_node={"source": str(tmp_path / "a.png"), "loop": False}
    )
    process = graph.start(
        "face_system", arguments=["--source"], params_file=chosen, wait_for="/face_node"
    )
    # Somebody who wants faces makes face_node look at the images.
    graph.collect(FaceMeshArray, "face_mesh")
    graph.wait_until(lambda: "reached the end of" in process.output, 60)
    graph.spin(0.5)
    assert process.alive
    assert process.stop() == 0


def test_unusable_source_prints_one_line(graph: Any, tmp_path: Path) -> None:
    chosen = params_file(tmp_path, image_source_node={"source": "97"})
    process = graph.start("face_system", arguments=["--source"], params_file=chosen)
    assert process.wait() == 2
    assert "error: there is no camera /dev/video97" in process.output
    assert "Traceback" not in process.output


def test_invalid_ros_arguments_print_one_line(graph: Any) -> None:
    process = graph.start("face_system", arguments=["--ros-args", "--wrong-option", "--"])
    assert process.wait() == 2
    assert "--wrong-option" in process.output
    assert "Traceback" not in process.output


def test_defaults_with_external_camera() -> None:
    options = parse([])
    assert (options.smoothing, options.visualization, options.source) == (True, True, False)
