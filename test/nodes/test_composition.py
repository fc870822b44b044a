"""``face_node`` and ``smoothing_node`` in one process: the same results, without a message between them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.faces import image_message, model_parameters

pytest.importorskip("rclpy", reason="no ROS 2 here: run through `make test`")
pytest.importorskip("tddfa_msgs", reason="tddfa_msgs is not built: run through `make test`")

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from sensor_msgs.msg import Image

from tddfa_msgs.msg import FaceLandmarksArray, FaceMeshArray

pytestmark = pytest.mark.ros

FACES = ["--smoothing", "--no-visualization"]
START = 1_700_000_000.0
IMAGES = 12


def params_file(folder: Path, **more: Any) -> Path:
    import yaml

    sections = {
        "/**/face_node": model_parameters() | {"regression.device": "cpu"},
        "/**/smoothing_node": model_parameters(perception=False) | more,
        "/**": {"publish_tf": False},
    }
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump({k: {"ros__parameters": v} for k, v in sections.items() if v}))
    return path


def start(graph: Any, folder: Path, composed: bool, **more: Any) -> list[Any]:
    chosen = params_file(folder, **more)
    if composed:
        return [graph.start("face_system", arguments=FACES, params_file=chosen)]
    return [
        graph.start(
            "face_node", parameters={"publish_face_mesh": False}, params_file=chosen
        ),
        graph.start("smoothing_node", params_file=chosen),
    ]  # fmt: skip


class Sequence:
    """Sends images with given stamps, each after the answer to the one before, so that no image is dropped."""

    def __init__(self, graph: Any, answers: list[Any]) -> None:
        self.graph, self.answers = graph, answers
        self.publisher = graph.publisher(Image, "image_raw")
        self.stamp = START

    def send(self, image: np.ndarray, repeat: bool = False) -> Any:
        """Publish an image and return the message about it; ``repeat``: with later stamps, until there is one."""
        while True:
            self.stamp += 1 / 30
            self.answers.clear()
            self.publisher.publish(image_message(image, self.stamp))
            if not repeat:
                self.graph.wait_until(lambda: self.answers)
                return self.answers[0]
            self.graph.spin(0.5)
            if self.answers:
                return self.answers[0]


def moving(image: np.ndarray, index: int) -> np.ndarray:
    shift = np.float32([[1, 0, 2.5 * index], [0, 1, 1.5 * index]])
    return cv2.warpAffine(image, shift, (512, 512))


def meshes_of(graph: Any, folder: Path, composed: bool, image: np.ndarray) -> list[Any]:
    processes = start(graph, folder, composed)
    answers = graph.collect(FaceMeshArray, "face_mesh")
    camera = Sequence(graph, answers)
    camera.send(np.zeros_like(image), repeat=True)  # without a face: nothing is remembered of it
    camera.stamp = START + 100
    found = [camera.send(moving(image, index)) for index in range(IMAGES)]
    for process in processes:
        assert process.stop() == 0, process.output
        assert "Traceback" not in process.output
    graph.wait_until(lambda: "/smoothing_node" not in graph.node_names())
    return found


def test_same_meshes_in_one_process_and_in_two(
    graph: Any, tmp_path: Path, astronaut: np.ndarray
) -> None:
    ours = meshes_of(graph, tmp_path, True, astronaut)
    theirs = meshes_of(graph, tmp_path, False, astronaut)
    assert [m.header for m in ours] == [m.header for m in theirs]
    assert sum(len(m.faces) for m in ours) >= IMAGES - 3
    for a, b in zip(ours, theirs, strict=True):
        assert [f.id for f in a.faces] == [f.id for f in b.faces]
        assert a.camera_info == b.camera_info
        for one, other in zip(a.faces, b.faces, strict=True):
            assert len(one.vertices) == len(other.vertices) > 0
            assert len(one.vertices_image) == 0
            assert one.scale_source == other.scale_source
            for name in ("box", "roi", "params", "expression"):
                np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-5, atol=1e-5)  # fmt: skip
            np.testing.assert_allclose(one.vertices, other.vertices, atol=2e-5)
            np.testing.assert_allclose(one.landmarks, other.landmarks, atol=2e-5)
            np.testing.assert_allclose(one.landmarks_image, other.landmarks_image, atol=2e-3)
            np.testing.assert_allclose(one.head_pose.covariance, other.head_pose.covariance, rtol=1e-4, atol=1e-12)  # fmt: skip


def test_raw_faces_pass_through_dds_only_for_other_subscribers(
    graph: Any, tmp_path: Path, astronaut: np.ndarray
) -> None:
    start(graph, tmp_path, True)
    camera = Sequence(graph, graph.collect(FaceMeshArray, "face_mesh"))
    camera.send(astronaut, repeat=True)
    assert graph.node.count_subscribers("/face_mesh_raw") == 0
    raw = graph.collect(FaceMeshArray, "face_mesh_raw")
    graph.wait_until(lambda: graph.node.count_subscribers("/face_mesh_raw") == 1)
    smooth = camera.send(astronaut, repeat=True)
    graph.wait_until(lambda: raw and raw[-1].header == smooth.header)
    smooth = camera.send(astronaut)
    graph.wait_until(lambda: raw and raw[-1].header == smooth.header)
    assert [f.id for f in raw[-1].faces] == [f.id for f in smooth.faces]
    assert len(raw[-1].faces[0].vertices) == 0


def test_raw_topic_of_its_own_is_subscribed_to(graph: Any, tmp_path: Path) -> None:
    """A node between the two, such as a filter of faces, gets the faces and passes them on."""
    graph.start(
        "face_system",
        arguments=FACES,
        params_file=params_file(tmp_path),
        remap={"smoothing_node:face_mesh_raw": "face_mesh_filtered"},
    )
    meshes = graph.collect(FaceMeshArray, "face_mesh")
    publisher = graph.publisher(FaceMeshArray, "face_mesh_filtered")
    message = FaceMeshArray()
    message.header.stamp.sec = 100
    publisher.publish(message)
    graph.wait_until(lambda: meshes)


def change(graph: Any, node: str, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return bool(graph.call(ChangeState, f"/{node}/change_state", request).success)


def test_lifecycle_of_each_node(graph: Any, tmp_path: Path, astronaut: np.ndarray) -> None:
    (process,) = start(graph, tmp_path, True)
    answers = graph.collect(FaceLandmarksArray, "face_landmarks")
    camera = Sequence(graph, answers)
    camera.send(astronaut, repeat=True)

    def subscribed(count: int) -> Callable[[], bool]:
        return lambda: graph.node.count_subscribers("/image_raw") == count

    assert change(graph, "smoothing_node", Transition.TRANSITION_DEACTIVATE)
    graph.wait_until(subscribed(0))  # nobody wants the faces of face_node
    assert change(graph, "smoothing_node", Transition.TRANSITION_ACTIVATE)
    graph.wait_until(subscribed(1))
    camera.send(astronaut, repeat=True)
    assert change(graph, "smoothing_node", Transition.TRANSITION_DEACTIVATE)
    assert change(graph, "smoothing_node", Transition.TRANSITION_CLEANUP)
    assert change(graph, "smoothing_node", Transition.TRANSITION_CONFIGURE)
    assert change(graph, "smoothing_node", Transition.TRANSITION_ACTIVATE)
    graph.wait_until(subscribed(1))
    camera.send(astronaut, repeat=True)
    assert change(graph, "face_node", Transition.TRANSITION_DEACTIVATE)
    graph.wait_until(subscribed(0))
    assert change(graph, "face_node", Transition.TRANSITION_ACTIVATE)
    graph.wait_until(subscribed(1))
    assert camera.send(astronaut, repeat=True).header.frame_id
    assert process.stop() == 0
    assert "Traceback" not in process.output


def test_invalid_parameter_of_smoothing_node_ends_the_process(graph: Any, tmp_path: Path) -> None:
    chosen = params_file(tmp_path, **{"smoothing.beta": -1.0})
    process = graph.start("face_system", arguments=FACES, params_file=chosen)
    assert process.wait() == 2
    assert "parameter 'smoothing.beta' of smoothing_node" in process.output
    assert "Traceback" not in process.output
