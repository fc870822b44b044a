"""``face_node`` in a process of its own, over DDS."""

from __future__ import annotations

import itertools
import math
import signal
import time
from array import array
from typing import Any

import numpy as np
import pytest
from support.faces import (
    ASTRONAUT_FACE,
    FRAME,
    Camera,
    calibration,
    image_message,
    model_parameters,
    set_parameters,
    stamped,
)

pytest.importorskip("rclpy", reason="no ROS 2 here: run through `make test`")
pytest.importorskip("tddfa_msgs", reason="tddfa_msgs is not built: run through `make test`")

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import SetBool, Trigger
from tf2_msgs.msg import TFMessage

from tddfa_msgs.msg import (
    FaceLandmarksArray,
    FaceMesh,
    FaceMeshArray,
    FaceTopology,
)
from tddfa_ros.nodes.convert.vertices import image_vertices, metric_vertices

pytestmark = pytest.mark.ros


def start(graph: Any, **parameters: Any) -> Any:
    values = {name.replace("__", "."): value for name, value in parameters.items()}
    values = {"regression.device": "cpu"} | model_parameters() | values
    return graph.start("face_node", parameters=values, wait_for="/face_node")


def faces_in(messages: list[Any]) -> list[Any]:
    return [face for message in messages for face in message.faces]


def seconds(stamp: Any) -> float:
    return stamp.sec + stamp.nanosec * 1e-9


def summary_of(diagnostics: list[Any]) -> str:
    """Message of the latest status; empty before the first, which comes after a second."""
    return diagnostics[-1].status[0].message if diagnostics else ""


def values_of(diagnostics: list[Any]) -> dict[str, str]:
    return {pair.key: pair.value for pair in diagnostics[-1].status[0].values}


def test_every_output_of_one_face(graph: Any, astronaut: np.ndarray) -> None:
    process = start(graph)
    meshes = graph.collect(FaceMeshArray, "face_mesh")
    light = graph.collect(FaceLandmarksArray, "face_landmarks")
    transforms = graph.collect(TFMessage, "/tf")
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    topologies = graph.collect(FaceTopology, "face_mesh/topology", latched)
    camera = Camera(graph, astronaut)
    camera.until(lambda: faces_in(meshes) and faces_in(light) and transforms and topologies)

    topology = topologies[0]
    message = next(m for m in meshes if m.faces)
    assert any(abs(seconds(message.header.stamp) - sent) < 1e-6 for sent in camera.stamps)
    assert message.header.frame_id == FRAME
    assert [face.id for face in message.faces] == ["f1"]
    face = message.faces[0]
    assert face.topology_id == topology.topology_id
    assert face.header == message.header
    count = topology.vertex_count
    vertices = np.asarray(face.vertices).reshape(-1, 3)
    assert vertices.shape == image_vertices(face).shape == (count, 3)
    assert len(face.vertices_image) == 0, "not published by default"
    assert len(face.params) == 12 + topology.shape_size + len(topology.expression_names)
    assert len(face.expression) == len(topology.expression_names)
    assert max(topology.triangles) == count - 1
    assert len(topology.coarse_triangles) <= 3 * 2000

    middle = np.asarray(face.landmarks_image).reshape(68, 3)[:, :2].mean(axis=0)
    assert np.hypot(*(middle - ASTRONAUT_FACE)) < 40
    landmarks = np.asarray(face.landmarks).reshape(68, 3)
    assert 0.2 < landmarks[:, 2].mean() < 5.0
    width = np.linalg.norm(np.ptp(vertices, axis=0))
    assert 0.15 < width < 0.6

    # Landmarks are where the topology says they are on the mesh.
    weights = np.asarray(topology.landmark_weights).reshape(68, 3, 1)
    triangles = np.asarray(topology.triangles).reshape(-1, 3)[topology.landmark_triangles]
    np.testing.assert_allclose((vertices[triangles] * weights).sum(axis=1), landmarks, atol=1e-4)

    pose = face.head_pose.pose
    q = pose.orientation
    assert math.hypot(q.x, q.y, q.z, q.w) == pytest.approx(1.0, abs=1e-6)
    covariance = np.asarray(face.head_pose.covariance).reshape(6, 6)
    np.testing.assert_allclose(covariance, covariance.T, atol=1e-9)
    assert (np.linalg.eigvalsh(covariance) > 0).all()
    assert covariance[2, 2] > covariance[0, 0], "depth is less certain than the position across"
    np.testing.assert_allclose(
        [pose.position.x, pose.position.y, pose.position.z], landmarks[27], atol=5e-3
    )

    assert face.scale_source == FaceMesh.SCALE_ASSUMED_FOV
    assert message.camera_info.k[0] == pytest.approx(256 / math.tan(math.radians(30)))

    twins = [m for m in light if m.header == message.header]
    assert len(twins) == 1
    np.testing.assert_array_equal(twins[0].faces[0].landmarks, face.landmarks)
    transform = next(t for m in transforms for t in m.transforms if t.header == message.header)
    assert transform.child_frame_id == "face_f1"
    assert transform.transform.rotation == q
    assert transform.transform.translation.z == pose.position.z
    assert process.stop() == 0
    assert "Traceback" not in process.output


