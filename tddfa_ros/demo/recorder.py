"""Recorder node: images, face meshes and diagnostics with their times of arrival.

Used by ``tddfa_ros.demo`` and the benchmarks. Work per message is minimal, so that the recorder does not affect the measurements:
images are written to a file undecoded, nothing is rendered.
"""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from tddfa_msgs.msg import FaceMesh, FaceMeshArray, FaceTopology
from tddfa_ros.demo.recording import (
    IMAGES,
    BestFace,
    RecordedFace,
    Recording,
    Stream,
    save_tables,
)
from tddfa_ros.files import write_error
from tddfa_ros.nodes.convert.images import to_bgr
from tddfa_ros.nodes.convert.messages import stamp_ns
from tddfa_ros.nodes.convert.vertices import image_vertices, metric_vertices
from tddfa_ros.nodes.ros.runner import run

_STATUS_PERIOD = 0.25  # s


class RecorderNode(Node):
    """Waits for the first face mesh, records for ``duration`` seconds, writes the tables and exits.

    Prints a line of JSON every 0.25 s: {"state": waiting|recording|done, "seconds", "images", "meshes"}.
    """

    def __init__(self) -> None:
        super().__init__("recorder")
        self._folder = Path(str(self.declare_parameter("output", "out/recording").value))
        self._duration = float(self.declare_parameter("duration", 15.0).value)
        self._keep_images = bool(self.declare_parameter("images", True).value)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = (self._folder / IMAGES).open("wb")
        except OSError as error:
            raise write_error(self._folder / IMAGES, error) from error
        self._start: float | None = None
        self._shape: tuple[int, int] = (0, 0)
        self._image_stamps: list[int] = []
        self._image_arrivals: list[int] = []
        self._streams = {"face_mesh": Stream(), "face_mesh_raw": Stream()}
        self._raw = bool(self.declare_parameter("raw", True).value)
        self._topology: FaceTopology | None = None
        self._coarse = np.zeros(0, np.int64)
        self._best: BestFace | None = None
        self._best_score = 0.0
        self._diagnostics: list[dict[str, Any]] = []
        self._subscribe()
        self.create_timer(_STATUS_PERIOD, self._report)

    def _subscribe(self) -> None:
        images = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
        self.create_subscription(Image, "image_raw", self._on_image, images)
        for topic in self._streams if self._raw else ["face_mesh"]:
            callback = self._mesh_callback(topic)
            self.create_subscription(FaceMeshArray, topic, callback, QoSProfile(depth=10))
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.create_subscription(FaceTopology, "face_mesh/topology", self._on_topology, latched)
        self.create_subscription(
            DiagnosticArray, "/diagnostics", self._on_diagnostics, QoSProfile(depth=50)
        )

    def _on_image(self, message: Image) -> None:
        arrival = time.time_ns()
        if self._start is None:
            return
        shape = (int(message.height), int(message.width))
        if not self._image_stamps:
            self._shape = shape
        if shape != self._shape:
            return
        if self._keep_images:
            plain = message.encoding == "bgr8" and message.step == 3 * message.width
            try:
                self._file.write(message.data if plain else to_bgr(message).tobytes())
            except OSError as error:
                raise write_error(self._folder / IMAGES, error) from error
        self._image_stamps.append(stamp_ns(message.header.stamp))
        self._image_arrivals.append(arrival)

    def _mesh_callback(self, topic: str) -> Any:
        stream = self._streams[topic]

        def on_meshes(message: FaceMeshArray) -> None:
            arrival = time.time_ns()
            if self._start is None:
                # Meshes in transit at the start belong to images that were not recorded.
                if topic == "face_mesh" and message.faces:
                    self._start = time.monotonic()
                return
            stamp = stamp_ns(message.header.stamp)
            stream.stamps.append(stamp)
            stream.arrivals.append(arrival)
            for face in message.faces:
                stream.faces.append(self._recorded(face, stamp))
                if topic == "face_mesh":
                    self._consider(face, stamp)

        return on_meshes

    def _recorded(self, face: FaceMesh, stamp: int) -> RecordedFace:
        dense = image_vertices(face)
        position = face.head_pose.pose.position
        return RecordedFace(
            stamp=stamp,
            id=face.id,
            confidence=float(face.confidence),
            params=np.array(face.params, dtype=np.float32),
            distance=float(np.linalg.norm([position.x, position.y, position.z])),
            landmarks=np.array(face.landmarks_image, dtype=np.float32).reshape(68, 3),
            coarse=dense[self._coarse]
            if len(dense)
            else np.zeros((len(self._coarse), 3), np.float32),
        )

    def _consider(self, face: FaceMesh, stamp: int) -> None:
        """Keep the dense mesh of the largest frontal face."""
        vertices = metric_vertices(face)
        if len(vertices) == 0:
            return
        q = face.head_pose.pose.orientation
        # z of the face frame's x axis (out of the face) in the camera frame: -1 for a frontal face.
        frontal = max(-2.0 * (q.x * q.z - q.w * q.y), 0.0)
        score = float(face.confidence) * frontal**4 * float(face.roi[2] - face.roi[0])
        if score > self._best_score and stamp in self._image_stamps[-15:]:
            self._best_score = score
            params = np.array(face.params, np.float32)
            self._best = BestFace(stamp, params, vertices.copy(), image_vertices(face).copy())

    def _on_topology(self, message: FaceTopology) -> None:
        self._topology = message
        self._coarse = np.asarray(message.coarse_indices, dtype=np.int64)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        if self._start is None:
            return
        for status in message.status:
            values = {pair.key: pair.value for pair in status.values}
            values["message"] = status.message
            entry = {"time": time.time(), "name": status.name, "values": values}
            self._diagnostics.append(entry)

    def _report(self) -> None:
        seconds = 0.0 if self._start is None else time.monotonic() - self._start
        done = self._start is not None and seconds >= self._duration
        state = "waiting" if self._start is None else "done" if done else "recording"
        if done:
            self._write()
        status = {
            "state": state,
            "seconds": round(seconds, 2),
            "images": len(self._image_stamps),
            "meshes": len(self._streams["face_mesh"].stamps),
        }
        print(json.dumps(status), flush=True)
        if done:
            signal.raise_signal(signal.SIGINT)  # as for every node of this package

    def _write(self) -> None:
        self._file.close()
        topology = self._topology or FaceTopology()
        save_tables(
            Recording(
                folder=self._folder,
                image_shape=self._shape,
                image_stamps=np.array(self._image_stamps, np.int64),
                image_arrivals=np.array(self._image_arrivals, np.int64),
                meshes=self._streams["face_mesh"],
                raw=self._streams["face_mesh_raw"],
                triangles=np.asarray(topology.triangles, np.int32).reshape(-1, 3),
                coarse_triangles=np.asarray(topology.coarse_triangles, np.int32).reshape(-1, 3),
                uv=np.asarray(topology.uv, np.float32).reshape(-1, 2),
                model_name=topology.model_name,
                diagnostics=self._diagnostics,
                best=self._best,
            )
        )


def main(args: list[str] | None = None) -> int:
    """Run the recorder until the recording is complete."""
    return run(RecorderNode, args=args)


if __name__ == "__main__":
    raise SystemExit(main())
