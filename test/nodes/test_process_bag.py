"""Bags in, bags out: every image, in order, with the results of the graph."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: run through `make test`")
pytest.importorskip("tddfa_msgs", reason="tddfa_msgs is not built: run through `make test`")
pytest.importorskip("rosbags", reason="rosbags is not installed")

from rclpy.serialization import deserialize_message
from rosbags.highlevel import AnyReader
from support.bags import RAW, STORE, stamp_ns, write_bag
from support.disk import full_disk
from support.faces import calibration, model_parameters

from tddfa_ros.config import PipelineConfig, RegressionConfig, SmoothingConfig
from tddfa_ros.errors import ConfigError, TddfaError
from tddfa_ros.nodes.process_bag import TOPICS, process_bag

COUNT = 12


def config(**smoothing: Any) -> PipelineConfig:
    models = {name.removeprefix("regression."): v for name, v in model_parameters().items()}
    return PipelineConfig(
        regression=RegressionConfig(device="cpu", **models), smoothing=SmoothingConfig(**smoothing)
    )


def frames(astronaut: np.ndarray) -> list[np.ndarray]:
    """A camera that pans by 2 px a frame."""
    return [np.roll(astronaut, 2 * i, axis=1) for i in range(COUNT)]


def messages(bag: Path) -> dict[str, list[Any]]:
    read: dict[str, list[Any]] = {topic: [] for topic in TOPICS}
    with AnyReader([bag]) as reader:
        for connection, _, raw in reader.messages():
            kind = TOPICS[connection.topic][0]
            read[connection.topic].append(deserialize_message(bytes(raw), kind))
    return read


def stamps(found: list[Any]) -> list[int]:
    return [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in found]


@pytest.mark.parametrize("mcap", [False, True])
def test_every_image_is_processed(tmp_path: Path, astronaut: np.ndarray, mcap: bool) -> None:
    bag = write_bag(tmp_path / "in", frames(astronaut), mcap=mcap)
    result = process_bag(bag, tmp_path / "out", config())
    assert (result.images, result.skipped) == (COUNT, 0)
    found = messages(tmp_path / "out")
    assert stamps(found["/face_mesh"]) == [stamp_ns(i) for i in range(COUNT)]
    assert stamps(found["/face_landmarks"]) == stamps(found["/face_mesh"])
    assert {face.id for m in found["/face_mesh"] for face in m.faces} == {"f1"}
    assert result.faces == sum(len(m.faces) for m in found["/face_mesh"]) == COUNT
    assert len(found["/face_mesh/topology"]) == 1
    last = found["/face_landmarks"][-1].faces[0]
    moved = found["/tf"][-1].transforms[0]
    assert moved.child_frame_id == "face_f1"
    assert moved.transform.translation.z == last.head_pose.pose.position.z
    again = process_bag(bag, tmp_path / "again", config())
    assert again == result
    assert messages(tmp_path / "again") == found, "the same bag gives the same messages"


def test_calibration_and_vertices(tmp_path: Path, astronaut: np.ndarray) -> None:
    from rclpy.serialization import serialize_message
    from rosbags.rosbag2 import Writer

    from tddfa_msgs.msg import FaceMesh

    height, width = astronaut.shape[:2]
    with Writer(tmp_path / "in", version=9) as writer:
        kinds = {"/camera/camera_info": "CameraInfo", RAW: "Image"}
        open_ = {
            topic: writer.add_connection(topic, f"sensor_msgs/msg/{kind}", typestore=STORE)
            for topic, kind in kinds.items()
        }
        from support.faces import image_message, stamped

        for i in range(4):
            info = stamped(calibration(width, height, 700.0), i / 30 + 1)
            image = image_message(astronaut, i / 30 + 1)
            for topic, message in zip(kinds, (info, image), strict=True):
                writer.write(open_[topic], 10**9 + i, serialize_message(message))
    process_bag(tmp_path / "in", tmp_path / "out", config(), vertices=True)
    found = messages(tmp_path / "out")
    face = found["/face_mesh"][-1].faces[0]
    assert face.scale_source == FaceMesh.SCALE_CALIBRATED
    assert found["/face_mesh"][-1].camera_info.k[0] == 700.0
    assert len(face.vertices) == 3 * found["/face_mesh/topology"][0].vertex_count


def test_existing_bag_is_not_overwritten(tmp_path: Path, astronaut: np.ndarray) -> None:
    bag = write_bag(tmp_path / "in", [astronaut])
    (tmp_path / "out").mkdir()
    with pytest.raises(ConfigError, match="exists"):
        process_bag(bag, tmp_path / "out", config())
    assert list((tmp_path / "out").iterdir()) == []


def test_full_disk_leaves_no_bag(tmp_path: Path, astronaut: np.ndarray) -> None:
    bag = write_bag(tmp_path / "in", frames(astronaut))
    for after in (500, 30_000):  # while opening, and while writing
        with (
            full_disk(after),
            pytest.raises(TddfaError, match=r"cannot write .*out: File too large"),
        ):
            process_bag(bag, tmp_path / "out", config(), vertices=True)
        assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_bag_of_interrupted_run_is_complete(
    tmp_path: Path, astronaut: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    bag = write_bag(tmp_path / "in", frames(astronaut))
    monkeypatch.setattr("tddfa_ros.nodes.process_bag.transform", interrupt)
    with pytest.raises(KeyboardInterrupt):
        process_bag(bag, tmp_path / "out", config())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]
    assert len(messages(tmp_path / "out")["/face_mesh"]) > 0


def test_command(tmp_path: Path, astronaut: np.ndarray) -> None:
    if model_parameters():
        pytest.skip("the command runs with the models of the package")
    bag, output = write_bag(tmp_path / "in", [astronaut, astronaut]), tmp_path / "out"
    command = [sys.executable, "-m", "tddfa_ros.nodes.process_bag"]
    done = subprocess.run(
        [*command, str(bag), "-o", str(output)], capture_output=True, text=True, check=False
    )
    faces = sum(len(m.faces) for m in messages(output)["/face_mesh"])
    assert (done.returncode, done.stdout) == (0, f"2 images, {faces} faces -> {output}\n")
    wrong = subprocess.run(
        [*command, str(tmp_path / "none"), "-o", str(tmp_path / "o2")],
        capture_output=True,
        text=True,
    )
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: ")
    assert "Traceback" not in wrong.stderr
