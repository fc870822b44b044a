"""``face_node``: detect, track and regress the faces in an image topic."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger

from tddfa_ros.errors import ImageError
from tddfa_ros.face import TrackedFace
from tddfa_ros.nodes.camera_state import CameraInfoInput, CameraState
from tddfa_ros.nodes.convert.images import to_bgr
from tddfa_ros.nodes.convert.messages import NANOSECONDS, stamp_ns, stamp_seconds
from tddfa_ros.nodes.depth_input import DEPTH_TOPIC, DepthInput
from tddfa_ros.nodes.face_outputs import FaceOutputs
from tddfa_ros.nodes.options import FaceNodeOptions
from tddfa_ros.nodes.raw_faces import RawFacesTopic
from tddfa_ros.nodes.ros.demand import OnDemand
from tddfa_ros.nodes.ros.diagnostics import Diagnostics, Statistics
from tddfa_ros.nodes.ros.image_input import image_topic, subscribe_images
from tddfa_ros.nodes.ros.lifecycle import ManagedNode
from tddfa_ros.nodes.ros.mailbox import Worker
from tddfa_ros.nodes.ros.peers import RequiredPublisher
from tddfa_ros.nodes.ros.runner import run
from tddfa_ros.nodes.ros.stamps import STANDING_STAMPS, StampCheck
from tddfa_ros.nodes.ros.throttle import ThrottledLog
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.tracking.depth import DepthScale
from tddfa_ros.tracking.ids import TrackIds, resolve_prefix
from tddfa_ros.tracking.tracker import FaceTracker


class FaceNode(ManagedNode[FaceNodeOptions]):
    """Perception node: detection, tracking and regression of all faces in the latest image.

    The image callback stores the message in a one-slot mailbox; a worker thread always processes the latest image.

    Args:
        in_process: hands the faces to a ``smoothing_node`` in this process; None = there is none.
        kwargs: arguments of ``rclpy.node.Node``.
    """

    def __init__(self, in_process: RawFacesTopic | None = None, **kwargs: Any) -> None:
        super().__init__("face_node", FaceNodeOptions(), **kwargs)
        self._in_process = in_process
        if in_process is not None:
            in_process.name = self.resolve_topic_name("face_mesh_raw")
        self._log = ThrottledLog(self.get_logger())
        self._pending: FaceNodeOptions | None = None
        self._reset = threading.Event()
        self._enabled = True
        self._size: tuple[int, int] | None = None
        self._depth: DepthInput | None = None
        self._depth_scale = DepthScale()
        self._depth_fault = ""
        self._image_topic = image_topic(self, self._settings.config.image_transport)
        self._statistics = Statistics()
        self._stamps = StampCheck(lambda: self.get_clock().now().nanoseconds)
        self._diagnostics = Diagnostics(
            self,
            self._statistics,
            options=lambda: self._settings.config.diagnostics,
            inputs=[self._image_topic],
            facts=self._facts,
            state=self._state,
            warnings=self._warnings,
        )
        prefix = resolve_prefix(self._settings.config.id_prefix, self.get_namespace())
        self._ids = TrackIds(prefix)  # kept when the node is configured again
        self.create_service(SetBool, "~/enable", self._on_enable)
        self.create_service(Trigger, "~/reset", self._on_reset)
        self.begin()

    def load(self) -> None:
        """Load the networks and create the publishers."""
        options = self._settings.config
        self._pipeline = FacePipeline(options.pipeline())
        # Load the detector now instead of with the first image, so that a broken model stops the node at startup.
        _ = self._pipeline.detector
        self._tracker = FaceTracker(self._pipeline, ids=self._ids)
        self._image_topic = image_topic(self, options.image_transport)
        self._camera = CameraState(
            self._log,
            self.resolve_topic_name("camera_info"),
            options.camera.assumed_fov_deg,
            self._image_topic,
            options.image_is_rectified,
        )
        self._outputs = FaceOutputs(self, self._pipeline.model, options, self._in_process)
        peers = {self._image_topic: "the camera driver or image source has ended"}
        if not options.publish_face_mesh:
            peers[self.resolve_topic_name("face_mesh")] = "smoothing_node is not running"
        self._peers = [RequiredPublisher(self, *peer, self._log) for peer in peers.items()]
        depth = [DEPTH_TOPIC] if options.use_depth else []
        for topic in (self._image_topic, "camera_info", *depth):
            self.expect_subscription(topic)
        self._worker: Worker[Any] = Worker(self._process, self._on_error, "face_node")
        self._log_start()

    def start(self) -> None:
        """Subscribe to camera_info, and to images while outputs have subscribers."""
        self._camera_info = CameraInfoInput(self, self._camera)
        self._depth = DepthInput(self) if self._settings.config.use_depth else None
        discard = self._worker.mailbox.clear
        self._images = OnDemand(self, self._image_topic, self._wanted, self._subscribe, discard)

    def stop(self) -> None:
        """Unsubscribe from the inputs."""
        self._images.stop()
        self._camera_info.close()
        if self._depth is not None:
            self._depth.close()
            self._depth = None

    def unload(self) -> None:
        """End the worker, destroy the publishers and free the networks."""
        if "_worker" in self.__dict__:
            self._worker.stop()
            self._outputs.close()
        for name in ("_worker", "_outputs", "_tracker", "_pipeline"):
            self.__dict__.pop(name, None)

    def _on_image(self, message: Any) -> None:
        if not self._stamps.accept(message):
            self._statistics.late()
            return
        if self._stamps.standing:
            self._log.warning_once(f"{STANDING_STAMPS} (images on {self._image_topic})")
        self._statistics.received(dropped=self._worker.put(message))

    def _process(self, message: Any) -> None:
        """Process an image message and publish its faces, in the worker thread."""
        self._apply_requests()
        start = time.perf_counter()
        image = to_bgr(message, self._settings.config.input.max_image_pixels)
        decoded = time.perf_counter()
        header, frame_id = message.header, message.header.frame_id
        if not frame_id:
            header.frame_id = self._settings.config.fallback_frame_id
            self._log.once(
                "frame_id",
                f"images on {self._image_topic} have no frame_id; using '{header.frame_id}'",
            )
        height, width = image.shape[:2]
        self._check_size(width, height)
        intrinsics, camera_info = self._camera.model_for(width, height, header, frame_id)
        faces = self._tracker.update(
            image, stamp_seconds(header.stamp), intrinsics, defer_detection=True
        )
        source = self._depth
        if source is not None:
            faces = self._with_depth(source, faces, header, (width, height))
        tracked = time.perf_counter()
        self._outputs.publish(faces, header, camera_info)
        stages = {
            "decode": 1e3 * (decoded - start),
            **self._tracker.timings,
            "track": 1e3 * (tracked - decoded),
            "publish": 1e3 * (time.perf_counter() - tracked),
        }
        latency = (self.get_clock().now().nanoseconds - stamp_ns(header.stamp)) / NANOSECONDS
        self._statistics.processed(latency, stages, len(faces))
        self._tracker.run_deferred_detection()  # after publishing, so that the detector does not delay tracked faces
        note = self._pipeline.face_limit_note
        if note is not None:
            self._log.warning("max_faces", f"{self._image_topic}: {note}")
        self._log_device_warnings()

    def _with_depth(
        self, source: DepthInput, faces: list[TrackedFace], header: Header, size: tuple[int, int]
    ) -> list[TrackedFace]:
        """Scale the faces by the depth image of their image, if there is one."""
        try:
            depth = source.depth_for(header, *size)
            self._depth_fault = ""
        except ImageError as error:
            depth, self._depth_fault = None, str(error)
            self._log.exception("reading a depth image", error)
        return self._depth_scale(faces, depth)

    def _check_size(self, width: int, height: int) -> None:
        """Reset the tracks when the image size changes: their ROIs are pixels of the old size."""
        if self._size not in (None, (width, height)):
            self._tracker.reset()
            self._log.warning(
                "image_size",
                f"the size of the images changed to {width}x{height} px: all tracks were reset",
            )
        self._size = width, height

    def _wanted(self) -> bool:
        if not self._enabled:
            return False
        return not self._settings.config.lazy or self._outputs.wanted

    def _subscribe(self) -> list[Any]:
        self._reset.set()  # tracks of before the pause
        return [subscribe_images(self, self._settings.config.image_transport, self._on_image)]

    def _apply_requests(self) -> None:
        """Apply requests of services and parameters between two images."""
        pending, self._pending = self._pending, None
        if pending is not None:
            self._tracker.configure(pending.pipeline())
        if self._reset.is_set():
            self._reset.clear()
            self._tracker.reset()

    def _apply(self, options: FaceNodeOptions) -> None:
        """Take over parameters set at run time."""
        if not self.loaded:
            return
        self._camera.assumed_fov_deg = options.camera.assumed_fov_deg
        self._camera.image_is_rectified = options.image_is_rectified
        self._outputs.configure(options)
        self._pending = options

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._enabled = request.data
        if self.running:
            self._images.update()
        response.success = True
        response.message = "enabled" if request.data else "disabled"
        return response

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._reset.set()
        response.success = True
        response.message = "all tracks were reset"
        return response

    def _on_error(self, error: Exception) -> None:
        if not self.context.ok():
            return  # during shutdown publishers are destroyed while the worker runs
        self._statistics.failed(str(error))
        self._log.exception("processing an image", error)

    def _state(self) -> str:
        if self.state or not self._enabled:
            return self.state or "disabled"
        return "" if self._images.active else "idle: no subscribers"

    def _facts(self) -> dict[str, str]:
        if not self.loaded:
            return {}
        facts = {
            "provider": self._pipeline.provider,
            "camera": self._camera.description,
        }
        return facts | {f"note {i + 1}": n for i, n in enumerate(self._pipeline.device_warnings)}

    def _warnings(self) -> list[str]:
        if not self.running:
            return []
        wants_gpu = self._settings.config.regression.device == "cuda"
        warnings = [f"calibration refused: {self._camera.fault}"] if self._camera.fault else []
        if self._stamps.standing:
            warnings.append(STANDING_STAMPS)
        if self._depth_fault:
            warnings.append(self._depth_fault)
        if wants_gpu and "CPU" in self._pipeline.provider:
            warnings += self._pipeline.device_warnings
        if self._enabled:
            patience = self._settings.config.diagnostics.silence
            warnings += [problem for peer in self._peers for problem in peer.problems(patience)]
        return warnings

    def _log_start(self) -> None:
        config = self._settings.config
        self.get_logger().info(
            f"detecting faces on {self._image_topic} with "
            f"{config.detection.detector} and {config.pipeline().regression.model} on {self._pipeline.provider}"
        )
        self._log_device_warnings()

    def _log_device_warnings(self) -> None:
        """Warn of each reason why a GPU is not used, once; one may fail while it works."""
        for warning in self._pipeline.device_warnings:
            self._log.warning_once(warning)


def main() -> None:
    """Console script ``face_node``."""
    sys.exit(run(FaceNode))


if __name__ == "__main__":
    main()
