"""``tddfa watch`` as a process of its own, in a real graph over DDS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.exports import export_face
from support.faces import model_parameters
from support.graph import NodeProcess

pytest.importorskip("rclpy", reason="no ROS 2 here: run through `make test`")
pytest.importorskip("tddfa_msgs", reason="tddfa_msgs is not built: run through `make test`")

from std_msgs.msg import Header, String

from tddfa_msgs.msg import FaceLandmarksArray, FaceMeshArray, FaceTopology

pytestmark = pytest.mark.ros


class Watcher:
    """``tddfa watch`` with its two streams apart."""

    def __init__(self, graph: Any, *arguments: str) -> None:
        self.errors = graph.folder / "watch.err"
        self.lines = graph.folder / "watch.out"
        command = [sys.executable, "-m", "tddfa_ros", "watch", *arguments]
        with self.errors.open("wb") as errors, self.lines.open("wb") as lines:
            self.process = subprocess.Popen(command, stdout=lines, stderr=errors, env=os.environ)

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def output(self) -> str:
        return self.lines.read_text(encoding="utf-8")


@pytest.fixture
def watch(graph: Any) -> Iterator[Any]:
    started: list[Watcher] = []

    def start(*arguments: str) -> Watcher:
        started.append(Watcher(graph, *arguments))
        return started[-1]

    yield start
    for watcher in started:
        if not watcher.ended:
            watcher.process.kill()
            watcher.process.wait(10)


def publish_topology(graph: Any, topic: str) -> None:
    from tddfa_ros.nodes.convert.messages import topology_message
    from tddfa_ros.nodes.face_publisher import LATCHED_QOS

    stamp = graph.node.get_clock().now().to_msg()
    publisher = graph.publisher(FaceTopology, topic, LATCHED_QOS, subscribers=0)
    publisher.publish(topology_message(export_face().model, stamp))


def test_values_of_a_message_in_a_namespace_as_json(graph: Any, watch: Any) -> None:
    from tddfa_ros.nodes.convert.messages import face_landmarks_message

    face = export_face(yaw_deg=25, expression=(0.7,))
    publish_topology(graph, "/left/face_mesh/topology")
    publisher = graph.publisher(FaceLandmarksArray, "/left/face_landmarks", subscribers=0)
    watcher = watch("--namespace", "left", "--json", "--count", "3")

    def again() -> bool:
        header = Header(frame_id="camera", stamp=graph.node.get_clock().now().to_msg())
        faces = [face_landmarks_message(face, header)]
        publisher.publish(FaceLandmarksArray(header=header, faces=faces))
        return watcher.ended

    graph.wait_until(again, 90)
    assert watcher.process.returncode == 0
    # on a loaded machine discovery takes longer than the time after which it says that it waits
    assert all(
        line.startswith("waiting for /left/") for line in watcher.errors.read_text().splitlines()
    )
    reports = [json.loads(line) for line in watcher.output.splitlines()]
    assert len(reports) == 3
    assert {(r["topic"], r["frame_id"]) for r in reports} == {("/left/face_landmarks", "camera")}
    assert all(0 <= r["latency_ms"] < 5000 for r in reports)
    assert reports[-1]["rate"] > 1
    (shown,) = reports[-1]["faces"]
    position = face.head_pose.position
    assert shown["id"] == "f1"
    assert shown["distance"] == pytest.approx(np.linalg.norm(position), abs=1e-3)
    np.testing.assert_allclose(shown["position"], position, atol=1e-3)
    out = face.head_pose.rotation[:, 0]  # where the nose points: camera axes, x right, y down
    yaw, pitch = np.degrees([np.arctan2(out[0], -out[2]), np.arcsin(out[1])])
    assert shown["yaw"] == pytest.approx(yaw, abs=0.05) and yaw > 15
    assert shown["pitch"] == pytest.approx(pitch, abs=0.05)
    assert abs(shown["roll"]) < 1
    names = face.model.expression_names
    assert list(shown["expression"]) == list(names)
    assert shown["expression"][names[0]] == pytest.approx(face.expression[names[0]], abs=1e-3)


def test_the_real_graph_is_shown_line_by_line_until_an_interrupt(
    graph: Any, watch: Any, tmp_path: Path
) -> None:
    graph.start("image_source_node", parameters={"width": 320, "height": 240})
    graph.start("face_node", parameters=model_parameters())
    watcher = watch("--topic", "face_mesh")
    graph.wait_until(lambda: watcher.output.count(" f1 ") > 2 or watcher.ended, 120)
    watcher.process.send_signal(2)
    assert watcher.process.wait(20) == 0
    lines = watcher.output.splitlines()
    assert lines[0].split()[:3] == ["stamp", "rate", "latency"]
    first = next(line for line in lines if " f1 " in line).split()
    assert 0.2 < float(first[6]) < 3 and first[7] == "m"  # the demo's face, at arm's length or so
    assert all(abs(float(angle)) < 60 for angle in first[8:11])
    assert "Traceback" not in watcher.errors.read_text()


def test_a_topic_of_another_type_is_refused(graph: Any, watch: Any) -> None:
    publisher = graph.publisher(String, "/face_landmarks", subscribers=0)
    watcher = watch("--once")
    graph.wait_until(lambda: publisher.publish(String()) or watcher.ended, 60)
    assert watcher.process.returncode == 2
    error = watcher.errors.read_text().splitlines()[-1]
    sentence = (
        "error: /face_landmarks has type std_msgs/msg/String; choose a topic of type tddfa_msgs"
    )
    assert error.startswith(sentence)


def test_silence_ends_after_the_timeout(graph: Any, watch: Any) -> None:
    watcher = watch("--topic", "nothing", "--timeout", "0.5")
    assert watcher.process.wait(60) == 2
    error = watcher.errors.read_text()
    assert error.startswith("error: no message on /nothing for 0.5 s; ") and error.count("\n") == 1


def test_a_reader_that_leaves_ends_it_without_a_complaint(graph: Any, tmp_path: Path) -> None:
    publisher = graph.publisher(FaceMeshArray, "/face_mesh", subscribers=0)
    script = f"set -o pipefail; {sys.executable} -m tddfa_ros watch --topic face_mesh | head -1"
    process = NodeProcess(["bash", "-c", script], tmp_path / "pipe.log")
    graph.processes.append(process)
    graph.wait_until(lambda: publisher.publish(FaceMeshArray()) or not process.alive, 60)
    assert process.wait() == 0
    # on a slow machine a note that it waits for the first message comes before
    lines = [line for line in process.output.splitlines() if not line.startswith("waiting for ")]
    assert len(lines) == 1 and lines[0].split()[0] == "stamp"
