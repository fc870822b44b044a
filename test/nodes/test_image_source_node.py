"""``image_source_node`` in a process of its own, over DDS."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: run through `make test`")

from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from tddfa_ros.nodes.convert.camera_info import intrinsics_from_message
from tddfa_ros.sources import demo_camera
from tddfa_ros.sources.image_messages import to_bgr

pytestmark = pytest.mark.ros

NODE = "image_source_node"
SENSOR = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images of 64x48 px, gray 60, 120 and 180."""
    path = tmp_path / "images"
    path.mkdir()
    for i in (1, 2, 3):
        cv2.imwrite(str(path / f"{i}.png"), np.full((48, 64, 3), 60 * i, np.uint8))
    return path


def stamp(message: Any) -> float:
    return float(message.header.stamp.sec + 1e-9 * message.header.stamp.nanosec)


def test_demo_source_publishes_camera_info(graph: Any, astronaut_path: Path) -> None:
    images = graph.collect(Image, "image_raw", SENSOR)
    infos = graph.collect(CameraInfo, "camera_info", SENSOR)
    before = time.time()
    process = graph.start(NODE, parameters={"width": 320, "height": 240, "frame_id": "eye"})
    graph.wait_until(lambda: len(images) >= 5 and len(infos) >= 5, 60)
    assert process.stop() == 0
    assert "Traceback" not in process.output

    stamps = [stamp(m) for m in images]
    assert stamps == sorted(set(stamps))
    assert before < stamps[0] <= stamps[-1] < time.time()
    for message in (*images, *infos):
        assert message.header.frame_id == "eye"
        assert (message.width, message.height) == (320, 240)
    assert {stamp(m) for m in images} & {stamp(m) for m in infos}
    expected = demo_camera(320, 240)
    camera = intrinsics_from_message(infos[0])
    assert camera is not None
    np.testing.assert_allclose(camera.k, expected.intrinsics.k)

    # What is shown is what the virtual camera sees at some moment soon after its start.
    likeness = []
    shown = to_bgr(images[0]).astype(float)
    for seconds in np.arange(0.0, 8.0, 1 / 60):
        frame = expected.read(float(seconds))
        assert frame is not None
        likeness.append(np.abs(frame.image - shown).mean())
    assert min(likeness) < 3.0
    assert max(likeness) > 10.0, "any view would do"


def test_compressed_and_raw_images_match(graph: Any, astronaut_path: Path) -> None:
    images = graph.collect(Image, "image_raw")
    jpegs = graph.collect(CompressedImage, "image_raw/compressed")
    graph.start(NODE, parameters={"image_transport": "compressed", "width": 320, "height": 240})

    def pairs() -> list[tuple[Any, Any]]:
        by_stamp = {stamp(m): m for m in list(images)}
        return [(by_stamp[stamp(j)], j) for j in list(jpegs) if stamp(j) in by_stamp]

    graph.wait_until(pairs, 60)
    raw, jpeg = pairs()[0]
    assert len(jpeg.data) < len(raw.data) / 4
    assert np.abs(to_bgr(raw).astype(int) - to_bgr(jpeg)).mean() < 4


def test_topics_are_remapped_and_compressed_is_appended(graph: Any, folder: Path) -> None:
    jpegs = graph.collect(CompressedImage, "/robot/eye/compressed")
    infos = graph.collect(CameraInfo, "/robot/calibration")
    graph.start(
        NODE,
        parameters={"source": str(folder), "image_transport": "compressed"},
        remap={"image_raw": "eye", "camera_info": "calibration"},
        namespace="/robot",
    )
    graph.wait_until(lambda: jpegs and infos, 60)
    assert intrinsics_from_message(infos[0]) is None, "nobody knows the camera of an image file"
    assert (infos[0].width, infos[0].height) == (64, 48)


def test_folder_plays_once_from_first_subscriber(graph: Any, folder: Path) -> None:
    process = graph.start(
        NODE,
        parameters={"source": str(folder), "loop": False, "rate": 10.0},
        wait_for=f"/{NODE}",
    )
    graph.spin(1.0)
    assert process.alive, "no subscriber yet"
    images = graph.collect(Image, "image_raw")
    graph.wait_until(lambda: not process.alive, 60)
    graph.spin(0.3)
    assert [int(to_bgr(m)[0, 0, 0]) for m in images] == [60, 120, 180]
    assert process.wait() == 0
    assert "Traceback" not in process.output


def test_loop_restarts_and_logs_unreadable_image_once(graph: Any, folder: Path) -> None:
    (folder / "2.png").write_bytes(b"broken")
    images = graph.collect(Image, "image_raw")
    process = graph.start(NODE, parameters={"source": str(folder), "rate": 60.0})
    graph.wait_until(lambda: len(images) >= 12, 60)
    assert {int(to_bgr(m)[0, 0, 0]) for m in images} == {60, 180}
    assert process.stop(signal.SIGTERM) == 0
    assert process.output.count("2.png cannot be read") == 1


def test_rate(graph: Any, folder: Path) -> None:
    """Over stamps, which a busy machine can only spread: never more images than asked for."""
    images = graph.collect(Image, "image_raw")
    graph.start(NODE, parameters={"source": str(folder), "rate": 20.0})
    graph.wait_until(lambda: len(images) >= 21, 60)
    assert stamp(images[20]) - stamp(images[0]) > 0.95


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"source": "97"}, "there is no camera /dev/video97"),
        ({"source": "nowhere.mp4"}, "there is no camera, video, image or folder 'nowhere.mp4'"),
        ({"rate": -1.0}, "between 0.0 and 240.0"),
        ({"image_transport": "theora"}, "one of raw, compressed"),
    ],
)
def test_unusable_source_logs_one_line(
    graph: Any, parameters: dict[str, Any], sentence: str
) -> None:
    process = graph.start(NODE, parameters=parameters)
    assert process.wait() == 2
    errors = [line for line in process.output.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert sentence in errors[0]
    assert "Traceback" not in process.output


def test_unreadable_file_ends_node(graph: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"no image")
    process = graph.start(NODE, parameters={"source": str(path)})
    assert process.wait() == 2
    assert "a.png cannot be read as an image" in process.output
    assert "Traceback" not in process.output


def test_sigint_while_waiting_for_a_subscriber(graph: Any, folder: Path) -> None:
    process = graph.start(
        NODE, parameters={"source": str(folder), "loop": False}, wait_for=f"/{NODE}"
    )
    assert process.stop() == 0
    assert "Traceback" not in process.output


def test_truncated_video_with_any_name_is_said_and_published(graph: Any, tmp_path: Path) -> None:
    whole = tmp_path / "whole.avi"
    writer = cv2.VideoWriter(str(whole), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (64, 48))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no video")
    for i in range(40):
        writer.write(np.full((48, 64, 3), 5 * i, np.uint8))
    writer.release()
    cut = tmp_path / "half José.avi"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    images = graph.collect(Image, "image_raw", SENSOR)
    process = graph.start(NODE, parameters={"source": str(cut)})
    graph.wait_until(lambda: len(images) >= 3, 60)
    assert process.stop() == 0
    assert process.output.count("is truncated") == 1 and "Traceback" not in process.output
