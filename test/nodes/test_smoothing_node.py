"""``face_node`` and ``smoothing_node`` in two processes, over DDS."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.faces import Camera, model_parameters, set_parameters, stamped

pytest.importorskip("rclpy", reason="no ROS 2 here: run through `make test`")
pytest.importorskip("tddfa_msgs", reason="tddfa_msgs is not built: run through `make test`")

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger
from tf2_msgs.msg import TFMessage

from tddfa_msgs.msg import FaceLandmarksArray, FaceMesh, FaceMeshArray, FaceTopology

pytestmark = pytest.mark.ros


def start_both(graph: Any, **smoothing: Any) -> tuple[Any, Any]:
    perception = model_parameters() | {"publish_face_mesh": False, "regression.device": "cpu"}
    values = {f"smoothing.{name}": value for name, value in smoothing.items()}
    values |= model_parameters(perception=False)
    return (
        graph.start("face_node", parameters=perception, wait_for="/face_node"),
        graph.start("smoothing_node", parameters=values, wait_for="/smoothing_node"),
    )


def key(message: Any) -> tuple[int, int]:
    return message.header.stamp.sec, message.header.stamp.nanosec


def pairs(raw: list[Any], smooth: list[Any]) -> list[tuple[Any, Any]]:
    """First faces of raw and smoothed messages with equal stamps."""
    known = {key(m): m.faces[0] for m in raw if m.faces}
    return [(known[key(m)], m.faces[0]) for m in smooth if m.faces and key(m) in known]


def add_noise(camera: Camera, image: np.ndarray, rng: np.random.Generator) -> None:
    """The noise of a camera in a dark room; the person keeps still."""
    noise = rng.normal(0.0, 20.0, image.shape)
    camera.image = np.clip(image + noise, 0, 255).astype(np.uint8)


def test_smoothed_mesh_has_less_jitter_and_same_stamp(graph: Any, astronaut: np.ndarray) -> None:
    processes = start_both(graph)
    raw = graph.collect(FaceMeshArray, "face_mesh_raw")
    smooth = graph.collect(FaceMeshArray, "face_mesh")
    light = graph.collect(FaceLandmarksArray, "face_landmarks")
    transforms = graph.collect(TFMessage, "/tf")
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    topologies = graph.collect(FaceTopology, "face_mesh/topology", latched)
    camera, rng = Camera(graph, astronaut), np.random.default_rng(0)

    def enough() -> bool:
        add_noise(camera, astronaut, rng)
        return len(pairs(raw, smooth)) >= 20 and bool(light) and bool(transforms)

    camera.until(enough, timeout=90.0)
    found = pairs(raw, smooth)
    assert all(a.id == b.id == "f1" for a, b in found)
    assert all(len(a.vertices) == 0 for a, _ in found)
    assert {len(b.vertices) for _, b in found} == {3 * topologies[0].vertex_count}
    assert all(b.scale_source == FaceMesh.SCALE_ASSUMED_FOV for _, b in found)
    assert {m.header.frame_id for m in smooth} == {"camera_optical_frame"}
    centers = np.array(
        [[np.asarray(f.landmarks_image).reshape(68, 3)[:, :2].mean(0) for f in p] for p in found]
    )
    # Second differences: how much it jitters, whatever it does slowly.
    raw_jitter, smooth_jitter = np.abs(np.diff(centers[5:], n=2, axis=0)).mean(axis=(0, 2))
    assert raw_jitter > 0.0, "noise moves what the network sees"
    assert smooth_jitter < 0.8 * raw_jitter
    graph.wait_until(lambda: graph.node.count_publishers("/face_mesh") == 1)
    assert [p.stop() for p in processes] == [0, 0]
    assert not any("Traceback" in p.output for p in processes)


def test_no_smoothing_passes_parameters_through_unchanged(
    graph: Any, astronaut: np.ndarray
) -> None:
    start_both(graph, method="none")
    raw = graph.collect(FaceMeshArray, "face_mesh_raw")
    smooth = graph.collect(FaceMeshArray, "face_mesh")
    Camera(graph, astronaut).until(lambda: len(pairs(raw, smooth)) >= 3)
    for before, after in pairs(raw, smooth):
        np.testing.assert_array_equal(before.params, after.params)
        np.testing.assert_array_equal(before.roi, after.roi)
        np.testing.assert_allclose(before.landmarks, after.landmarks, atol=1e-5)
        assert before.confidence == after.confidence


def test_parameters_reset_and_diagnostics(graph: Any, astronaut: np.ndarray) -> None:
    start_both(graph)
    raw = graph.collect(FaceMeshArray, "face_mesh_raw")
    smooth = graph.collect(FaceMeshArray, "face_mesh")
    diagnostics = graph.collect(DiagnosticArray, "/diagnostics")
    camera = Camera(graph, astronaut)
    camera.until(lambda: pairs(raw, smooth))

    changed, refused = set_parameters(
        graph, "/smoothing_node", {"smoothing.method": "none", "smoothing.beta": -1.0}
    )
    assert changed.successful
    assert not refused.successful
    assert graph.call(Trigger, "/smoothing_node/reset", Trigger.Request()).success
    for messages in (raw, smooth):
        messages.clear()
    camera.until(lambda: len(pairs(raw, smooth)) >= 3)
    before, after = pairs(raw, smooth)[-1]
    np.testing.assert_array_equal(before.params, after.params)

    def methods() -> list[str]:
        found = [s for m in diagnostics for s in m.status if s.name == "smoothing_node"]
        return [v.value for s in found for v in s.values if v.key == "method"]

    camera.until(lambda: methods() and methods()[-1] == "none")


def test_no_input_is_subscribed_to_without_subscribers(graph: Any, astronaut: np.ndarray) -> None:
    """The default graph: face_node would otherwise work for smoothing_node, and smoothing_node for nobody."""
    start_both(graph)
    inputs = ("/image_raw", "/face_mesh_raw")

    def subscribed() -> list[int]:
        return [graph.node.count_subscribers(topic) for topic in inputs]

    graph.spin(1.0)
    assert subscribed() == [0, 0]
    received: list[Any] = []
    for _ in range(2):
        subscription = graph.node.create_subscription(
            FaceLandmarksArray, "face_landmarks", received.append, 5
        )
        Camera(graph, astronaut).until(lambda: received and received[-1].faces)
        assert subscribed() == [1, 1]
        graph.node.destroy_subscription(subscription)
        graph.wait_until(lambda: subscribed() == [0, 0])
        graph.spin(0.5)
        received.clear()
    assert set_parameters(graph, "/smoothing_node", {"lazy": False})[0].successful
    graph.wait_until(lambda: subscribed() == [1, 1])


def test_missing_nodes_are_reported(graph: Any) -> None:
    face, smoothing = start_both(graph)
    quick = {"diagnostics.silence": 0.5}
    for node in ("/face_node", "/smoothing_node"):
        assert set_parameters(graph, node, quick)[0].successful
    diagnostics = graph.collect(DiagnosticArray, "/diagnostics")

    def message(name: str) -> str:
        found = [s for m in diagnostics for s in m.status if s.name == name]
        return found[-1].message if found and found[-1].level == b"\x01" else ""

    camera = graph.publisher(Image, "image_raw", subscribers=0)
    graph.wait_until(lambda: message("face_node") == "" and diagnostics)
    graph.node.destroy_publisher(camera)
    graph.wait_until(lambda: "no node publishes /image_raw" in message("face_node"))
    smoothing.kill()
    sentence = "no node publishes /face_mesh: smoothing_node is not running"
    graph.wait_until(lambda: sentence in message("face_node"))
    assert sentence in face.output
    graph.start("smoothing_node", parameters=model_parameters(perception=False))
    graph.wait_until(lambda: sentence not in message("face_node"))


def test_survives_empty_foreign_and_invalid_meshes(graph: Any) -> None:
    process = graph.start(
        "smoothing_node", parameters=model_parameters(perception=False), wait_for="/smoothing_node"
    )
    meshes = graph.collect(FaceMeshArray, "face_mesh")
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    topologies = graph.collect(FaceTopology, "face_mesh/topology", latched)
    publisher = graph.publisher(FaceMeshArray, "face_mesh_raw")
    graph.wait_until(lambda: topologies and publisher.get_subscription_count() > 0)

    foreign = FaceMesh(id="f1", topology_id="0123456789abcdef", params=[0.0] * 62)
    short = FaceMesh(id="f1", topology_id=topologies[0].topology_id, params=[0.0] * 3)
    nameless_camera = FaceMesh(id="f1", topology_id=topologies[0].topology_id)
    stamp = 100.0
    for face in (foreign, short, nameless_camera):
        for with_camera in (True, False):
            message = stamped(FaceMeshArray(faces=[face]), stamp)
            if with_camera:
                message.camera_info.width, message.camera_info.height = 640, 480
                message.camera_info.k = np.array([600.0, 0, 320, 0, 600, 240, 0, 0, 1])
            publisher.publish(message)
            graph.spin(0.2)
            stamp += 0.1
    assert process.alive
    assert meshes == []
    graph.wait_until(lambda: "0123456789abcdef" in process.output)
    assert "3 parameters" in process.output
    assert "unexpected" not in process.output

    publisher.publish(stamped(FaceMeshArray(), stamp))
    graph.wait_until(lambda: meshes)
    assert len(meshes[0].faces) == 0
    assert process.stop() == 0
