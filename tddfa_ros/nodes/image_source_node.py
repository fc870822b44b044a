"""``image_source_node``: publish images of a camera, file or virtual camera, for graphs without a camera driver."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from tddfa_ros.errors import ImageError, SourceError
from tddfa_ros.nodes.convert.camera_info import camera_info_message
from tddfa_ros.nodes.convert.images import compressed_message, image_message
from tddfa_ros.nodes.options import ImageSourceNodeOptions
from tddfa_ros.nodes.ros.image_input import image_topic
from tddfa_ros.nodes.ros.overrides import TopicNode
from tddfa_ros.nodes.ros.parameters import Parameters
from tddfa_ros.nodes.ros.runner import EXIT_USER_ERROR, run
from tddfa_ros.nodes.ros.throttle import ThrottledLog
from tddfa_ros.sources import Frame, ImageSource, create_source
from tddfa_ros.sources.reconnect import ReconnectingSource

CAMERA_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
"""Reliable, which also matches best-effort subscriptions; RViz and most viewers subscribe reliably."""

_CLOSE_SECONDS = 1.0


class ImageSourceNode(TopicNode):
    """Reads an image source in a thread and publishes its frames, stamped with the time of reading.

    Args:
        on_end: called from that thread at the end of the source, with the error that ended it or None.
    """

    def __init__(
        self, on_end: Callable[[SourceError | None], None] | None = None, **kwargs: Any
    ) -> None:
        super().__init__("image_source_node", **kwargs)
        self._log = ThrottledLog(self.get_logger())
        self._settings = Parameters(self, ImageSourceNodeOptions())
        options = self._settings.config
        self._on_end = on_end
        self._stop = threading.Event()
        self._published = 0
        self._source = self._open_source()
        if self._source.rate == 0:  # a camera or stream
            self._source = ReconnectingSource(
                self._source, self._open_source, self._stop.wait, self.get_logger().warning
            )
        truncation = getattr(self._source, "truncation", None)
        if truncation is not None:
            self._log.warning("truncation", f"{truncation}; the frames before that are published")
        self._raw = self.create_publisher(Image, "image_raw", CAMERA_QOS)
        self._info = self.create_publisher(CameraInfo, "camera_info", CAMERA_QOS)
        self._compressed = (
            self.create_publisher(CompressedImage, image_topic(self, "compressed"), CAMERA_QOS)
            if options.image_transport == "compressed"
            else None
        )
        self._status = self.create_publisher(DiagnosticArray, "/diagnostics", QoSProfile(depth=10))
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0, self._publish_status, clock=steady)
        self._thread = threading.Thread(target=self._run, name="image_source", daemon=True)
        self._thread.start()

    def _open_source(self) -> ImageSource:
        options = self._settings.config
        return create_source(
            options.source, options.width, options.height, options.rate, options.loop
        )

    def _publish_status(self) -> None:
        """Publish whether the source delivers frames."""
        problem = getattr(self._source, "problem", "")
        status = DiagnosticStatus(
            level=DiagnosticStatus.ERROR if problem else DiagnosticStatus.OK,
            name=self.get_fully_qualified_name().lstrip("/"),
            message=problem or "the source is open",
            values=[KeyValue(key="frames published", value=str(self._published))],
        )
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._status.publish(message)

    def close(self) -> None:
        """Stop reading and release the device."""
        self._stop.set()
        self._thread.join(_CLOSE_SECONDS)
        # A driver that hangs in read() cannot be closed safely; the end of the process closes it.
        if not self._thread.is_alive():
            self._source.close()

    def _run(self) -> None:
        error: SourceError | None = None
        try:
            self._wait_for_subscriber()
            self._play()
        except SourceError as reason:
            error = reason
        except Exception as reason:
            # During shutdown publishers are destroyed while the thread runs.
            if self._stop.is_set() or not self.context.ok():
                return
            error = SourceError(f"unexpected {type(reason).__name__} while publishing: {reason}")
        if self._stop.is_set():
            return
        if error is not None:
            self.get_logger().error(str(error))
        else:
            self.get_logger().info(f"reached the end of '{self._settings.config.source}'")
        if self._on_end is not None:
            self._on_end(error)

    def _wait_for_subscriber(self) -> None:
        """Wait for a subscriber before playing a file once: discovery takes longer than its first frames."""
        if self._settings.config.loop or self._source.rate == 0:
            return
        self.get_logger().info("waiting for a subscriber")
        while not self._has_subscriber() and not self._stop.wait(0.05):
            pass

    def _has_subscriber(self) -> bool:
        publishers = (self._raw, self._compressed)
        return any(p is not None and p.get_subscription_count() > 0 for p in publishers)

    def _play(self) -> None:
        """Read and publish frames at the rate of the source, until its end."""
        start = due = time.monotonic()
        while not self._stop.is_set():
            try:
                frame = self._source.read(time.monotonic() - start)
                if frame is None:
                    return
                self._publish(frame)
            except ImageError as error:
                self._log.exception("reading an image", error)
            if self._source.rate > 0:
                # After a stall, do not catch up: that would flood the subscribers.
                due = max(due + 1 / self._source.rate, time.monotonic() - 1 / self._source.rate)
                self._stop.wait(max(due - time.monotonic(), 0.0))

    def _publish(self, frame: Frame) -> None:
        options = self._settings.config
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=options.frame_id)
        height, width = frame.image.shape[:2]
        self._published += 1
        # CameraInfo first, so that it is available when the image arrives.
        self._info.publish(
            camera_info_message(frame.intrinsics, header, width=width, height=height)
        )
        if self._raw.get_subscription_count():
            self._raw.publish(image_message(frame.image, header))
        if self._compressed is not None and self._compressed.get_subscription_count():
            self._compressed.publish(compressed_message(frame.image, header, options.jpeg_quality))
        self._log.once(
            "first",
            f"publishing {width}x{height} images of '{options.source}' on {self._raw.topic_name}",
        )


def main() -> None:
    """Console script ``image_source_node``; exits at the end of the source, with code 2 after an error."""
    ended_by: list[SourceError | None] = []

    def on_end(error: SourceError | None) -> None:
        ended_by.append(error)
        rclpy.try_shutdown()

    code = run(lambda: ImageSourceNode(on_end))
    if ended_by and ended_by[0] is not None:
        print(f"error: {ended_by[0]}", file=sys.stderr, flush=True)
        code = EXIT_USER_ERROR
    sys.exit(code)


if __name__ == "__main__":
    main()
