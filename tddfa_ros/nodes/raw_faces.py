"""Faces of one image on their way from ``face_node`` to ``smoothing_node``, as objects or as a message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from tddfa_msgs.msg import FaceMeshArray
from tddfa_ros.face import TrackedFace
from tddfa_ros.geometry.scale import HEAD_SIZE_SIGMA, HeadScale
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.nodes.convert.messages import check_topology, tracked_faces
from tddfa_ros.nodes.ros.intra_process import IntraProcessTopic


@dataclass
class RawFaces:
    """The content of a ``face_mesh_raw`` message without its serialization.

    Attributes:
        header: stamp and frame_id of the image.
        camera_info: camera model of metric values.
        faces: faces of the image, oldest track first.
    """

    header: Header
    camera_info: CameraInfo
    faces: Sequence[TrackedFace]


RawFacesTopic: TypeAlias = IntraProcessTopic[RawFaces]
"""Replaces the topic ``face_mesh_raw`` where ``face_node`` and ``smoothing_node`` run in one process."""


def received_faces(received: RawFaces | FaceMeshArray, model: MorphableModel) -> list[TrackedFace]:
    """Return the faces of a message, or of the same process, with the same values.

    Raises:
        ModelError: the faces have the topology of another morphable model than ``model``.
        CameraError: the faces have no camera model or no metric pose.
    """
    if isinstance(received, FaceMeshArray):
        return tracked_faces(received, model)
    for face in received.faces:
        check_topology(face.model.topology_id, model)
    return [_as_received(face) for face in received.faces]


def _as_received(face: TrackedFace) -> TrackedFace:
    """Return a face as :func:`tracked_face` restores it from its message: scale and covariance are those of its own metric fit."""
    fit = face.metric_fit
    measured = face.scale is not None and face.scale.measured
    return face.replace(
        box=face.box.astype(np.float32),
        confidence=float(np.float32(face.confidence)),
        roi=face.roi.astype(np.float32),
        crop_sigma=None,
        scale=HeadScale(fit.scale, HEAD_SIZE_SIGMA, measured),
        pose_covariance=fit.head_pose.covariance,
        age=0,
    )
