"""ROS nodes of `race.py`: MediaPipe in the plainest rclpy node, and a listener that measures latency.

python benchmarks/race_nodes.py mediapipe --model face_landmarker.task --faces 1
python benchmarks/race_nodes.py listener --topic face_mesh --seconds 10
"""

from __future__ import annotations

import argparse
import array
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

sys.path.insert(0, str(Path(__file__).resolve().parent))

from race_worker import MediaPipe

from tddfa_msgs.msg import FaceLandmarksArray, FaceMesh, FaceMeshArray

_WARM_UP_S = 3.0


class MediaPipeNode(Node):
    """Subscribe to images, run FaceLandmarker in the callback, publish 478 landmarks as the vertices of a face."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__("mediapipe_node")
        self._contestant = MediaPipe(options)
        self._landmarker = self._contestant.landmarker(options.faces, video=True)
        self._last = 0
        self._publisher = self.create_publisher(FaceMeshArray, "face_mesh", qos_profile_sensor_data)
        self.create_subscription(Image, "image_raw", self._see, qos_profile_sensor_data)

    def _see(self, message: Image) -> None:
        bgr = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)
        stamp = message.header.stamp
        self._last = max(self._last + 1, stamp.sec * 1000 + stamp.nanosec // 1_000_000)
        result = self._landmarker.detect_for_video(self._contestant.image(bgr), self._last)
        out = FaceMeshArray(header=message.header)
        size = (message.width, message.height, message.width)
        for number, face in enumerate(result.face_landmarks):
            points = np.array([[p.x, p.y, p.z] for p in face], np.float32) * np.float32(size)
            mesh = FaceMesh(header=message.header, id=f"f{number}")
            mesh.vertices = array.array("f", points.tobytes())
            out.faces.append(mesh)
        self._publisher.publish(out)


class Listener(Node):
    """Collect the time from the stamp of the image to the arrival of its faces, ms."""

    def __init__(self, topic: str) -> None:
        super().__init__("listener")
        self.latencies: list[float] = []
        self.faces: list[int] = []
        self.first: float | None = None
        kind: Any = FaceLandmarksArray if topic == "face_landmarks" else FaceMeshArray
        self.create_subscription(kind, topic, self._receive, qos_profile_sensor_data)

    def _receive(self, message: Any) -> None:
        now = self.get_clock().now().nanoseconds
        stamp = message.header.stamp
        if self.first is None and message.faces:
            self.first = time.monotonic()
        if self.first is not None and time.monotonic() - self.first > _WARM_UP_S:
            self.latencies.append((now - stamp.sec * 10**9 - stamp.nanosec) / 1e6)
            self.faces.append(len(message.faces))


def main() -> None:
    """Run one of the nodes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("node", choices=("mediapipe", "listener"))
    parser.add_argument("--model", type=Path)
    parser.add_argument("--faces", type=int, default=1)
    parser.add_argument("--topic", default="face_mesh")
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    rclpy.init()
    if options.node == "mediapipe":
        rclpy.spin(MediaPipeNode(options))
        return
    listener, begin = Listener(options.topic), time.monotonic()
    while time.monotonic() - begin < 60 + options.seconds:
        rclpy.spin_once(listener, timeout_sec=0.2)
        begun = listener.first
        if begun is not None and time.monotonic() - begun > _WARM_UP_S + options.seconds:
            break
    answer = {"latencies": listener.latencies, "faces": listener.faces}
    print(json.dumps(answer), flush=True)
    os._exit(0)  # the answer is complete


if __name__ == "__main__":
    main()
