"""Vertices of received ``FaceMesh`` messages, for subscribers: any encoding, and image coordinates.

from tddfa_ros.nodes.convert.vertices import image_vertices, metric_vertices
"""

from __future__ import annotations

import numpy as np

from tddfa_msgs.msg import FaceMesh
from tddfa_ros.nodes.convert.messages import points_from
from tddfa_ros.types import FloatArray


def metric_vertices(message: FaceMesh) -> FloatArray:
    """Return the dense vertices of a face.

    Args:
        message: the face, with ``vertices`` or ``vertices_float16``.

    Returns:
        (N, 3) float32, m in ``header.frame_id``: a view of ``vertices``, or decoded from ``vertices_float16``. (0, 3) when the
        publisher fills neither (parameter ``publish_vertices``).
    """
    if len(message.vertices) or not len(message.vertices_float16):
        return points_from(message.vertices)
    position = message.head_pose.pose.position
    center = np.array([position.x, position.y, position.z], np.float32)
    half = np.asarray(message.vertices_float16, dtype=np.uint16).view(np.float16)
    return half.reshape(-1, 3).astype(np.float32) + center


def image_vertices(message: FaceMesh) -> FloatArray:
    """Return the dense vertices of a face in the image, without ``vertices_image`` in the message.

    Image and metric coordinates of a face are both affine functions of the same head, so that one follows from the other by an affine
    map, which the 68 landmarks in both coordinates determine.

    Args:
        message: the face, with ``vertices`` or ``vertices_float16``.

    Returns:
        (N, 3) float32, px, z relative, nearer = larger: ``vertices_image`` to within rounding, 0.01 px for ``float32``. (0, 3) when the
        publisher fills no vertices.
    """
    if len(message.vertices_image):
        return points_from(message.vertices_image)
    vertices = metric_vertices(message)
    if not len(vertices):
        return vertices
    metric = points_from(message.landmarks).astype(np.float64)
    image = points_from(message.landmarks_image).astype(np.float64)
    metric_center, image_center = metric.mean(axis=0), image.mean(axis=0)
    linear, *_ = np.linalg.lstsq(metric - metric_center, image - image_center, rcond=None)
    shift = image_center - metric_center @ linear
    return np.asarray(vertices @ linear.astype(np.float32) + shift.astype(np.float32))
