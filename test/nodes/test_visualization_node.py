"""``face_node`` and ``visualization_node`` in two processes, over DDS."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.faces import Camera, model_parameters, set_parameters, stamped

pytest.importorskip("rclpy", reason="no ROS 2 here: run through `make test`")
pytest.importorskip("tddfa_msgs", reason="tddfa_msgs is not built: run through `make test`")

from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image, PointCloud2
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import Marker, MarkerArray

from tddfa_msgs.msg import FaceMeshArray
from tddfa_ros.geometry.rotation import rotation_from_quaternion
from tddfa_ros.makeup.color import to_lab
from tddfa_ros.nodes.convert.vertices import image_vertices

pytestmark = pytest.mark.ros


MOUTH = np.s_[135:155, 205:245]
NOSE = np.s_[112:124, 222:234]


def start_both(graph: Any, **drawing_parameters: Any) -> tuple[Any, Any]:
    perception = model_parameters() | {"regression.device": "cpu"}
    drawing = model_parameters(perception=False) | drawing_parameters
    return (
        graph.start("face_node", parameters=perception, wait_for="/face_node"),
        graph.start("visualization_node", parameters=drawing, wait_for="/visualization_node"),
    )


def actions(messages: list[Any], action: int) -> list[Any]:
    return [marker for m in messages for marker in m.markers if marker.action == action]


def key(message: Any) -> tuple[int, int]:
    return message.header.stamp.sec, message.header.stamp.nanosec


@pytest.mark.parametrize("namespace", [None, "/robot1"])
def test_view_frame_is_upright_at_the_camera(
    graph: Any, astronaut: np.ndarray, namespace: str | None
) -> None:
    """RViz turns its view about z of this frame, and shows it whatever the frame of the images is called."""
    prefix = namespace or ""
    parameters = model_parameters(perception=False)
    graph.start("visualization_node", parameters=parameters, namespace=namespace)
    graph.collect(MarkerArray, f"{prefix}/face_markers")
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    faces = graph.publisher(FaceMeshArray, f"{prefix}/face_mesh")
    for parent in ("left_eye", "left_eye", "right_eye"):
        faces.publish(stamped(FaceMeshArray(), 1.0, parent))
    frames = graph.collect(TFMessage, "/tf_static", latched)
    graph.wait_until(lambda: frames and frames[-1].transforms[0].header.frame_id == "right_eye")
    found = frames[-1].transforms[0]
    assert found.child_frame_id == ("robot1_face_view" if namespace else "face_view")
    turn = found.transform.rotation
    axes = rotation_from_quaternion(np.array([turn.x, turn.y, turn.z, turn.w]))
    forward, up = [0, 0, 1], [0, -1, 0]  # of an optical frame
    np.testing.assert_allclose(axes[:, 0], forward, atol=1e-9)
    np.testing.assert_allclose(axes[:, 2], up, atol=1e-9)


def test_markers_appear_and_disappear_with_face(graph: Any, astronaut: np.ndarray) -> None:
    processes = start_both(graph)
    markers = graph.collect(MarkerArray, "face_markers")
    meshes = graph.collect(FaceMeshArray, "face_mesh")
    camera = Camera(graph, astronaut)
    camera.until(lambda: actions(markers, Marker.ADD))
    graph.wait_until(lambda: graph.node.count_subscribers("/image_raw") >= 1)
    assert graph.node.count_subscribers("/image_raw") == 1, "markers need no images"

    first = next(m for m in markers if m.markers)
    kinds = {m.id: m.type for m in first.markers}
    assert set(kinds.values()) == {
        Marker.TRIANGLE_LIST,
        Marker.SPHERE_LIST,
        Marker.LINE_LIST,
        Marker.TEXT_VIEW_FACING,
    }
    assert {m.ns for m in first.markers} == {"face_f1"}
    mesh = next(m for m in first.markers if m.type == Marker.TRIANGLE_LIST)
    assert 100 < len(mesh.points) <= 3 * 2000
    assert len(mesh.points) % 3 == 0
    assert all(m.scale.x > 0 or m.type == Marker.TEXT_VIEW_FACING for m in first.markers)
    assert 0 < mesh.lifetime.sec + mesh.lifetime.nanosec * 1e-9 < 2.0
    assert mesh.header.frame_id == "camera_optical_frame"
    face = next(f for m in meshes if key(m) == key(mesh) for f in m.faces)
    dots = next(m for m in first.markers if m.type == Marker.SPHERE_LIST)
    np.testing.assert_allclose(
        [[p.x, p.y, p.z] for p in dots.points], np.asarray(face.landmarks).reshape(68, 3), atol=1e-4
    )

    camera.image = np.zeros_like(astronaut)
    camera.until(lambda: actions(markers, Marker.DELETE))
    assert {(m.ns, m.id) for m in actions(markers, Marker.DELETE)} == {
        (m.ns, m.id) for m in first.markers
    }
    assert [p.stop() for p in processes] == [0, 0]


def test_overlay_and_points_match_image_stamp(graph: Any, astronaut: np.ndarray) -> None:
    start_both(graph)
    graph.spin(1.0)
    for topic in ("/face_mesh", "/image_raw"):
        assert graph.node.count_subscribers(topic) == 0, "no subscribers"

    overlays = graph.collect(Image, "face_overlay")
    clouds = graph.collect(PointCloud2, "face_points")
    meshes = graph.collect(FaceMeshArray, "face_mesh")
    camera = Camera(graph, astronaut)
    camera.until(lambda: overlays and any(c.width for c in clouds), timeout=90.0)

    cloud = next(c for c in clouds if c.width)
    face = next(f for m in meshes if key(m) == key(cloud) for f in m.faces)
    vertices = np.asarray(face.vertices).reshape(-1, 3)
    assert [field.name for field in cloud.fields] == ["x", "y", "z", "rgb"]
    data = np.frombuffer(bytes(cloud.data), np.float32).reshape(-1, 4)
    assert cloud.width == len(vertices)
    np.testing.assert_allclose(data[:, :3], vertices, atol=1e-4)
    pixels = np.rint(image_vertices(face)[:, :2]).astype(int)
    inside = ((pixels >= 2) & (pixels < 510)).all(axis=1)
    colors = data[:, 3].copy().view(np.uint32)[inside]
    x, y = pixels[inside].T
    blue, green, red = astronaut[y, x].astype(np.uint32).T
    agree = colors == (red << 16 | green << 8 | blue)
    assert agree.mean() > 0.98, "rounding at half pixels may differ"

    overlay = overlays[-1]
    assert (overlay.encoding, overlay.width, overlay.height) == ("bgr8", 512, 512)
    drawn = np.frombuffer(bytes(overlay.data), np.uint8).reshape(512, 512, 3)
    changed = (drawn != astronaut).any(axis=2)
    assert changed[80:180, 170:270].mean() > 0.1
    assert changed[300:, 400:].mean() < 0.01
    graph.wait_until(lambda: any(key(o) in {key(m) for m in meshes} for o in overlays))


def test_overlay_applies_makeup_and_changes_it(graph: Any, astronaut: np.ndarray) -> None:
    _, drawing = start_both(graph, **{"overlay.makeup": "clown"})
    overlays = graph.collect(Image, "face_overlay")
    camera = Camera(graph, astronaut)

    def redness(part: Any) -> float:
        """How much redder a part of the newest overlay is than the image."""
        if not overlays:
            return 0.0
        drawn = np.frombuffer(bytes(overlays[-1].data), np.uint8).reshape(astronaut.shape)
        difference = to_lab(drawn)[part][..., 1] - to_lab(astronaut)[part][..., 1]
        return float(np.percentile(difference, 75))

    camera.until(lambda: redness(NOSE) > 20 and redness(MOUTH) > 10, timeout=90.0)

    (refused,) = set_parameters(graph, "visualization_node", {"overlay.makeup": "nix"})
    assert not refused.successful
    assert "there is no makeup preset 'nix'" in refused.reason
    (taken,) = set_parameters(graph, "visualization_node", {"overlay.makeup": "natural"})
    assert taken.successful
    camera.until(lambda: redness(NOSE) < 5)
    assert redness(MOUTH) > 1, "a natural lipstick, no clown's nose"
    assert drawing.stop() == 0


def test_rejects_unknown_makeup_preset_in_one_sentence(graph: Any) -> None:
    drawing = model_parameters(perception=False) | {"overlay.makeup": "nix"}
    process = graph.start("visualization_node", parameters=drawing)
    assert process.wait() == 2
    said = [line for line in process.output.splitlines() if "makeup preset" in line]
    assert len(said) == 1
    assert "there is no makeup preset 'nix'" in said[0]
    assert "Traceback" not in process.output
