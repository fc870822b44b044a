"""Convert faces to ``tddfa_msgs`` messages and back.

Sequences (``float32[]``) are set as :class:`array.array`: rclpy checks other types element by element, which takes hundreds of times
longer for a dense mesh. Fixed-size arrays (``float32[204]``) are set as NumPy arrays of the same dtype.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose, PoseWithCovariance
from numpy.typing import NDArray
from std_msgs.msg import Header

from tddfa_msgs.msg import FaceLandmarks, FaceMesh, FaceMeshArray, FaceTopology
from tddfa_ros.errors import CameraError, ModelError
from tddfa_ros.face import TrackedFace, grouped
from tddfa_ros.geometry.rotation import quaternion
from tddfa_ros.geometry.scale import HEAD_SIZE_SIGMA, HeadScale
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.nodes.convert.camera_info import intrinsics_from_message
from tddfa_ros.nodes.shared_options import FLOAT16, FLOAT32
from tddfa_ros.types import DoubleArray, FloatArray, HeadPose, Intrinsics

NANOSECONDS = 1_000_000_000

SCALE_DEPTH = 2
"""``scale_source`` of a head measured by a depth image; the constant of the same name in the messages."""


def float32_sequence(values: Any) -> array[float]:
    """Copy values of any shape, row-major, to the array type that rclpy accepts as ``float32[]`` without a check per element."""
    return _sequence("f", values, np.float32)


def uint32_sequence(values: Any) -> array[int]:
    """Copy values to ``uint32[]``; see :func:`float32_sequence`."""
    return _sequence("I", values, np.uint32)


def float16_sequence(values: Any) -> array[int]:
    """Round values to half precision and copy their bits to ``uint16[]``; see :func:`float32_sequence`."""
    return _sequence("H", values, np.float16)


def uint8_sequence(values: Any) -> array[int]:
    """Copy values to ``uint8[]``, such as image data; see :func:`float32_sequence`."""
    return _sequence("B", values, np.uint8)


def points_from(values: Any) -> FloatArray:
    """View a flat message array as (n, 3) float32, without a copy where possible."""
    return np.asarray(values, dtype=np.float32).reshape(-1, 3)


def stamp_ns(stamp: Time) -> int:
    """Convert a stamp to nanoseconds, exact for matching messages."""
    return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec)


def stamp_seconds(stamp: Time) -> float:
    """Convert a stamp to seconds."""
    return float(stamp.sec) + float(stamp.nanosec) / NANOSECONDS


def pose_message(pose: HeadPose) -> Pose:
    """Convert a head pose (camera optical frame <- face frame, m) to a message."""
    message = Pose()
    point, orientation = message.position, message.orientation
    point.x, point.y, point.z = (float(v) for v in pose.position)
    x, y, z, w = (float(v) for v in quaternion(pose.rotation))
    orientation.x, orientation.y, orientation.z, orientation.w = x, y, z, w
    return message


def common_fields(face: TrackedFace, header: Header) -> Mapping[str, Any]:
    """Return the fields that :class:`FaceMesh` and :class:`FaceLandmarks` share, to be given to both for the same face."""
    assumed = face.intrinsics is None or face.intrinsics.assumed
    head_pose = PoseWithCovariance()
    head_pose.pose = pose_message(face.head_pose)
    head_pose.covariance = np.asarray(face.head_pose.covariance, np.float64).reshape(36)
    if face.scale is not None and face.scale.measured:
        scale_source = SCALE_DEPTH
    else:
        scale_source = FaceMesh.SCALE_ASSUMED_FOV if assumed else FaceMesh.SCALE_CALIBRATED
    return {
        "header": header,
        "id": face.id,
        "confidence": float(face.confidence),
        "roi": _fixed(face.roi, 4),
        "expression": float32_sequence(face.expression_coefficients),
        "head_pose": head_pose,
        "scale_source": scale_source,
        "landmarks": _fixed(face.landmarks_metric, 204),
        "landmarks_image": _fixed(face.landmarks68, 204),
    }


def face_mesh_message(
    face: TrackedFace,
    header: Header,
    *,
    vertices: bool = True,
    image_vertices: bool = True,
    encoding: str = FLOAT32,
    common: Mapping[str, Any] | None = None,
) -> FaceMesh:
    """Convert a face to a message.

    Args:
        face: the face, with calibrated or assumed intrinsics.
        header: stamp of the image and camera optical frame.
        vertices: whether to fill ``vertices`` (m), which takes most of the time.
        image_vertices: whether to fill ``vertices_image`` (px).
        encoding: ``float32``, or ``float16`` to fill ``vertices_float16`` instead of ``vertices``.
        common: the result of :func:`common_fields`, if another message has needed it; shared, not copied.
    """
    message = FaceMesh(**(common or common_fields(face, header)))
    message.params = float32_sequence(face.params)
    message.reprojection_error = float(face.head_pose.reprojection_error)
    message.topology_id = face.model.topology_id
    message.box = _fixed(face.box, 4)
    if vertices and encoding == FLOAT16:
        # Relative to the face: at 1 m itself the steps of half precision are 1 mm.
        center = face.head_pose.position.astype(np.float32)
        message.vertices_float16 = float16_sequence(face.vertices_metric - center)
    elif vertices:
        message.vertices = float32_sequence(face.vertices_metric)
    if image_vertices:
        message.vertices_image = float32_sequence(face.vertices)
    return message


def face_landmarks_message(
    face: TrackedFace, header: Header, common: Mapping[str, Any] | None = None
) -> FaceLandmarks:
    """Convert a face to a message without parameters and vertices; see :func:`face_mesh_message`."""
    return FaceLandmarks(**(common or common_fields(face, header)))


def tracked_face(message: FaceMesh, model: MorphableModel, intrinsics: Intrinsics) -> TrackedFace:
    """Convert a message back to a face; dense arrays are reconstructed from its parameters on demand.

    The metric scale and the covariance of the head pose are those of the message, also after smoothing: errors of the network and of
    the scale last for many frames, and do not average out. The message has no ``age``; it is set to 0.

    Raises:
        ModelError: the message has the topology of another morphable model, or a parameter vector of another length.
    """
    check_topology(message.topology_id, model)
    params = np.asarray(message.params, dtype=np.float32)
    if params.shape != (model.layout.size,):
        raise ModelError(
            f"received a face with {params.size} parameters, but the model '{model.name}' has {model.layout.size}"
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
        scale=_scale_of(message, model, params),
        pose_covariance=_covariance_of(message),
    )


def check_topology(topology_id: str, model: MorphableModel) -> None:
    """Check that faces belong to a model.

    Raises:
        ModelError: they have the topology of another morphable model.
    """
    if topology_id != model.topology_id:
        raise ModelError(
            f"received face meshes of topology '{topology_id}', but the loaded model '{model.name}' has topology "
            f"'{model.topology_id}': set the same model or morphable_model for all nodes"
        )


def _scale_of(message: FaceMesh, model: MorphableModel, params: FloatArray) -> HeadScale | None:
    """Return the scale of the head in a message: the size of its metric landmarks relative to those of its parameters."""
    placed = points_from(message.landmarks).astype(np.float64)
    head = model.head_landmarks(params).astype(np.float64)
    sizes = [np.linalg.norm(points - points.mean(axis=0)) for points in (placed, head)]
    if not (np.isfinite(sizes).all() and min(sizes) > 1e-4):
        return None
    measured = message.scale_source == SCALE_DEPTH
    return HeadScale(float(sizes[0] / sizes[1]), HEAD_SIZE_SIGMA, measured)


def _covariance_of(message: FaceMesh) -> DoubleArray | None:
    """Return the covariance (6, 6) of a message; None where it is unknown, zero (geometry_msgs) or not finite."""
    covariance = np.array(message.head_pose.covariance, dtype=np.float64).reshape(6, 6)
    return covariance if covariance.any() and np.isfinite(covariance).all() else None


def tracked_faces(message: FaceMeshArray, model: MorphableModel) -> list[TrackedFace]:
    """Convert a message to faces with the camera model of the message; see :func:`tracked_face`.

    Raises:
        ModelError: see :func:`tracked_face`.
        CameraError: the message has faces but no usable camera model.
    """
    if not message.faces:
        return []
    intrinsics = intrinsics_from_message(message.camera_info)
    if intrinsics is None:
        raise CameraError(
            "received faces without a camera model: camera_info of the message is empty"
        )
    if any(face.scale_source == FaceMesh.SCALE_ASSUMED_FOV for face in message.faces):
        intrinsics = replace(intrinsics, assumed=True)
    return grouped([tracked_face(face, model, intrinsics) for face in message.faces])


def expression_coefficients(message: FaceMesh | FaceLandmarks, model: MorphableModel) -> FloatArray:
    """Return the expression coefficients (E,) of a message, in the order of the model's names.

    Raises:
        ModelError: the message has the expressions of another morphable model.
    """
    coefficients = np.asarray(message.expression, dtype=np.float32)
    if coefficients.shape != (len(model.expression_names),):
        raise ModelError(
            f"received faces with {coefficients.size} expression coefficients, but the loaded model '{model.name}' has "
            f"{len(model.expression_names)}: set the same model or morphable_model for all nodes"
        )
    return coefficients


def topology_message(model: MorphableModel, stamp: Time) -> FaceTopology:
    """Convert the topology of a model to a message: connectivity, landmarks, regions, names."""
    message = FaceTopology()
    message.header.stamp = stamp
    message.topology_id = model.topology_id
    message.model_name = model.name
    message.license = model.license
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


def _fixed(values: Any, size: int) -> FloatArray:
    return np.ascontiguousarray(values, dtype=np.float32).reshape(size)


def _sequence(code: str, values: Any, dtype: Any) -> array[Any]:
    contiguous: NDArray[Any] = np.ascontiguousarray(values, dtype=dtype)
    sequence: array[Any] = array(code)
    # Copy the buffer once; tobytes() would copy it twice.
    sequence.frombytes(contiguous.reshape(-1).view(np.uint8).data)
    return sequence
