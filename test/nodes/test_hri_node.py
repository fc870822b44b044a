"""``hri_node`` in the graph: what a robot that speaks ROS4HRI hears about the portrait."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.faces import ASTRONAUT_FACE, Camera, model_parameters

pytest.importorskip("rclpy", reason="no ROS 2 here: run through `make test`")
pytest.importorskip("tddfa_msgs", reason="tddfa_msgs is not built: run through `make test`")

from scipy.spatial.transform import Rotation
from sensor_msgs.msg import Image
from tf2_msgs.msg import TFMessage

from tddfa_msgs.msg import FaceLandmarksArray

pytestmark = pytest.mark.ros

FACES = "/humans/faces"


@pytest.fixture
def hri() -> Any:
    """The messages, where they are."""
    return pytest.importorskip("hri_msgs.msg", reason="hri_msgs is not built: TDDFA_EXTRAS=hri")


def topics(graph: Any, face: str) -> set[str]:
    """Last parts of the topics that are published of a face."""
    start = f"{FACES}/{face}/"
    return {
        name.removeprefix(start)
        for name, _ in graph.node.get_topic_names_and_types()
        if name.startswith(start) and graph.node.get_publishers_info_by_topic(name)
    }


def stamp(message: Any) -> tuple[int, int]:
    return message.header.stamp.sec, message.header.stamp.nanosec


def perception(graph: Any) -> None:
    graph.start("face_node", parameters=model_parameters() | {"regression.device": "cpu"})


def bgr_of(message: Any) -> np.ndarray:
    assert message.encoding == "bgr8"
    return np.asarray(message.data, np.uint8).reshape(message.height, message.width, 3)


def test_face_topics_appear_and_disappear(graph: Any, astronaut: np.ndarray, hri: Any) -> None:
    """The portrait, then a gray wall; all values of one image are those of face_landmarks."""
    perception(graph)
    node = graph.start("hri_node", parameters=model_parameters(perception=False))
    tracked = graph.collect(hri.IdsList, f"{FACES}/tracked", 50)
    landmarks = graph.collect(FaceLandmarksArray, "face_landmarks", 50)
    camera = Camera(graph, astronaut)
    camera.until(lambda: any(message.ids for message in tracked), 90)
    (face,) = next(message.ids for message in tracked if message.ids)
    assert face == "f1"
    kinds = {
        "roi": hri.NormalizedRegionOfInterest2D,
        "landmarks": hri.FacialLandmarks,
        "facs": hri.FacialActionUnits,
        "expression": hri.Expression,
    }
    heard = {t: graph.collect(kind, f"{FACES}/{face}/{t}", 50) for t, kind in kinds.items()}

    def together() -> set[tuple[int, int]]:
        return set.intersection(*({stamp(m) for m in heard[t]} for t in heard))

    camera.until(lambda: len(together() & {stamp(m) for m in landmarks if m.faces}) >= 3)
    when = max(together() & {stamp(m) for m in landmarks if m.faces})
    own = {topic: next(m for m in heard[topic] if stamp(m) == when) for topic in kinds}
    seen = next(m for m in landmarks if stamp(m) == when).faces[0]
    assert {m.header.frame_id for m in own.values()} == {"camera_optical_frame"}

    height, width = astronaut.shape[:2]
    points = np.array([(p.x, p.y, p.c) for p in own["landmarks"].landmarks])
    assert (own["landmarks"].width, own["landmarks"].height) == (width, height)
    wanted = np.asarray(seen.landmarks_image).reshape(68, 3)[:, :2]
    np.testing.assert_allclose(points[:68, :2] * (width, height) - 0.5, wanted, atol=1e-2)
    assert points[:68, 2] == pytest.approx(seen.confidence) and not points[68:, 2].any()

    roi = own["roi"]
    assert 0 <= roi.xmin < roi.xmax <= 1 and 0 <= roi.ymin < roi.ymax <= 1
    middle = (roi.xmin + roi.xmax) / 2 * width, (roi.ymin + roi.ymax) / 2 * height
    np.testing.assert_allclose(middle, ASTRONAUT_FACE, atol=15)
    assert roi.xmin < points[:, 0].min() and points[:, 0].max() < roi.xmax
    assert roi.c == pytest.approx(seen.confidence) and roi.c > 0.5

    expression = own["expression"]
    assert expression.expression == "happy" and 0.5 < expression.confidence <= 1
    assert math.isnan(expression.valence) and math.isnan(expression.arousal)
    facs = own["facs"]
    assert facs.intensity[12] > 0.5, "she smiles"
    assert facs.confidence[12] == pytest.approx(seen.confidence) and facs.confidence[13] == 0
    # Nobody asked for attributes.
    graph.wait_until(lambda: topics(graph, face) == {*kinds, "cropped", "aligned"})

    camera.image = np.full_like(astronaut, 127)
    camera.until(lambda: not tracked[-1].ids)
    graph.wait_until(lambda: topics(graph, face) == set())
    camera.image = astronaut
    camera.until(lambda: tracked[-1].ids)
    graph.wait_until(lambda: topics(graph, tracked[-1].ids[0]) >= set(kinds))
    assert node.stop() == 0 and "Traceback" not in node.output


def test_gaze_frame_follows_head_direction(graph: Any, astronaut: np.ndarray, hri: Any) -> None:
    """``gaze_<id>`` hangs on ``face_<id>``, which ``face_node`` publishes; the portrait looks at the camera."""
    perception(graph)
    graph.start("hri_node", parameters=model_parameters(perception=False))
    frames = graph.collect(TFMessage, "/tf", 100)
    camera = Camera(graph, astronaut)

    def latest(child: str) -> dict[tuple[int, int], Any]:
        found = [t for message in frames for t in message.transforms if t.child_frame_id == child]
        return {stamp(t): t for t in found}

    camera.until(lambda: latest("face_f1").keys() & latest("gaze_f1").keys(), 90)
    when = max(latest("face_f1").keys() & latest("gaze_f1").keys())
    face, gaze = latest("face_f1")[when], latest("gaze_f1")[when]
    assert gaze.header.frame_id == "face_f1"
    place = gaze.transform.translation
    assert (place.x, place.y, place.z) == (0, 0, 0)
    right, down, ahead = (turn(face) @ turn(gaze)).T
    assert ahead[2] < -0.85, "toward the camera"
    assert down[1] > 0.85
    assert right[0] < -0.85, "her right is the image's left"
    np.testing.assert_allclose(turn(gaze)[:, 2], [1, 0, 0], atol=1e-9)  # out of the face


def test_pupils_and_gaze_from_irises(graph: Any, astronaut: np.ndarray, hri: Any) -> None:
    """With ``gaze``: pupils have their own confidence, and ``gaze_<id>`` is no longer the direction of the head."""
    perception(graph)
    graph.start("hri_node", parameters=model_parameters(perception=False) | {"gaze": True})
    frames = graph.collect(TFMessage, "/tf", 100)
    landmarks = graph.collect(hri.FacialLandmarks, f"{FACES}/f1/landmarks", 50)
    camera = Camera(graph, astronaut)

    def seen() -> list[np.ndarray]:
        found = [np.array([(p.x, p.y, p.c) for p in m.landmarks]) for m in landmarks]
        return [points for points in found if points[68:, 2].min() > 0.1]

    camera.until(lambda: len(seen()) >= 2, 90)
    points = seen()[-1]
    assert points[68:, 2].max() <= 1 and points[68, 2] != points[69, 2]
    size = astronaut.shape[1::-1]
    for pupil, eye in zip(points[68:, :2], (slice(36, 42), slice(42, 48)), strict=True):
        away = (pupil - points[eye, :2].mean(axis=0)) * size
        assert 0 < np.linalg.norm(away) < 0.4 * np.ptp(points[eye, 0]) * size[0]
    gazes = [t for m in frames for t in m.transforms if t.child_frame_id == "gaze_f1"]
    ahead = turn(gazes[-1])[:, 2]
    assert 0.7 < ahead[0] < 1 - 1e-7, "not the direction of the head"


def test_hri_node_idles_without_subscribers(graph: Any, hri: Any) -> None:
    model_parameters()
    node = graph.start("hri_node", parameters={"gaze": True}, wait_for="/hri_node", timeout=90)
    graph.publisher(FaceLandmarksArray, "face_landmarks", subscribers=0)

    def inputs() -> list[int]:
        return [graph.node.count_subscribers(t) for t in ("/face_landmarks", "/image_raw")]

    graph.spin(1.0)
    assert inputs() == [0, 0]
    tracked = graph.node.create_subscription(hri.IdsList, f"{FACES}/tracked", print, 10)
    graph.wait_until(lambda: inputs() == [1, 0])
    frames = graph.node.create_subscription(TFMessage, "/tf", print, 10)
    graph.wait_until(lambda: inputs() == [1, 1])
    graph.node.destroy_subscription(frames)
    graph.wait_until(lambda: inputs() == [1, 0])
    graph.node.destroy_subscription(tracked)
    graph.wait_until(lambda: inputs() == [0, 0])
    assert node.stop() == 0 and "Traceback" not in node.output


def turn(transform: Any) -> np.ndarray:
    q = transform.transform.rotation
    return Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix()


def test_faces_are_removed_when_camera_stops(graph: Any, astronaut: np.ndarray, hri: Any) -> None:
    perception(graph)
    graph.start("hri_node", parameters=model_parameters(perception=False))
    tracked = graph.collect(hri.IdsList, f"{FACES}/tracked", 50)
    camera = Camera(graph, astronaut)
    camera.until(lambda: tracked and tracked[-1].ids, 90)
    last = camera.stamps[-1]
    graph.wait_until(lambda: not tracked[-1].ids)
    assert stamp(tracked[-1])[0] <= last, "the stamp is that of an image"
    graph.wait_until(lambda: topics(graph, "f1") == set())
    count = len(tracked)
    graph.spin(1.0)
    assert len(tracked) == count, "said once"


def test_image_topics_are_published_on_demand(graph: Any, astronaut: np.ndarray, hri: Any) -> None:
    perception(graph)
    own = {"attributes": True, "attributes_rate": 2.0, "device": "cpu", "crop_size": 96}
    node = graph.start("hri_node", parameters=model_parameters(perception=False) | own)
    graph.collect(hri.IdsList, f"{FACES}/tracked")
    camera = Camera(graph, astronaut)
    camera.until(lambda: "softbiometrics" in topics(graph, "f1"), 90)
    subscribers = graph.node.count_subscribers("/image_raw")
    assert subscribers == 1, "face_node alone: nobody has asked for what takes an image"
    cropped = graph.collect(Image, f"{FACES}/f1/cropped", 50)
    camera.until(lambda: len(cropped) >= 2)
    aligned = graph.collect(Image, f"{FACES}/f1/aligned", 50)
    found = graph.collect(hri.SoftBiometrics, f"{FACES}/f1/softbiometrics", 50)
    camera.until(lambda: len(found) >= 3 and aligned, 90)

    shown = bgr_of(cropped[-1])
    assert shown.shape == (96, 96, 3)
    # The middle of the crop is the middle of the face: skin, which is redder than blue, and not the black suit.
    blue, _, red = shown[32:64, 32:64].reshape(-1, 3).mean(axis=0)
    assert red > blue + 20 and red > 120
    assert bgr_of(aligned[-1]).shape == (96, 96, 3)
    assert stamp(cropped[-1])[0] >= int(camera.stamps[0])

    times = [m.header.stamp.sec + m.header.stamp.nanosec * 1e-9 for m in found]
    assert np.diff(times).min() >= 0.5 - 1e-6, "at most twice a second of the images' stamps"
    guess = found[-1]
    assert 15 < guess.age < 60 and 0 < guess.age_confidence < 1
    assert guess.gender in (guess.FEMALE, guess.MALE) and 0.5 <= guess.gender_confidence <= 1
    assert node.stop() == 0 and "Traceback" not in node.output


def test_hri_node_in_face_system(
    graph: Any, tmp_path: Path, astronaut_path: Path, hri: Any
) -> None:
    model_parameters()
    small = tmp_path / "small.yaml"
    small.write_text("/**/image_source_node: {ros__parameters: {width: 320, height: 240}}\n")
    tracked = graph.collect(hri.IdsList, f"/robot{FACES}/tracked")
    flags = ["--source", "--hri", "--no-visualization"]
    system = graph.start("face_system", arguments=flags, params_file=small, namespace="/robot")
    graph.wait_until(lambda: any(message.ids for message in tracked), 90)
    assert system.stop() == 0 and "Traceback" not in system.output


@pytest.mark.parametrize(("program", "flags"), [("hri_node", []), ("face_system", ["--hri"])])
def test_missing_hri_msgs_prints_install_hint(
    graph: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, flags: list[str]
) -> None:
    """A module of the name that is as absent as can be."""
    model_parameters()
    (tmp_path / "hri_msgs.py").write_text("raise ModuleNotFoundError(name='hri_msgs')\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    process = graph.start(program, arguments=flags)
    assert process.wait() == 2
    errors = [line for line in process.output.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "sudo apt install ros-jazzy-hri-msgs" in errors[0]
    assert "Traceback" not in process.output


def test_faces_without_image_size_are_logged_once(graph: Any, hri: Any) -> None:
    from support.exports import export_face

    from tddfa_ros.nodes.convert.messages import face_landmarks_message
    from tddfa_ros.nodes.face_publisher import OUTPUT_QOS

    model_parameters()
    node = graph.start("hri_node")
    graph.collect(hri.IdsList, f"{FACES}/tracked")
    publisher = graph.publisher(FaceLandmarksArray, "face_landmarks", OUTPUT_QOS)
    message = FaceLandmarksArray()
    message.faces = [face_landmarks_message(export_face(), message.header)]

    def again() -> bool:
        publisher.publish(message)
        return "camera_info is empty" in node.output

    graph.wait_until(again, 60)
    graph.spin(0.5)
    assert node.output.count("camera_info is empty") == 1
    assert node.alive