def test_calibration_sets_scale_source(graph: Any, astronaut: np.ndarray) -> None:
    process = start(graph)
    meshes = graph.collect(FaceMeshArray, "face_mesh")
    infos = graph.publisher(CameraInfo, "camera_info")
    diagnostics = graph.collect(DiagnosticArray, "/diagnostics")
    camera = Camera(graph, astronaut)

    def depth_with(focal: float) -> float:
        meshes.clear()

        def found() -> bool:
            infos.publish(stamped(calibration(512, 512, focal), time.time()))
            return any(m.faces and m.camera_info.k[0] == focal for m in meshes)

        camera.until(found)
        message = next(m for m in meshes if m.faces and m.camera_info.k[0] == focal)
        assert message.faces[0].scale_source == FaceMesh.SCALE_CALIBRATED
        return float(message.faces[0].head_pose.pose.position.z)

    assert depth_with(1200.0) / depth_with(600.0) == pytest.approx(2.0, rel=0.1)

    # What cannot be used is said once, and the node goes on with an assumed field of view.
    bad = calibration(512, 512)
    bad.k[0] = math.nan
    meshes.clear()

    def assumed() -> bool:
        infos.publish(stamped(bad, time.time()))
        return any(f.scale_source == FaceMesh.SCALE_ASSUMED_FOV for f in faces_in(meshes))

    camera.until(assumed)
    camera.until(lambda: "calibration refused" in summary_of(diagnostics))
    assert process.alive
    assert process.output.count("NaN") == 1


def test_depth_image_sets_the_distance(graph: Any, astronaut: np.ndarray) -> None:
    process = start(graph, use_depth=True)
    meshes = graph.collect(FaceMeshArray, "face_mesh")
    depths = graph.publisher(Image, "depth/image_raw")
    diagnostics = graph.collect(DiagnosticArray, "/diagnostics")
    camera = Camera(graph, astronaut)
    size = astronaut.shape[0]

    def send_depth(millimeters: int, side: int = size) -> None:
        message = Image(height=side, width=side, encoding="16UC1", step=2 * side)
        message.data = np.full(side * side, millimeters, np.uint16).tobytes()
        depths.publish(stamped(message, time.time()))

    for distance in (1500, 900):
        meshes.clear()

        def found(distance: int = distance) -> bool:
            send_depth(distance)
            # A plane: the sellion is in front of the mean of the face by its relief.
            places = [1000 * face.head_pose.pose.position.z for face in faces_in(meshes)]
            return any(0.9 < place / distance < 1.02 for place in places)

        camera.until(found)
        assert faces_in(meshes)[-1].scale_source == 2
    # A depth image that is not aligned is refused, and named.
    camera.until(lambda: send_depth(900, 64) or "aligned to color" in summary_of(diagnostics))
    assert "the depth image has 64x64 px" in process.output
    assert "Traceback" not in process.output


def test_image_without_faces_gives_empty_array(graph: Any) -> None:
    start(graph)
    meshes = graph.collect(FaceMeshArray, "face_mesh")
    camera = Camera(graph, np.full((240, 320, 3), 90, np.uint8))
    camera.until(lambda: len(meshes) >= 3)
    assert faces_in(meshes) == []
    assert meshes[0].header.frame_id == FRAME


