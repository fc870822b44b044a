"""``avatar_node`` in the graph: meshes in, and what receivers of all kinds get, a browser included."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.browser import Page, three_folder
from support.faces import model_parameters

pytest.importorskip("rclpy", reason="no ROS 2 here: run through `make test`")
pytest.importorskip("tddfa_msgs", reason="tddfa_msgs is not built: run through `make test`")

from sensor_msgs.msg import JointState

from tddfa_msgs.msg import FaceLandmarksArray
from tddfa_ros.arkit import ARKIT_NAMES, COEFFICIENT_RANGES
from tddfa_ros.avatar.livelink import decode

pytestmark = pytest.mark.ros
WINK, JAW = ARKIT_NAMES.index("eyeBlinkLeft"), ARKIT_NAMES.index("jawOpen")


def winking_face() -> Any:
    """The default head with one eye shut and the mouth open, as the network would say it."""
    from support.exports import export_face

    from tddfa_ros.model_store.store import default_store
    from tddfa_ros.morphable import MorphableModel

    like = export_face()
    model = MorphableModel.load(default_store().path("tddfa-head"))
    params = np.zeros(model.layout.size, np.float32)
    params[:12] = like.params[:12]
    expression = params[model.layout.expression_slice]
    expression[model.expression_names.index("eyeBlinkLeft")] = COEFFICIENT_RANGES["eyeBlink"].full
    expression[model.expression_names.index("jawOpen")] = COEFFICIENT_RANGES["jawOpen"].full
    return replace(like, model=model, params=params)


def publish_until(graph: Any, face: Any, condition: Any) -> None:
    from std_msgs.msg import Header

    from tddfa_ros.nodes.convert.messages import face_landmarks_message
    from tddfa_ros.nodes.face_publisher import OUTPUT_QOS

    header = Header(frame_id="camera_optical_frame")
    header.stamp.sec = 1000
    faces = [face_landmarks_message(face, header)]
    message = FaceLandmarksArray(header=header, faces=faces)
    publisher = graph.publisher(FaceLandmarksArray, "face_landmarks", OUTPUT_QOS)

    def again() -> bool:
        publisher.publish(message)
        return bool(condition())

    graph.wait_until(again, 90)


def test_wink_reaches_ros_and_live_link(graph: Any) -> None:
    model_parameters()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.setblocking(False)
        target = f"127.0.0.1:{receiver.getsockname()[1]}"
        process = graph.start("avatar_node", parameters={"livelink": target, "subject": "Ada"})
        joints = graph.collect(JointState, "face_blendshapes")
        packets: list[bytes] = []

        def both() -> bool:
            with contextlib.suppress(BlockingIOError):
                packets.append(receiver.recv(4096))
            return bool(joints and packets)

        publish_until(graph, winking_face(), both)
    message, packet = joints[0], decode(packets[0])
    assert tuple(message.name) == ARKIT_NAMES
    assert message.header.frame_id == "face_f1" and message.header.stamp.sec == 1000
    wanted = np.zeros(52)
    wanted[WINK], wanted[JAW] = message.position[WINK], 1
    assert message.position[WINK] > 0.95
    np.testing.assert_allclose(message.position, wanted, atol=1e-6)
    assert packet.subject == "Ada"
    np.testing.assert_allclose(packet.blendshapes, message.position, atol=1e-6)
    assert process.stop() == 0 and "Traceback" not in process.output


def test_avatar_node_idles_without_subscribers(graph: Any) -> None:
    model_parameters()
    node = graph.start(
        "avatar_node", parameters={"gaze": True}, wait_for="/avatar_node", timeout=90
    )

    def inputs() -> list[int]:
        return [graph.node.count_subscribers(t) for t in ("/face_landmarks", "/image_raw")]

    graph.spin(1.0)
    assert inputs() == [0, 0]
    joints = graph.node.create_subscription(JointState, "face_blendshapes", print, 10)
    graph.wait_until(lambda: inputs() == [1, 1])
    graph.node.destroy_subscription(joints)
    graph.wait_until(lambda: inputs() == [0, 0])
    assert node.stop() == 0 and "Traceback" not in node.output


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"osc": "nowhere"}, "HOST:PORT"),
        ({"web": True, "three": "/nowhere"}, "npm install three"),
    ],
)
def test_invalid_avatar_options_print_one_line(
    graph: Any, parameters: dict[str, Any], sentence: str
) -> None:
    model_parameters()
    process = graph.start("avatar_node", parameters=parameters)
    assert process.wait() == 2
    assert process.output.startswith("error: ") and process.output.count("\n") == 1
    assert sentence in process.output


def test_web_page_mirrors_face(
    graph: Any, tmp_path: Path, repo_root: Path, astronaut_path: Path
) -> None:
    """Images, face_node, smoothing_node, avatar_node, web socket, three.js: the head smiles as the portrait does."""
    three = three_folder(repo_root)
    model_parameters()
    small = tmp_path / "small.yaml"
    small.write_text(
        "/**/image_source_node: {ros__parameters: {width: 320, height: 240}}\n"
        f"/**/avatar_node: {{ros__parameters: {{web: true, web_port: 0, three: {three}}}}}\n"
    )
    flags = ["--source", "--avatar", "--no-visualization"]
    system = graph.start("face_system", arguments=flags, params_file=small)
    joints = graph.collect(JointState, "face_blendshapes")
    graph.wait_until(lambda: "open http" in system.output and len(joints) > 5, 120)
    (url,) = re.findall(r"open (http\S+)", system.output)
    with Page(url, tmp_path / "profile") as page:
        page.until(lambda: page.evaluate("avatar().frames > 5"), "the page did not show 5 frames")
        shown = page.evaluate("avatar()")
        screenshot = page.screenshot()
    if keep := os.environ.get("TDDFA_BROWSER_IMAGE"):
        cv2.imwrite(keep, screenshot)
    graph.spin(0.2)
    smile = ARKIT_NAMES.index("mouthSmileLeft")
    assert shown["weights"].keys() == set(ARKIT_NAMES)
    assert shown["weights"]["mouthSmileLeft"] > 0.4, "she smiles"
    around = np.array([message.position for message in joints[-40:]])
    assert abs(shown["weights"]["mouthSmileLeft"] - np.median(around[:, smile])) < 0.25
    assert re.match(r"f1: yaw -?\d+°", shown["state"])
    assert np.linalg.norm(shown["rotation"]) == pytest.approx(1, abs=1e-3)
    # a head in the middle, lit, before a dark background
    lit = screenshot.max(axis=2) > 100
    assert 0.08 < lit.mean() < 0.6
    rows, columns = np.indices(lit.shape)[:, lit & (np.ptp(screenshot, axis=2) > 15)]
    height, width = lit.shape
    assert abs(np.median(columns) - width / 2) < width / 4
    assert abs(np.median(rows) - height / 2) < height / 4
    assert lit[-40:, :60].mean() < 0.05
    assert system.stop() == 0 and "Traceback" not in system.output
