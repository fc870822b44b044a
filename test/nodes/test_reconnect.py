"""``image_source_node`` with a stream that stops and comes back, in this process."""

from __future__ import annotations

import time
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: run through `make test`")

import cv2
import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter

from tddfa_ros.nodes.image_source_node import ImageSourceNode
from tddfa_ros.sources import reconnect

pytestmark = pytest.mark.ros


class Capture:
    """Delivers frames while ``connected``."""

    connected = True

    def __init__(self, *_: Any) -> None:
        self._open = Capture.connected

    def isOpened(self) -> bool:  # noqa: N802
        return self._open

    def set(self, *_: Any) -> bool:
        return True

    def read(self) -> tuple[bool, np.ndarray | None]:
        time.sleep(0.02)
        good = self._open = self._open and Capture.connected
        return good, np.zeros((48, 64, 3), np.uint8) if good else None

    def release(self) -> None:
        self._open = False


def test_stream_that_comes_back_is_diagnosed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    monkeypatch.setattr(reconnect, "FIRST_DELAY", 0.05)
    monkeypatch.setattr(reconnect, "MAX_DELAY", 0.05)
    context = rclpy.Context()
    rclpy.init(args=[], context=context)
    ended: list[Any] = []
    node = ImageSourceNode(
        ended.append,
        context=context,
        parameter_overrides=[Parameter("source", value="rtsp://camera/1")],
    )
    seen: list[DiagnosticStatus] = []
    node.create_subscription(
        DiagnosticArray, "/diagnostics", lambda m: seen.extend(s for s in m.status if s.name == node.get_name()), 10
    )  # fmt: skip
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)

    def wait_for(level: bytes) -> DiagnosticStatus:
        seen.clear()
        end = time.monotonic() + 60
        while not any(status.level == level for status in seen):
            assert time.monotonic() < end, seen
            executor.spin_once(timeout_sec=0.1)
        return next(status for status in seen if status.level == level)

    try:
        wait_for(DiagnosticStatus.OK)
        Capture.connected = False
        status = wait_for(DiagnosticStatus.ERROR)
        assert "the stream" in status.message
        Capture.connected = True
        count = int(wait_for(DiagnosticStatus.OK).values[0].value)
        seen.clear()
        while not seen or int(seen[-1].values[0].value) <= count:
            executor.spin_once(timeout_sec=0.1)
        assert ended == []
    finally:
        Capture.connected = True
        node.close()
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)
