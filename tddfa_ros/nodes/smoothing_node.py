"""``smoothing_node``: smooth face_mesh_raw, or the faces of a ``face_node`` in the same process, and publish face_mesh."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

from std_srvs.srv import Trigger

from tddfa_msgs.msg import FaceMeshArray
from tddfa_ros.model_store.store import default_store
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.nodes.convert.messages import NANOSECONDS, stamp_ns
from tddfa_ros.nodes.face_publisher import OUTPUT_QOS, FacePublisher
from tddfa_ros.nodes.options import SmoothingNodeOptions
from tddfa_ros.nodes.raw_faces import RawFaces, RawFacesTopic, received_faces
from tddfa_ros.nodes.ros.demand import OnDemand
from tddfa_ros.nodes.ros.diagnostics import Diagnostics, Statistics
from tddfa_ros.nodes.ros.intra_process import IntraProcessTopic
from tddfa_ros.nodes.ros.lifecycle import ManagedNode
from tddfa_ros.nodes.ros.mailbox import Worker
from tddfa_ros.nodes.ros.peers import RequiredPublisher
from tddfa_ros.nodes.ros.runner import run
from tddfa_ros.nodes.ros.stamps import STANDING_STAMPS, StampCheck
from tddfa_ros.nodes.ros.throttle import ThrottledLog
from tddfa_ros.smoothing.smoother import FaceSmoother


class SmoothingNode(ManagedNode[SmoothingNodeOptions]):
    """Filters the parameters of each track over time and reconstructs the meshes from them.

    Args:
        in_process: hands over the faces of a ``face_node`` in this process; None = subscribe to ``face_mesh_raw``. Not used when the
            two nodes have different names for that topic.
        kwargs: arguments of ``rclpy.node.Node``.
    """

    _model: MorphableModel
    _smoother: FaceSmoother
    _publisher: FacePublisher
    _worker: Worker[FaceMeshArray | RawFaces]
    _faces: OnDemand

    def __init__(self, in_process: RawFacesTopic | None = None, **kwargs: Any) -> None:
        super().__init__("smoothing_node", SmoothingNodeOptions(), **kwargs)
        self._log = ThrottledLog(self.get_logger())
        self._pending: SmoothingNodeOptions | None = None
        self._reset = threading.Event()
        self._statistics = Statistics()
        self._stamps = StampCheck(lambda: self.get_clock().now().nanoseconds)
        topic = self.resolve_topic_name("face_mesh_raw")
        same = in_process is not None and in_process.name == topic
        self._in_process = in_process if same else None
        self._peer = RequiredPublisher(self, topic, "face_node is not running", self._log)
        self._diagnostics = Diagnostics(
            self,
            self._statistics,
            options=lambda: self._settings.config.diagnostics,
            inputs=[topic],
            warnings=self._warnings,
            facts=lambda: {"method": self._settings.config.smoothing.method},
            state=self._state,
        )
        self.create_service(Trigger, "~/reset", self._on_reset)
        self.begin()

    def load(self) -> None:
        """Load the morphable model and create the publishers."""
        options = self._settings.config
        store = default_store()
        chosen = store.morphable_model(options.regression())
        self._model = MorphableModel.load(store.path(chosen))
        self._smoother = FaceSmoother(options.smoothing)
        self._publisher = FacePublisher(self, self._model, options)
        self.expect_subscription("face_mesh_raw")
        self._worker = Worker(self._process, self._on_error, "smoothing_node")

    def start(self) -> None:
        """Subscribe to the faces of face_node while outputs have subscribers."""
        discard = self._worker.mailbox.clear
        self._faces = OnDemand(
            self, "face_mesh_raw", self._wanted, self._subscribe, discard, self._unsubscribe
        )

    def stop(self) -> None:
        """Unsubscribe from the faces of face_node."""
        self._faces.stop()

    def unload(self) -> None:
        """End the worker, destroy the publishers and free the model."""
        if "_worker" in self.__dict__:
            self._worker.stop()
            self._publisher.close()
        for name in ("_worker", "_publisher", "_smoother", "_model"):
            self.__dict__.pop(name, None)

    def _state(self) -> str:
        return self.state or ("" if self._faces.active else "idle: no subscribers")

    def _warnings(self) -> list[str]:
        if not self.running:
            return []
        standing = [STANDING_STAMPS] if self._stamps.standing else []
        return standing + self._peer.problems(self._settings.config.diagnostics.silence)

    def _wanted(self) -> bool:
        return not self._settings.config.lazy or self._publisher.wanted

    def _subscribe(self) -> list[Any]:
        self._reset.set()  # filters of before the pause
        if self._in_process is not None:
            return [self._in_process.subscribe(self._on_raw_faces)]
        return [
            self.create_subscription(FaceMeshArray, "face_mesh_raw", self._on_message, OUTPUT_QOS)
        ]

    def _unsubscribe(self, subscription: Any) -> None:
        if isinstance(subscription, IntraProcessTopic):
            subscription.unsubscribe()
        else:
            self.destroy_subscription(subscription)

    def _on_message(self, message: FaceMeshArray) -> None:
        if self._accept(message):
            self._statistics.received(dropped=self._worker.put(message))

    def _on_raw_faces(self, faces: RawFaces) -> None:
        """Process faces of this process at once, in the worker thread of ``face_node``."""
        try:
            if self._accept(faces):
                self._statistics.received(dropped=False)
                self._process(faces)
        except Exception as error:
            self._on_error(error)

    def _accept(self, received: FaceMeshArray | RawFaces) -> bool:
        accepted = self._stamps.accept(received)
        if not accepted:
            self._statistics.late()
        return accepted

    def _process(self, received: FaceMeshArray | RawFaces) -> None:
        """Smooth and publish the faces of an image."""
        self._apply_requests()
        start = time.perf_counter()
        faces = self._smoother(received_faces(received, self._model))
        smoothed = time.perf_counter()
        self._publisher.publish(faces, received.header, received.camera_info)
        stages = {
            "smooth": 1e3 * (smoothed - start),
            "publish": 1e3 * (time.perf_counter() - smoothed),
        }
        now = self.get_clock().now().nanoseconds
        latency = (now - stamp_ns(received.header.stamp)) / NANOSECONDS
        self._statistics.processed(latency, stages, len(faces))

    def _apply_requests(self) -> None:
        """Apply requests of services and parameters between two messages."""
        pending, self._pending = self._pending, None
        if pending is not None and pending.smoothing != self._smoother.config:
            self._smoother = FaceSmoother(pending.smoothing)
        if self._reset.is_set():
            self._reset.clear()
            self._smoother.reset()

    def _apply(self, options: SmoothingNodeOptions) -> None:
        """Take over parameters set at run time."""
        if not self.loaded:
            return
        self._publisher.options = options
        self._pending = options

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._reset.set()
        response.success = True
        response.message = "all filters were reset"
        return response

    def _on_error(self, error: Exception) -> None:
        if not self.context.ok():
            return  # during shutdown publishers are destroyed while the worker runs
        self._statistics.failed(str(error))
        self._log.exception("smoothing faces", error)


def main() -> None:
    """Console script ``smoothing_node``."""
    sys.exit(run(SmoothingNode))


if __name__ == "__main__":
    main()
