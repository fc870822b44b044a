from __future__ import annotations

import numpy as np
import pytest
from support.synthetic_model import frontal_params, synthetic_model

pytest.importorskip("tddfa_msgs", reason="tddfa_msgs is not built: run through `make test`")

from rclpy.serialization import serialize_message
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from tddfa_ros.face import TrackedFace
from tddfa_ros.nodes.convert.rviz import AXES, LANDMARKS, MESH, TEXT, MarkerBuilder, caption
from tddfa_ros.types import Intrinsics

HEADER = Header(frame_id="camera")


def face(name: str = "f1", x: float = 61.0, assumed: bool = True) -> TrackedFace:
    model = synthetic_model()
    intrinsics = Intrinsics.from_fov(640, 480)
    if not assumed:
        intrinsics = Intrinsics(640, 480, intrinsics.k)
    return TrackedFace(
        box=np.array([200.0, 100, 320, 260]),
        confidence=0.9,
        params=frontal_params(model, x=x),
        roi=np.array([240.0, 160, 400, 320]),
        model=model,
        intrinsics=intrinsics,
        id=name,
    )


def xyz(points: list) -> np.ndarray:
    return np.array([[p.x, p.y, p.z] for p in points])


def test_mesh_marker_is_metric_coarse_mesh() -> None:
    seen = face()
    markers = {m.id: m for m in MarkerBuilder().build([seen], HEADER).markers}
    mesh = markers[MESH]
    expected = seen.coarse_vertices_metric[seen.model.coarse_triangles].reshape(-1, 3)
    np.testing.assert_allclose(xyz(mesh.points), expected)
    np.testing.assert_allclose(xyz(markers[LANDMARKS].points), seen.landmarks_metric)
    assert (mesh.scale.x, mesh.scale.y, mesh.scale.z) == (1.0, 1.0, 1.0)
    assert len(mesh.colors) == 0, "one color, or RViz does not light it"
    assert len(serialize_message(MarkerBuilder().build([seen], HEADER))) > 12 * len(mesh.points)


def test_axes_marker_is_in_face_frame() -> None:
    seen = face()
    axes = next(m for m in MarkerBuilder().build([seen], HEADER).markers if m.id == AXES)
    np.testing.assert_allclose(
        [axes.pose.position.x, axes.pose.position.y, axes.pose.position.z], seen.head_pose.position
    )
    ends = xyz(axes.points)[1::2]
    np.testing.assert_allclose(ends, 0.12 * np.eye(3))
    assert [(c.r, c.g, c.b) for c in axes.colors[::2]] == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]


def test_marker_points_are_reused() -> None:
    builder = MarkerBuilder()
    before = builder.build([face(x=61.0)], HEADER).markers[MESH]
    first, points = xyz(before.points), [id(p) for p in before.points]
    moved = face(x=75.0)
    after = builder.build([moved], HEADER).markers[MESH]
    assert [id(p) for p in after.points] == points
    assert len(set(points)) == len(moved.model.coarse_indices)
    shift = xyz(after.points) - first
    assert (shift[:, 0] > 0.01).all()


def test_marker_namespaces_and_ids() -> None:
    builder = MarkerBuilder(lifetime=0.25)
    for _ in range(3):
        markers = builder.build([face("f1"), face("f2")], HEADER).markers
    assert {(m.ns, m.id) for m in markers} == {
        (ns, number) for ns in ("face_f1", "face_f2") for number in (MESH, LANDMARKS, AXES, TEXT)
    }
    assert all(m.action == Marker.ADD for m in markers)
    assert all((m.lifetime.sec, m.lifetime.nanosec) == (0, 250_000_000) for m in markers)


def test_lost_face_is_deleted_once() -> None:
    builder = MarkerBuilder()
    builder.build([face("f1"), face("f2")], HEADER)
    markers = builder.build([face("f2")], HEADER).markers
    gone = [m for m in markers if m.action == Marker.DELETE]
    assert {(m.ns, m.id) for m in gone} == {("face_f1", n) for n in (MESH, LANDMARKS, AXES, TEXT)}
    assert not any(m.action == Marker.DELETE for m in builder.build([face("f2")], HEADER).markers)
    assert len(builder.clear(HEADER).markers) == 4


def test_caption_is_above_the_head() -> None:
    markers = MarkerBuilder().build([face()], HEADER).markers
    text, mesh = markers[TEXT], markers[MESH]
    assert text.type == Marker.TEXT_VIEW_FACING
    top = xyz(mesh.points)[:, 1].min()
    assert top - 0.05 < text.pose.position.y < top - text.scale.z / 2


def test_mesh_marker_is_opaque() -> None:
    """RViz writes no depth below an alpha of 0.9998: the far side of the head would show through the face."""
    markers = MarkerBuilder().build([face("f1"), face("f2")], HEADER).markers
    assert {m.color.a for m in markers if m.id == MESH} == {1.0}


def test_caption_text() -> None:
    seen = face()
    yaw, pitch, roll = seen.yaw_pitch_roll
    distance = np.linalg.norm(seen.head_pose.position)
    angles = f"f1  yaw {yaw:.0f}  pitch {pitch:.0f}  roll {roll:.0f}  "
    assert caption(seen) == f"{angles}~{distance:.2f} m", "an assumed camera makes it approximate"
    assert caption(face(assumed=False)) == f"{angles}{distance:.2f} m"