def invalid_images(good: np.ndarray) -> dict[str, tuple[Any, str]]:
    """Every kind of broken image message, and what has to be said about it."""
    said = {
        "truncated": "but 1000 arrived",
        "step": "with step 1543 needs",
        "zero": "the image has zero size (0x0)",
        "encoding": "unknown image encoding 'not_an_encoding'",
        "short step": "but step is 10",
        "huge": "a row of 2147483648 pixels",
    }
    messages = {name: image_message(good, 0.0) for name in said}
    messages["truncated"].data = messages["truncated"].data[:1000]
    messages["step"].step += 7
    messages["short step"].step = 10
    messages["zero"].height = messages["zero"].width = messages["zero"].step = 0
    messages["zero"].data = messages["zero"].data[:0]
    messages["encoding"].encoding = "not_an_encoding"
    messages["huge"].width = messages["huge"].height = 2**31
    return {name: (messages[name], said[name]) for name in said}


def test_invalid_images_are_logged_once_per_kind(graph: Any, astronaut: np.ndarray) -> None:
    process = start(graph)
    meshes = graph.collect(FaceMeshArray, "face_mesh")
    diagnostics = graph.collect(DiagnosticArray, "/diagnostics")
    camera = Camera(graph, astronaut)
    camera.until(lambda: faces_in(meshes))

    def failed() -> int:
        return int(values_of(diagnostics)["frames failed"]) if diagnostics else 0

    sentences = []
    for message, sentence in invalid_images(astronaut).values():
        # Of the same fault twice and more, whatever a busy machine drops in between. What is raised at one place in
        # the code is one kind, such as both faults of the step. The first of a kind is the one that is printed.
        before = failed()
        for _ in range(600):
            camera.send(stamped(message, time.time()))
            if failed() >= before + 2:
                break
        assert failed() >= before + 2, f"not detected: {sentence}"
        sentences.append(sentence)
    assert process.alive
    lines = process.output.splitlines()
    # On a very slow machine a kind may come up again after half a minute, with its count.
    errors = [line for line in lines if "[ERROR]" in line and "times since)" not in line]
    kinds = [sentences[0], sentences[2], sentences[3], sentences[4]]
    assert [sum(kind in line for line in errors) for kind in kinds] == [1, 1, 1, 1], process.output
    assert len(errors) == len(kinds), process.output
    assert "unexpected" not in process.output
    meshes.clear()
    camera.until(lambda: faces_in(meshes))
    # The invalid images may have lasted longer than a lost track is kept, so the ID is not compared.
    assert faces_in(meshes)[-1].confidence > 0.5
    assert "Traceback" not in process.output


def test_backward_stamps_start_new_tracks(graph: Any, astronaut: np.ndarray) -> None:
    process = start(graph)
    meshes = graph.collect(FaceMeshArray, "face_mesh")
    camera = Camera(graph, astronaut)
    camera.until(lambda: faces_in(meshes))
    past = time.time() - 1000.0
    for i in range(600):
        camera.send(image_message(astronaut, past + 0.05 * i))
        if any(face.id == "f2" for face in faces_in(meshes)):
            break
    assert faces_in(meshes)[-1].id == "f2"
    assert process.alive


def test_new_image_size_starts_new_tracks(graph: Any, astronaut: np.ndarray) -> None:
    process = start(graph)
    meshes = graph.collect(FaceMeshArray, "face_mesh")
    camera = Camera(graph, astronaut)
    camera.until(lambda: faces_in(meshes))
    larger = np.pad(astronaut, ((0, 64), (0, 64), (0, 0)))
    meshes.clear()
    end = time.monotonic() + 60.0
    while not any(face.id == "f2" for face in faces_in(meshes)):
        assert time.monotonic() < end, process.output
        camera.send(image_message(larger, time.time()))
    sentence = f"the size of the images changed to {larger.shape[1]}x{larger.shape[0]} px"
    assert process.output.count(sentence) == 1


