"""Convert faces to RViz messages: markers (coarse mesh, landmarks, axes, text) and a colored point cloud."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Quaternion, TransformStamped
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from tddfa_ros.face import TrackedFace
from tddfa_ros.nodes.convert.messages import NANOSECONDS, pose_message, uint8_sequence
from tddfa_ros.rendering.style import tint_of
from tddfa_ros.types import FloatArray, ImageBGR

MESH, LANDMARKS, AXES, TEXT = range(4)
"""Marker IDs, the same in the namespace ``face_<id>`` of each face."""

AXIS_LENGTH = 0.12
LANDMARK_SIZE = 0.004
TEXT_HEIGHT = 0.025
TEXT_GAP = 0.03  # m from the top of the head to the middle of the caption

# "rgb" is 0x00RRGGBB in the bits of a float32, the PCL convention read by RViz and Foxglove.
POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("rgb", "<u4")])
GRAY = 0x00C0C0C0


class MarkerBuilder:
    """Builds a :class:`MarkerArray` per image and deletes the markers of lost faces.

    Creating thousands of ``geometry_msgs/Point`` per frame is slow in Python. Each face therefore keeps one point per coarse
    vertex, shared by its triangles, and updates the coordinates.

    Args:
        lifetime: lifetime of the markers, s.
    """

    def __init__(self, lifetime: float = 0.5) -> None:
        self.lifetime = lifetime
        self._faces: dict[str, _FaceMarkers] = {}

    def build(self, faces: Sequence[TrackedFace], header: Header) -> MarkerArray:
        """Build markers of ``faces`` in ``header.frame_id``, and DELETE markers of faces lost since the previous call."""
        lifetime = _duration(self.lifetime)
        message = MarkerArray()
        present = {face.id for face in faces}
        for lost in [track_id for track_id in self._faces if track_id not in present]:
            message.markers += _deletions(lost, header)
            del self._faces[lost]
        for face in faces:
            if face.id not in self._faces:
                self._faces[face.id] = _FaceMarkers(face)
            message.markers += self._faces[face.id].update(face, header, lifetime)
        return message

    def clear(self, header: Header) -> MarkerArray:
        """Build DELETE markers of all faces."""
        return self.build([], header)


class _FaceMarkers:
    """The four markers of one face and their points."""

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
        vertices = face.coarse_vertices_metric
        _move(self._vertices, vertices)
        _move(self._landmarks, face.landmarks_metric)
        self._axes.pose = pose_message(face.head_pose)
        position = face.head_pose.position
        self._text.pose.position = Point(
            x=float(position[0]),
            y=float(vertices[:, 1].min()) - TEXT_GAP,  # y is down in camera frames
            z=float(position[2]),
        )
        self._text.text = caption(face)
        markers = [self._mesh, self._dots, self._axes, self._text]
        for marker in markers:
            marker.header = header
            marker.lifetime = lifetime
        return markers


def caption(face: TrackedFace) -> str:
    """Format track ID, angles (degrees) and camera distance of the sellion (m; ~ with an assumed field of view)."""
    yaw, pitch, roll = (float(angle) for angle in face.yaw_pitch_roll)
    distance = float(sum(v * v for v in face.head_pose.position)) ** 0.5
    about = "~" if face.intrinsics is None or face.intrinsics.assumed else ""
    return f"{face.id}  yaw {yaw:.0f}  pitch {pitch:.0f}  roll {roll:.0f}  {about}{distance:.2f} m"


def face_color(track_id: str) -> ColorRGBA:
    """Return the color of a face, the same as in the overlay.

    Opaque: below an alpha of 0.9998 RViz does not write depth, and the back of the closed mesh shows through its front.
    """
    blue, green, red = (channel / 255 for channel in tint_of(track_id))
    return ColorRGBA(r=red, g=green, b=blue, a=1.0)


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
    """Build the axes of the face frame, x (out of the face) red, y green, z blue, at the pose of the marker."""
    marker = _marker(namespace, AXES, Marker.LINE_LIST, (0.004, 0.004, 0.004), ColorRGBA(a=1.0))
    for axis in range(3):
        end = [AXIS_LENGTH if i == axis else 0.0 for i in range(3)]
        color = ColorRGBA(r=float(axis == 0), g=float(axis == 1), b=float(axis == 2), a=1.0)
        marker.points += [Point(), Point(x=end[0], y=end[1], z=end[2])]
        marker.colors += [color, color]
    return marker


def _deletions(track_id: str, header: Header) -> Iterable[Marker]:
    return [
        Marker(header=header, ns=f"face_{track_id}", id=number, action=Marker.DELETE)
        for number in (MESH, LANDMARKS, AXES, TEXT)
    ]


def _points(count: int) -> list[Point]:
    return [Point() for _ in range(count)]


def _move(points: Sequence[Point], to: FloatArray) -> None:
    for point, (x, y, z) in zip(points, to.tolist(), strict=True):
        point.x = x
        point.y = y
        point.z = z


def view_transform(header: Header, frame: str) -> TransformStamped:
    """Build the transform from a camera optical frame to ``frame`` at the same origin: x forward, y left, z up (REP-103).

    RViz's Orbit view turns about z of its target frame, which in an optical frame points forward.
    """
    message = TransformStamped(header=header, child_frame_id=frame)
    message.transform.rotation = Quaternion(x=0.5, y=-0.5, z=0.5, w=0.5)
    return message


def _duration(seconds: float) -> Duration:
    nanoseconds = round(seconds * NANOSECONDS)
    return Duration(sec=nanoseconds // NANOSECONDS, nanosec=nanoseconds % NANOSECONDS)


def point_cloud(
    faces: Sequence[TrackedFace], header: Header, image: ImageBGR | None = None
) -> PointCloud2:
    """Build a point cloud of the vertices of all faces, m in ``header.frame_id``, with the color of the image at each vertex.

    Args:
        faces: faces of one image.
        header: stamp and frame_id of that image.
        image: (H, W, 3) uint8 BGR; None = gray points. A vertex outside the image takes the nearest pixel; an occluded vertex
            takes the color of its occluder.
    """
    points = np.concatenate([_face_points(face, image) for face in faces] or [np.empty(0, POINT)])
    message = PointCloud2()
    message.header = header
    message.height = 1
    message.width = len(points)
    message.fields = [
        PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1)
        for i, name in enumerate(("x", "y", "z", "rgb"))
    ]
    message.is_bigendian = False
    message.point_step = POINT.itemsize
    message.row_step = POINT.itemsize * len(points)
    message.is_dense = bool(np.isfinite(points["x"]).all())
    message.data = uint8_sequence(points.view(np.uint8))
    return message


def sample_rgb(image: ImageBGR, points: FloatArray) -> np.ndarray:
    """Sample the nearest pixel of each point (n, 2 or more), px, as 0x00RRGGBB (n,) uint32."""
    height, width = image.shape[:2]
    columns = np.clip(np.rint(points[:, 0]), 0, width - 1).astype(np.intp)
    rows = np.clip(np.rint(points[:, 1]), 0, height - 1).astype(np.intp)
    bgr = image[rows, columns].astype(np.uint32)
    return (bgr[:, 2] << 16) | (bgr[:, 1] << 8) | bgr[:, 0]


def _face_points(face: TrackedFace, image: ImageBGR | None) -> np.ndarray:
    metric = face.vertices_metric
    points = np.empty(len(metric), POINT)
    points["x"], points["y"], points["z"] = metric.T
    points["rgb"] = GRAY if image is None else sample_rgb(image, face.vertices)
    return points
