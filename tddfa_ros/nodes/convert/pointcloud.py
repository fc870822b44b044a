"""Dense vertices as a colored ``sensor_msgs/PointCloud2``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from tddfa_ros.face import TrackedFace
from tddfa_ros.nodes.convert.messages import uint8_sequence
from tddfa_ros.types import FloatArray, ImageBGR

# "rgb" is 0x00RRGGBB in the bits of a float32: the convention of PCL, which RViz and Foxglove read.
POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("rgb", "<u4")])
GRAY = 0x00C0C0C0


def point_cloud(
    faces: Sequence[TrackedFace], header: Header, image: ImageBGR | None = None
) -> PointCloud2:
    """All vertices of all faces, in metres in ``header.frame_id``, colored with the picture under them.

    Args:
        faces: faces of one image.
        header: stamp and frame of that image.
        image: (H, W, 3) BGR; gray points without it. A vertex outside the picture takes the nearest pixel; a vertex that
            the head itself hides takes the color of what hides it.
    """
    points = np.concatenate([_points(face, image) for face in faces] or [np.empty(0, POINT)])
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
    """Nearest pixel under each point (n, >=2), px, as 0x00RRGGBB (n,) uint32."""
    height, width = image.shape[:2]
    columns = np.clip(np.rint(points[:, 0]), 0, width - 1).astype(np.intp)
    rows = np.clip(np.rint(points[:, 1]), 0, height - 1).astype(np.intp)
    bgr = image[rows, columns].astype(np.uint32)
    return (bgr[:, 2] << 16) | (bgr[:, 1] << 8) | bgr[:, 0]


def _points(face: TrackedFace, image: ImageBGR | None) -> np.ndarray:
    metric = face.vertices_metric
    points = np.empty(len(metric), POINT)
    points["x"], points["y"], points["z"] = metric.T
    points["rgb"] = GRAY if image is None else sample_rgb(image, face.vertices)
    return points