def test_zero_stamps_fall_back_to_the_receive_clock(graph: Any, astronaut: np.ndarray) -> None:
    process = start(graph)
    meshes = graph.collect(FaceMeshArray, "face_mesh")
    diagnostics = graph.collect(DiagnosticArray, "/diagnostics")
    camera = Camera(graph, astronaut)
    image = image_message(astronaut, 0.0)
    end = time.monotonic() + 60.0

    def complete() -> bool:
        stands = "stamps do not" in summary_of(diagnostics)
        # NaN while no image was processed within the last second
        return (
            len(faces_in(meshes)) >= 10
            and stands
            and float(values_of(diagnostics)["latency p50 ms"]) < 30e3
        )

    while not complete():
        assert time.monotonic() < end, process.output
        camera.send(image)
    stamps = [seconds(m.header.stamp) for m in meshes]
    assert all(b > a for a, b in itertools.pairwise(stamps))
    assert abs(stamps[-1] - time.time()) < 30.0
    assert {face.id for face in faces_in(meshes)} == {"f1"}
    assert process.output.count("stamps do not advance") == 1
    # The camera gets a clock: its stamps are used again, and the same face goes on.
    meshes.clear()
    camera.until(lambda: any(seconds(m.header.stamp) in camera.stamps for m in meshes))


def test_face_at_border_and_missing_frame_id(graph: Any, astronaut: np.ndarray) -> None:
    process = start(graph)
    meshes = graph.collect(FaceMeshArray, "face_mesh")
    camera = Camera(graph, np.ascontiguousarray(astronaut[60:, 190:]))
    for _ in range(1000):
        camera.send(image_message(camera.image, time.time(), frame=""))
        if len(meshes) >= 20:
            break
    assert process.alive
    assert len(meshes) >= 20
    assert {m.header.frame_id for m in meshes} == {"camera_optical_frame"}
    for face in faces_in(meshes):
        assert np.isfinite(face.vertices).all()
        assert np.isfinite(face.landmarks).all()
    assert "Traceback" not in process.output


