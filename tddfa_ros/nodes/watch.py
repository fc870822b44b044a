"""What ``tddfa watch`` receives: faces of one topic, as plain values that print and become JSON.

The command line imports this module by name when the command runs, so that ``tddfa`` itself needs no ROS.
"""

from __future__ import annotations

import os
import posixpath
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy

from tddfa_msgs.msg import FaceLandmarksArray, FaceMeshArray, FaceTopology
from tddfa_ros.errors import TddfaError
from tddfa_ros.geometry.pose import CAMERA_FROM_CROP, FACE_FROM_MODEL, yaw_pitch_roll
from tddfa_ros.geometry.rotation import rotation_from_quaternion
from tddfa_ros.nodes.convert.messages import NANOSECONDS, stamp_ns, stamp_seconds
from tddfa_ros.nodes.face_publisher import LATCHED_QOS
from tddfa_ros.nodes.ros.runner import run

TYPES = {
    "tddfa_msgs/msg/FaceLandmarksArray": FaceLandmarksArray,
    "tddfa_msgs/msg/FaceMeshArray": FaceMeshArray,
}
# A watcher must never slow the graph down, so it takes what arrives and asks for nothing again.
_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
_LOOK_UP_SECONDS = 0.1
_SILENCE_SECONDS = 3.0
_TOPOLOGY_SECONDS = 2.0
_RATE_SECONDS = 2.0

Report = dict[str, Any]


def watch(
    topic: str,
    namespace: str,
    show: Callable[[Report], bool],
    say: Callable[[str], None],
    timeout: float | None = None,
) -> int:
    """Subscribe to a topic and hand every message to ``show`` until that returns False, or until SIGINT.

    Args:
        topic: name of a topic of type ``FaceLandmarksArray`` or ``FaceMeshArray``, relative to ``namespace``.
        namespace: ROS namespace, such as ``robot1``; empty for the root.
        show: gets the values of :func:`report`; its return value says whether to go on.
        say: gets sentences about waiting, for the user.
        timeout: seconds without a message after which to give up; None waits for ever.

    Returns:
        The exit code: 0, or 2 after an error, which is printed.
    """
    name = namespace.strip("/")
    args = ["--ros-args", "-r", f"__ns:=/{name}"] if name else []
    node: list[WatchNode] = []

    def build() -> WatchNode:
        node.append(WatchNode(topic, show, say, timeout))
        return node[0]

    code = run(build, args=args)
    if node and node[0].failure:
        raise TddfaError(node[0].failure)
    return code


