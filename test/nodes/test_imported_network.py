"""The whole graph on an imported network, whose morphable model is not the package's: said once, known to all nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.faces import model_parameters

pytest.importorskip("rclpy", reason="no ROS 2 here: run through `make test`")
pytest.importorskip("tddfa_msgs", reason="tddfa_msgs is not built: run through `make test`")

from sensor_msgs.msg import Image, PointCloud2
from support.imported import NETWORK, imported_cache
from visualization_msgs.msg import Marker, MarkerArray

from tddfa_msgs.msg import FaceMeshArray

pytestmark = pytest.mark.ros


def test_one_parameter_is_enough_for_all_nodes(
    graph: Any, tmp_path: Path, astronaut_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_parameters()
    head = imported_cache(tmp_path / "cache")
    monkeypatch.setenv("TDDFA_CACHE", str(tmp_path / "cache"))
    meshes = graph.collect(FaceMeshArray, "face_mesh")
    markers = graph.collect(MarkerArray, "face_markers")
    overlays = graph.collect(Image, "face_overlay")
    points = graph.collect(PointCloud2, "face_points")
    small = tmp_path / "small.yaml"
    small.write_text("/**/image_source_node: {ros__parameters: {width: 320, height: 240}}")
    process = graph.start(
        "face_system", arguments=["--source"], parameters={"model": NETWORK}, params_file=small
    )

    def drawn() -> bool:
        return any(marker.action == Marker.ADD for m in markers for marker in m.markers)

    def complete() -> bool:
        faces = any(message.faces for message in meshes)
        return faces and drawn() and bool(overlays) and any(cloud.width for cloud in points)

    graph.wait_until(complete, 240)
    face = next(face for message in meshes for face in message.faces)
    assert face.topology_id == head.topology_id
    assert len(face.vertices) == 3 * head.vertex_count
    assert any(cloud.width == head.vertex_count for cloud in points)
    assert f"and {NETWORK} on " in process.output
    assert process.stop() == 0
    assert "topology" not in process.output and "Traceback" not in process.output