def test_twenty_faces(graph: Any, astronaut: np.ndarray) -> None:
    process = start(graph, detection__input_size=960)
    meshes = graph.collect(FaceMeshArray, "face_mesh")
    tile = astronaut[0:240, 100:340]
    camera = Camera(graph, np.ascontiguousarray(np.tile(tile, (4, 5, 1))), rate=5.0)
    camera.until(lambda: any(len(m.faces) == 20 for m in meshes), timeout=90.0)
    faces = next(m.faces for m in meshes if len(m.faces) == 20)
    assert len({face.id for face in faces}) == 20
    middles = np.array([np.asarray(f.landmarks_image).reshape(68, 3).mean(axis=0) for f in faces])
    cells = {(int(x // 240), int(y // 240)) for x, y, _ in middles}
    assert len(cells) == 20
    assert process.stop() == 0


def test_enable_and_reset(graph: Any, astronaut: np.ndarray) -> None:
    start(graph)
    meshes = graph.collect(FaceMeshArray, "face_mesh")
    camera = Camera(graph, astronaut)
    camera.until(lambda: faces_in(meshes))

    answer = graph.call(Trigger, "/face_node/reset", Trigger.Request())
    assert answer.success
    camera.until(lambda: any(face.id == "f2" for face in faces_in(meshes)))

    answer = graph.call(SetBool, "/face_node/enable", SetBool.Request(data=False))
    assert answer.success
    graph.wait_until(lambda: graph.node.count_subscribers("/image_raw") == 0)
    graph.spin(0.3)
    meshes.clear()
    for _ in range(5):
        camera.send()
    assert meshes == []

    assert graph.call(SetBool, "/face_node/enable", SetBool.Request(data=True)).success
    camera.until(lambda: faces_in(meshes))
    assert faces_in(meshes)[-1].id == "f3"


def test_parameters_change_what_is_published(graph: Any, astronaut: np.ndarray) -> None:
    start(graph)
    meshes = graph.collect(FaceMeshArray, "face_mesh")
    camera = Camera(graph, astronaut)
    camera.until(lambda: faces_in(meshes))

    assert set_parameters(graph, "/face_node", {"publish_image_vertices": True})[0].successful
    camera.until(lambda: len(faces_in(meshes)[-1].vertices_image))
    own = faces_in(meshes)[-1]
    own.vertices_image, filled = array("f"), np.asarray(own.vertices_image).reshape(-1, 3)
    np.testing.assert_allclose(image_vertices(own), filled, atol=0.01)

    changes = {"publish_vertices": False, "publish_image_vertices": False}
    assert all(r.successful for r in set_parameters(graph, "/face_node", changes))
    camera.until(lambda: faces_in(meshes) and not len(faces_in(meshes)[-1].vertices))
    assert len(faces_in(meshes)[-1].vertices_image) == 0

    refused = set_parameters(
        graph,
        "/face_node",
        {"tracking.min_confidence": 2.0, "detection.input_size": 640, "tracking.min_hits": 0},
    )
    assert [r.successful for r in refused] == [False, False, False]
    assert "min_confidence" in refused[0].reason
    assert "read-only" in refused[1].reason

    # No face is as sure as this: tracks end.
    assert set_parameters(graph, "/face_node", {"tracking.min_confidence": 1.0})[0].successful
    camera.until(lambda: meshes and not meshes[-1].faces)


def test_vertices_in_float16(graph: Any, astronaut: np.ndarray) -> None:
    start(graph)
    meshes = graph.collect(FaceMeshArray, "face_mesh")
    camera = Camera(graph, astronaut)
    camera.until(lambda: faces_in(meshes))
    whole = metric_vertices(faces_in(meshes)[-1])
    assert set_parameters(graph, "/face_node", {"vertices_encoding": "float16"})[0].successful
    camera.until(lambda: not len(faces_in(meshes)[-1].vertices))
    face = faces_in(meshes)[-1]
    half = metric_vertices(face)
    assert len(face.vertices_float16) == half.size == whole.size
    # The image does not change: neither does the size of the head.
    np.testing.assert_allclose(np.ptp(half, axis=0), np.ptp(whole, axis=0), rtol=0.05)
    refused = set_parameters(graph, "/face_node", {"vertices_encoding": "float64"})[0]
    assert "float32, float16" in refused.reason


def test_work_is_done_only_with_subscribers(graph: Any, astronaut: np.ndarray) -> None:
    start(graph)
    diagnostics = graph.collect(DiagnosticArray, "/diagnostics")
    camera = Camera(graph, astronaut)
    camera.until(lambda: diagnostics and "idle" in diagnostics[-1].status[0].message)
    assert values_of(diagnostics)["frames processed"] == "0"

    raw = graph.collect(FaceMeshArray, "face_mesh_raw")
    camera.until(lambda: faces_in(raw))
    face = faces_in(raw)[0]
    assert len(face.params) > 12
    assert len(face.vertices) == len(face.vertices_image) == 0
    assert set_parameters(graph, "/face_node", {"raw_vertices": True})[0].successful
    camera.until(lambda: len(faces_in(raw)[-1].vertices))

    camera.until(lambda: "fps" in summary_of(diagnostics))
    values = values_of(diagnostics)
    assert values["provider"] == "CPUExecutionProvider"
    assert "assumed field of view 60" in values["camera"]
    assert float(values["fps"]) > 1.0
    assert float(values["regression ms"]) > 0.0
    assert 0.0 < float(values["latency p50 ms"]) < 5000.0
    assert diagnostics[-1].status[0].name == "face_node"


def test_two_cameras_in_two_namespaces(graph: Any, astronaut: np.ndarray) -> None:
    sides = {"left": astronaut, "right": np.ascontiguousarray(astronaut[:, ::-1])}
    found, cameras = {}, {}
    for side, image in sides.items():
        parameters = model_parameters() | {"regression.device": "cpu"}
        graph.start(
            "face_node", parameters=parameters, namespace=f"/{side}", wait_for=f"/{side}/face_node"
        )
        found[side] = graph.collect(FaceMeshArray, f"/{side}/face_mesh")
        publisher = graph.publisher(Image, f"/{side}/image_raw", subscribers=1)
        cameras[side] = publisher, image
    for i in range(200):
        for side, (publisher, image) in cameras.items():
            publisher.publish(image_message(image, 10.0 + i / 20, frame=f"{side}_eye"))
        graph.spin(0.05)
        if all(faces_in(messages) for messages in found.values()):
            break
    middle = {}
    for side, messages in found.items():
        assert {m.header.frame_id for m in messages} == {f"{side}_eye"}
        assert faces_in(messages)[0].id == f"{side}_f1", "two cameras share one /tf"
        middle[side] = np.asarray(faces_in(messages)[0].landmarks_image).reshape(68, 3)[:, 0].mean()
    assert middle["left"] + middle["right"] == pytest.approx(511, abs=8), "mirrored images"


def test_silence_is_a_warning(graph: Any) -> None:
    start(graph, diagnostics__silence=0.5, lazy=False)
    diagnostics = graph.collect(DiagnosticArray, "/diagnostics")
    said = ("nothing received on /image_raw", "no node publishes /image_raw")
    graph.wait_until(
        lambda: diagnostics and all(text in diagnostics[-1].status[0].message for text in said)
    )
    assert diagnostics[-1].status[0].level == b"\x01"


def test_compressed_images(graph: Any, astronaut: np.ndarray) -> None:
    import cv2

    graph.start(
        "face_node",
        parameters=model_parameters() | {"image_transport": "compressed"},
        remap={"image_raw": "/camera/image"},
        wait_for="/face_node",
    )
    meshes = graph.collect(FaceMeshArray, "face_mesh")
    publisher = graph.publisher(CompressedImage, "/camera/image/compressed")
    jpeg = cv2.imencode(".jpg", astronaut)[1].tobytes()
    for _ in range(1000):
        publisher.publish(stamped(CompressedImage(format="jpeg", data=jpeg), time.time()))
        graph.spin(0.05)
        if faces_in(meshes):
            break
    assert faces_in(meshes)


def test_images_do_not_queue(graph: Any, astronaut: np.ndarray) -> None:
    # Slow on purpose: a large detector input in every frame.
    start(graph, detection__input_size=1280, tracking__detect_interval=1)
    meshes = graph.collect(FaceMeshArray, "face_mesh")
    diagnostics = graph.collect(DiagnosticArray, "/diagnostics")
    camera = Camera(graph, astronaut)
    camera.until(lambda: faces_in(meshes))
    camera.period = 0.005
    camera.until(
        lambda: diagnostics and int(values_of(diagnostics)["frames dropped"]) > 5, timeout=90.0
    )
    # One of the last few images is the last one to come out; the others in between were dropped, not queued.
    newest = camera.stamps[-3] - 1e-6
    graph.wait_until(lambda: seconds(meshes[-1].header.stamp) >= newest)
    published = [seconds(m.header.stamp) for m in meshes]
    assert published == sorted(published)
    assert len(published) < len(camera.stamps) - 5
    graph.spin(1.0)
    assert len(meshes) <= len(published) + 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_under_load_exits_cleanly(graph: Any, astronaut: np.ndarray, number: int) -> None:
    process = start(graph)
    meshes = graph.collect(FaceMeshArray, "face_mesh")
    camera = Camera(graph, astronaut)
    camera.until(lambda: faces_in(meshes))
    camera.send()
    assert process.stop(number) == 0
    assert "Traceback" not in process.output


def test_invalid_parameter_prints_one_line(graph: Any) -> None:
    process = graph.start("face_node", parameters={"image_transport": "theora"})
    assert process.wait() == 2
    lines = [line for line in process.output.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "raw, compressed" in lines[0]
    assert "Traceback" not in process.output


def test_more_faces_than_the_limit_are_said_once(graph: Any, astronaut: np.ndarray) -> None:
    process = start(graph, detection__max_faces=1, tracking__detect_interval=1)
    meshes = graph.collect(FaceMeshArray, "face_mesh")
    camera = Camera(graph, np.ascontiguousarray(np.hstack([astronaut, astronaut[:, ::-1]])))
    camera.until(lambda: len(faces_in(meshes)) >= 3)
    assert all(len(message.faces) <= 1 for message in meshes)
    camera.until(lambda: "more faces than" in process.output)
    note = "image_raw: more faces than detection.max_faces (1); the smallest are left out"
    assert process.output.count(note) == 1