class WatchNode(Node):
    """Finds the type of a topic, subscribes to it, and reports its messages."""

    def __init__(
        self,
        topic: str,
        show: Callable[[Report], bool],
        say: Callable[[str], None],
        timeout: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(f"tddfa_watch_{os.getpid()}", **kwargs)
        self.failure = ""
        self._topic = self.resolve_topic_name(topic)
        self._show, self._say, self._timeout = show, say, timeout
        self._names: Sequence[str] = ()
        self._arrivals: deque[float] = deque()
        self._heard = self._start = time.monotonic()
        self._first: float | None = None
        self._said = self._ended = False
        self._faces: Any = None
        beside = posixpath.join(posixpath.dirname(self._topic), "face_mesh/topology")
        self.create_subscription(FaceTopology, beside, self._on_topology, LATCHED_QOS)
        # Steady: simulated time may stand still.
        self.create_timer(_LOOK_UP_SECONDS, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))  # fmt: skip

    def _look(self) -> None:
        """Subscribe once the topic is there; speak up, or give up, when nothing comes."""
        if self._faces is None:
            self._subscribe()
        silent = time.monotonic() - self._heard
        if self._timeout is not None and silent >= self._timeout:
            self._end(f"no message on {self._topic} for {self._timeout:g} s; start the graph, or check topic, namespace and ROS_DOMAIN_ID")  # fmt: skip
        elif self._first is None and silent >= _SILENCE_SECONDS and not self._said:
            self._said = True
            self._say(f"waiting for {self._topic}: start the graph, or check topic, namespace and ROS_DOMAIN_ID")  # fmt: skip

    def _subscribe(self) -> None:
        kinds = dict(self.get_topic_names_and_types()).get(self._topic, [])
        known = [TYPES[kind] for kind in kinds if kind in TYPES]
        if known:
            self._faces = self.create_subscription(known[0], self._topic, self._on_faces, _QOS)
        elif kinds:
            self._end(f"{self._topic} has type {kinds[0]}; choose a topic of type {' or '.join(TYPES)}")  # fmt: skip

    def _on_topology(self, message: FaceTopology) -> None:
        self._names = tuple(message.expression_names)

    def _on_faces(self, message: Any) -> None:
        if self._ended:
            return
        now = self._heard = time.monotonic()
        self._first = self._first if self._first is not None else now
        self._arrivals.append(now)
        while now - self._arrivals[0] > _RATE_SECONDS:
            self._arrivals.popleft()
        # Names of expressions come once, on a topic of their own, and may be a moment later.
        if message.faces and not self._names and now - self._first < _TOPOLOGY_SECONDS:
            return
        latency = (self.get_clock().now().nanoseconds - stamp_ns(message.header.stamp)) / NANOSECONDS  # fmt: skip
        if not self._show(report(message, self._names, self._topic, self._rate(), latency * 1000)):
            self._end()

    def _rate(self) -> float | None:
        """Messages per second over the last two seconds; None before the second message."""
        if len(self._arrivals) < 2:
            return None
        return (len(self._arrivals) - 1) / (self._arrivals[-1] - self._arrivals[0])

    def _end(self, failure: str = "") -> None:
        if not self._ended:
            self._ended, self.failure = True, failure
            signal.raise_signal(signal.SIGINT)  # the way every node of this package ends


def report(
    message: Any, names: Sequence[str], topic: str, rate: float | None, latency_ms: float
) -> Report:
    """The values of one message.

    Args:
        message: ``FaceLandmarksArray`` or ``FaceMeshArray``.
        names: of the expression coefficients, from ``FaceTopology``; empty where it has not arrived.
        topic: resolved name.
        rate: messages per second, or None.
        latency_ms: from the image's stamp to now.

    Returns:
        ``topic``, ``stamp`` (s), ``frame_id``, ``rate`` (Hz), ``latency_ms`` and ``faces``: per face ``id``,
        ``confidence``, ``distance`` (m, camera to face), ``position`` (m, camera optical frame), ``yaw``, ``pitch``,
        ``roll`` (degrees, against a face that looks along the camera's axis; signs as ``Face.yaw_pitch_roll``) and ``expression`` (name -> 0..1). What is not finite is None.
    """
    return {
        "topic": topic,
        "stamp": stamp_seconds(message.header.stamp),
        "frame_id": message.header.frame_id,
        "rate": _rounded(rate, 2),
        "latency_ms": _rounded(latency_ms, 2),
        "faces": [_face(face, names) for face in message.faces],
    }


def _face(face: Any, names: Sequence[str]) -> Mapping[str, Any]:
    point, turn = face.head_pose.pose.position, face.head_pose.pose.orientation
    position = np.array([point.x, point.y, point.z])
    rotation = rotation_from_quaternion(np.array([turn.x, turn.y, turn.z, turn.w]))
    angles = yaw_pitch_roll(CAMERA_FROM_CROP @ rotation @ FACE_FROM_MODEL)
    values = face.expression if len(names) == len(face.expression) else ()
    return {
        "id": face.id,
        "confidence": _rounded(face.confidence, 3),
        "distance": _rounded(float(np.linalg.norm(position)), 4),
        "position": [_rounded(value, 4) for value in position],
        **{
            key: _rounded(value, 2)
            for key, value in zip(("yaw", "pitch", "roll"), angles, strict=True)
        },
        "expression": {
            name: _rounded(value, 3) for name, value in zip(names, values, strict=False)
        },
    }


def _rounded(value: float | None, digits: int) -> float | None:
    """A number that JSON has; None for NaN and infinity."""
    if value is None or not np.isfinite(value):
        return None
    return round(float(value), digits)
