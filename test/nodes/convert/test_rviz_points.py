from __future__ import annotations

import numpy as np
import pytest
from support.synthetic_model import frontal_params, synthetic_model

pytest.importorskip("tddfa_msgs", reason="tddfa_msgs is not built: run through `make test`")

from rclpy.serialization import serialize_message
from std_msgs.msg import Header

from tddfa_ros.face import TrackedFace
from tddfa_ros.nodes.convert.rviz import GRAY, point_cloud, sample_rgb
from tddfa_ros.types import Intrinsics

HEADER = Header(frame_id="camera")


@pytest.fixture
def face() -> TrackedFace:
    model = synthetic_model()
    return TrackedFace(
        box=np.array([200.0, 100, 320, 260]),
        confidence=0.9,
        params=frontal_params(model),
        roi=np.array([240.0, 160, 400, 320]),
        model=model,
        intrinsics=Intrinsics.from_fov(640, 480),
        id="f1",
    )


def test_points_are_metric_vertices_with_the_color_under_them(face: TrackedFace) -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    image[:, :320] = (10, 20, 30)  # BGR
    image[:, 320:] = (40, 50, 60)
    cloud = point_cloud([face, face], HEADER, image)
    count = len(face.model.mean)
    assert (cloud.width, cloud.height, cloud.point_step) == (2 * count, 1, 16)
    assert cloud.row_step == len(cloud.data) == 16 * 2 * count
    assert {f.name: (f.offset, f.datatype, f.count) for f in cloud.fields} == {
        "x": (0, 7, 1),
        "y": (4, 7, 1),
        "z": (8, 7, 1),
        "rgb": (12, 7, 1),
    }
    data = np.frombuffer(cloud.data, np.float32).reshape(2, count, 4)
    np.testing.assert_array_equal(data[0, :, :3], face.vertices_metric)
    np.testing.assert_array_equal(data[0].view(np.uint32), data[1].view(np.uint32))
    colors = data[0, :, 3].copy().view(np.uint32)
    left = np.rint(face.vertices[:, 0]) < 320
    assert set(colors[left]) == {0x1E140A}
    assert set(colors[~left]) == {0x3C3228}
    assert cloud.is_dense
    serialize_message(cloud)


def test_points_without_image_are_gray(face: TrackedFace) -> None:
    data = np.frombuffer(point_cloud([face], HEADER).data, np.uint32).reshape(-1, 4)
    assert set(data[:, 3]) == {GRAY}


def test_empty_point_cloud_has_fields() -> None:
    cloud = point_cloud([], HEADER, np.zeros((4, 4, 3), np.uint8))
    assert (cloud.width, cloud.height, len(cloud.data), len(cloud.fields)) == (0, 1, 0, 4)


def test_points_outside_image_take_nearest_pixel() -> None:
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    points = np.array([[-5, -5, 0], [99, 99, 0], [0.6, 0.4, 0]], np.float32)
    corners = [image[0, 0], image[1, 2], image[0, 1]]
    expected = [int(b) | int(g) << 8 | int(r) << 16 for b, g, r in corners]
    np.testing.assert_array_equal(sample_rgb(image, points), expected)
