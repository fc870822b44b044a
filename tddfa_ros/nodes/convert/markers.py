"""Faces as ``visualization_msgs/Marker``: coarse mesh, landmarks, axes and a line of text for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from tddfa_ros.face import TrackedFace
from tddfa_ros.nodes.convert.messages import NANOSECONDS, pose_message
from tddfa_ros.rendering.overlay import tint_of
from tddfa_ros.types import FloatArray

MESH, LANDMARKS, AXES, TEXT = range(4)
"""The marker ids of every face; they never grow, its namespace ``face_<id>`` tells faces apart."""

AXIS_LENGTH = 0.12
LANDMARK_SIZE = 0.004
TEXT_HEIGHT = 0.025
TEXT_OFFSET = 0.16  # metres above the sellion (camera frames have y down)


class MarkerBuilder:
    """Turns the faces of each image into a :class:`MarkerArray`, and deletes the markers of faces that are gone.

    Building thousands of ``geometry_msgs/Point`` for each frame is what makes markers slow in Python, so that each face
    keeps its points, one for each coarse vertex however many triangles share it, and only moves them.
    """

    def __init__(self, lifetime: float = 0.5) -> None:
        self.lifetime = lifetime
        self._faces: dict[str, _FaceMarkers] = {}

    def build(self, faces: Sequence[TrackedFace], header: Header) -> MarkerArray:
        """Markers for ``faces`` in ``header.frame_id``, and a DELETE for every face of the previous call that is gone."""
        lifetime = _duration(self.lifetime)
        message = MarkerArray()
        present = {face.id for face in faces}
        for lost in [name for name in self._faces if name not in present]:
            message.markers += _deletions(lost, header)
            del self._faces[lost]
        for face in faces:
            if face.id not in self._faces:
                self._faces[face.id] = _FaceMarkers(face)
            message.markers += self._faces[face.id].update(face, header, lifetime)
        return message

    def clear(self, header: Header) -> MarkerArray:
        """A DELETE for every marker that is still shown."""
        return self.build([], header)


class _FaceMarkers:
    """The four markers of one face, with the points they are made of."""

    def __init__(self, face: TrackedFace) -> None:
        namespace = f"face_{face.id}"
        color = face_color(face.id)
        self._vertices = _points(len(face.model.coarse_indices))
        self._landmarks = _points(68)
        triangles = face.model.coarse_triangles.ravel().tolist()
        self._mesh = _marker(namespace, MESH, Marker.TRIANGLE_LIST, (1.0, 1.0, 1.0), color)
        self._mesh.points = [self._vertices[i] for i in triangles]
        size = (LANDMARK_SIZE,) * 3
        white = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
        self._dots = _marker(namespace, LANDMARKS, Marker.SPHERE_LIST, size, white)
        self._dots.points = self._landmarks
        self._axes = _axes(namespace)
        self._text = _marker(
            namespace, TEXT, Marker.TEXT_VIEW_FACING, (0.0, 0.0, TEXT_HEIGHT), white
        )

    def update(self, face: TrackedFace, header: Header, lifetime: Duration) -> list[Marker]:
        _move(self._vertices, face.coarse_vertices_metric)
        _move(self._landmarks, face.landmarks_metric)
        self._axes.pose = pose_message(face.head_pose)
        position = face.head_pose.position
        self._text.pose.position = Point(
            x=float(position[0]),
            y=float(position[1]) - TEXT_OFFSET,
            z=float(position[2]),
        )
        self._text.text = caption(face)
        markers = [self._mesh, self._dots, self._axes, self._text]
        for marker in markers:
            marker.header = header
            marker.lifetime = lifetime
        return markers


def caption(face: TrackedFace) -> str:
    """One line about a face: id, angles (degrees), distance of the sellion from the camera (metres; ~ when assumed)."""
    yaw, pitch, roll = (float(angle) for angle in face.yaw_pitch_roll)
    distance = float(sum(v * v for v in face.head_pose.position)) ** 0.5
    about = "~" if face.intrinsics is None or face.intrinsics.assumed else ""
    return f"{face.id}  yaw {yaw:.0f}  pitch {pitch:.0f}  roll {roll:.0f}  {about}{distance:.2f} m"


def face_color(name: str) -> ColorRGBA:
    """The color that the overlay gives the same face."""
    blue, green, red = (channel / 255 for channel in tint_of(name))
    return ColorRGBA(r=red, g=green, b=blue, a=0.9)


def _marker(
    namespace: str,
    number: int,
    kind: int,
    scale: tuple[float, float, float],
    color: ColorRGBA,
) -> Marker:
    marker = Marker(ns=namespace, id=number, type=kind, action=Marker.ADD, color=color)
    marker.pose.orientation.w = 1.0
    marker.scale.x, marker.scale.y, marker.scale.z = scale
    return marker


def _axes(namespace: str) -> Marker:
    """Face frame as red x (out of the face), green y, blue z, drawn in the marker's own pose."""
    marker = _marker(namespace, AXES, Marker.LINE_LIST, (0.004, 0.004, 0.004), ColorRGBA(a=1.0))
    for axis in range(3):
        end = [AXIS_LENGTH if i == axis else 0.0 for i in range(3)]
        color = ColorRGBA(r=float(axis == 0), g=float(axis == 1), b=float(axis == 2), a=1.0)
        marker.points += [Point(), Point(x=end[0], y=end[1], z=end[2])]
        marker.colors += [color, color]
    return marker


def _deletions(name: str, header: Header) -> Iterable[Marker]:
    return [
        Marker(header=header, ns=f"face_{name}", id=number, action=Marker.DELETE)
        for number in (MESH, LANDMARKS, AXES, TEXT)
    ]


def _points(count: int) -> list[Point]:
    return [Point() for _ in range(count)]


def _move(points: Sequence[Point], to: FloatArray) -> None:
    for point, (x, y, z) in zip(points, to.tolist(), strict=True):
        point.x = x
        point.y = y
        point.z = z


def _duration(seconds: float) -> Duration:
    nanoseconds = round(seconds * NANOSECONDS)
    return Duration(sec=nanoseconds // NANOSECONDS, nanosec=nanoseconds % NANOSECONDS)
