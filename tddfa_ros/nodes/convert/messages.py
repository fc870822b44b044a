"""Faces to messages and back: the one place where arrays meet ``tddfa_msgs``.

Sequences (``float32[]``) go in as :class:`array.array`: rclpy checks any other type element by element, which for a dense
mesh takes hundreds of times longer. Fixed arrays (``float32[204]``) go in as NumPy arrays of exactly that type.
"""

from __future__ import annotations

from array import array
from dataclasses import replace
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose, PoseWithCovariance
from numpy.typing import NDArray
from std_msgs.msg import Header

from tddfa_msgs.msg import FaceLandmarks, FaceMesh, FaceMeshArray, FaceTopology
from tddfa_ros.errors import CameraError, ModelError
from tddfa_ros.face import TrackedFace
from tddfa_ros.geometry.rotation import quaternion
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.nodes.convert.camera_info import intrinsics_from_message
from tddfa_ros.types import FloatArray, HeadPose, Intrinsics

NANOSECONDS = 1_000_000_000


def float32_sequence(values: Any) -> array[float]:
    """Copy numbers of any shape, row-major, into what rclpy takes as ``float32[]`` without looking at each element."""
    return _sequence("f", values, np.float32)


def uint32_sequence(values: Any) -> array[int]:
    """The same for ``uint32[]``."""
    return _sequence("I", values, np.uint32)


def uint8_sequence(values: Any) -> array[int]:
    """The same for ``uint8[]``, image and point cloud data included."""
    return _sequence("B", values, np.uint8)


def points_from(values: Any) -> FloatArray:
    """A flat array of a message as ``(n, 3)`` float32; without a copy where the message holds an array already."""
    return np.asarray(values, dtype=np.float32).reshape(-1, 3)


def stamp_ns(stamp: Time) -> int:
    """A message stamp in nanoseconds: exact, and so fit to match messages by."""
    return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec)


def stamp_seconds(stamp: Time) -> float:
    """A message stamp in seconds, as trackers and filters take it."""
    return float(stamp.sec) + float(stamp.nanosec) / NANOSECONDS


def pose_message(pose: HeadPose) -> Pose:
    """Position (m) and orientation (camera optical frame <- face frame)."""
    message = Pose()
    point, orientation = message.position, message.orientation
    point.x, point.y, point.z = (float(v) for v in pose.position)
    x, y, z, w = (float(v) for v in quaternion(pose.rotation))
    orientation.x, orientation.y, orientation.z, orientation.w = x, y, z, w
    return message


def face_mesh_message(
    face: TrackedFace,
    header: Header,
    *,
    vertices: bool = True,
    image_vertices: bool = True,
) -> FaceMesh:
    """Everything known about a face; dense arrays only where asked, for they are what costs time.

    Args:
        face: with intrinsics, real or assumed.
        header: stamp of the image and camera optical frame.
        vertices: fill ``vertices`` (metres).
        image_vertices: fill ``vertices_image`` (px).
    """
    message = FaceMesh()
    _fill_common(message, face, header)
    message.params = float32_sequence(face.params)
    message.reprojection_error = float(face.head_pose.reprojection_error)
    message.topology_id = face.model.topology_id
    message.box = _fixed(face.box, 4)
    if vertices:
        message.vertices = float32_sequence(face.vertices_metric)
    if image_vertices:
        message.vertices_image = float32_sequence(face.vertices)
    return message


def face_landmarks_message(face: TrackedFace, header: Header) -> FaceLandmarks:
    """The light version: no parameters, no vertices."""
    message = FaceLandmarks()
    _fill_common(message, face, header)
    return message


def tracked_face(message: FaceMesh, model: MorphableModel, intrinsics: Intrinsics) -> TrackedFace:
    """The face that a message was made of; dense arrays are computed anew from its parameters when they are asked.

    ``age`` is not part of the message and comes back as 0.

    Raises:
        ModelError: the message belongs to another morphable model, or its parameter vector has another length.
    """
    if message.topology_id != model.topology_id:
        raise ModelError(
            f"face meshes of topology '{message.topology_id}' arrive, but the model loaded here is '{model.name}' "
            f"with topology '{model.topology_id}': give all nodes the same model, or morphable_model"
        )
    params = np.asarray(message.params, dtype=np.float32)
    if params.shape != (model.layout.size,):
        raise ModelError(
            f"a face has {params.size} parameters, but the model '{model.name}' takes {model.layout.size}"
        )
    return TrackedFace(
        box=np.array(message.box, dtype=np.float32),
        confidence=float(message.confidence),
        params=params,
        roi=np.array(message.roi, dtype=np.float32),
        model=model,
        intrinsics=intrinsics,
        id=message.id,
        stamp=stamp_seconds(message.header.stamp),
        age=0,
    )


def tracked_faces(message: FaceMeshArray, model: MorphableModel) -> list[TrackedFace]:
    """All faces of a message, seen by the camera that the message names; see :func:`tracked_face`.

    Raises:
        ModelError: as :func:`tracked_face`.
        CameraError: the message has faces but no usable camera model.
    """
    if not message.faces:
        return []
    intrinsics = intrinsics_from_message(message.camera_info)
    if intrinsics is None:
        raise CameraError(
            "faces arrive without a camera model: camera_info of the message is empty"
        )
    if any(face.scale_source == FaceMesh.SCALE_ASSUMED_FOV for face in message.faces):
        intrinsics = replace(intrinsics, assumed=True)
    return [tracked_face(face, model, intrinsics) for face in message.faces]


def expression_coefficients(message: FaceMesh | FaceLandmarks, model: MorphableModel) -> FloatArray:
    """(E,) expression coefficients of a message, in the order of the model's names.

    Raises:
        ModelError: the message has expressions of another morphable model.
    """
    coefficients = np.asarray(message.expression, dtype=np.float32)
    if coefficients.shape != (len(model.expression_names),):
        raise ModelError(
            f"faces with {coefficients.size} expressions arrive, but the model loaded here, '{model.name}', has "
            f"{len(model.expression_names)}: give all nodes the same model, or morphable_model"
        )
    return coefficients


def topology_message(model: MorphableModel, stamp: Time) -> FaceTopology:
    """What all meshes of a model share: connectivity, landmarks, regions, names."""
    message = FaceTopology()
    message.header.stamp = stamp
    message.topology_id = model.topology_id
    message.model_name = model.name
    message.licence = model.license
    message.vertex_count = len(model.mean)
    message.triangles = uint32_sequence(model.triangles)
    message.coarse_indices = uint32_sequence(model.coarse_indices)
    message.coarse_triangles = uint32_sequence(model.coarse_triangles)
    message.uv = float32_sequence(model.uv)
    message.landmark_triangles = np.ascontiguousarray(model.landmark_triangles, dtype=np.uint32)
    message.landmark_weights = _fixed(model.landmark_weights, 204)
    message.regions = uint8_sequence(model.regions)
    message.region_names = [str(name) for name in model.region_names]
    message.expression_names = [str(name) for name in model.expression_names]
    message.shape_size = int(model.layout.shape)
    return message


def _fill_common(message: FaceMesh | FaceLandmarks, face: TrackedFace, header: Header) -> None:
    """Fields that :class:`FaceMesh` and :class:`FaceLandmarks` have in common."""
    assumed = face.intrinsics is None or face.intrinsics.assumed
    message.header = header
    message.id = face.id
    message.confidence = float(face.confidence)
    message.roi = _fixed(face.roi, 4)
    message.expression = float32_sequence(face.expression_coefficients)
    message.head_pose = PoseWithCovariance()
    message.head_pose.pose = pose_message(face.head_pose)
    message.head_pose.covariance = np.asarray(face.head_pose.covariance, np.float64).reshape(36)
    message.scale_source = message.SCALE_ASSUMED_FOV if assumed else message.SCALE_CALIBRATED
    message.landmarks = _fixed(face.landmarks_metric, 204)
    message.landmarks_image = _fixed(face.landmarks68, 204)


def _fixed(values: Any, size: int) -> FloatArray:
    return np.ascontiguousarray(values, dtype=np.float32).reshape(size)


def _sequence(code: str, values: Any, dtype: Any) -> array[Any]:
    contiguous: NDArray[Any] = np.ascontiguousarray(values, dtype=dtype)
    sequence: array[Any] = array(code)
    # The buffer goes over as one block; tobytes() would be a second copy.
    sequence.frombytes(contiguous.reshape(-1).view(np.uint8).data)
    return sequence
