"""``visualization_node``: face_mesh in; markers, colored points and an overlay out, for people to look at."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from tddfa_msgs.msg import FaceMeshArray
from tddfa_ros.errors import TddfaError
from tddfa_ros.face import Face, TrackedFace
from tddfa_ros.makeup.artist import Makeup
from tddfa_ros.makeup.preset_files import load_preset
from tddfa_ros.model_store.store import default_store
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.nodes.convert.images import to_bgr
from tddfa_ros.nodes.convert.markers import MarkerBuilder
from tddfa_ros.nodes.convert.messages import NANOSECONDS, stamp_ns, tracked_faces, uint8_sequence
from tddfa_ros.nodes.convert.pointcloud import point_cloud
from tddfa_ros.nodes.face_publisher import OUTPUT_QOS
from tddfa_ros.nodes.options import VisualizationNodeOptions
from tddfa_ros.nodes.ros.mailbox import Worker
from tddfa_ros.nodes.ros.parameters import Parameters
from tddfa_ros.nodes.ros.runner import run
from tddfa_ros.nodes.ros.stamps import StampMatcher
from tddfa_ros.nodes.ros.subscriptions import subscribe_images
from tddfa_ros.nodes.ros.throttle import ThrottledLog
from tddfa_ros.rendering.overlay import draw_overlay
from tddfa_ros.types import ImageBGR


class OverlayPainter:
    """Draws overlays.

    Args:
        model: of the faces.
        makeup: a preset's name or file, see :func:`load_preset`; empty = none.

    Raises:
        ConfigError, ImageError, ModelError: the makeup preset cannot be used.
    """

    def __init__(self, model: MorphableModel, makeup: str = "") -> None:
        self.makeup = makeup
        self._model = model
        self._makeup = Makeup(model, load_preset(makeup)) if makeup else None

    def draw(self, image: ImageBGR, faces: Sequence[Face]) -> ImageBGR:
        """A copy of the picture, (H, W, 3) uint8 BGR: mesh, landmarks and pose; with a makeup preset only the makeup."""
        if self._makeup is None:
            return draw_overlay(image, faces, self._model)
        return self._makeup.apply(image, faces)


IMAGES, FACES = 0, 1
POLL = 0.2
"""Seconds between two looks at who subscribes: Humble's rclpy has no event for it."""


class VisualizationNode(Node):
    """Draws faces for RViz and image viewers, and only what somebody looks at.

    Without a viewer it subscribes to nothing. It asks for pictures only while the overlay or the points are shown, and
    joins them with the faces of the same stamp.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("visualization_node", **kwargs)
        self._log = ThrottledLog(self.get_logger())
        self._settings = Parameters(self, VisualizationNodeOptions(), self._apply)
        options = self._settings.config
        store = default_store()
        chosen = store.morphable_model(options.regression())
        self._model = MorphableModel.load(store.path(chosen))
        self._painter = OverlayPainter(self._model, options.overlay.makeup)
        self._markers = MarkerBuilder(options.marker_lifetime)
        self._matcher = StampMatcher(options.image_buffer)
        self._last: dict[str, int] = {}
        self._marker_publisher = self.create_publisher(MarkerArray, "face_markers", OUTPUT_QOS)
        self._point_publisher = self.create_publisher(PointCloud2, "face_points", OUTPUT_QOS)
        self._overlay_publisher = self.create_publisher(Image, "face_overlay", OUTPUT_QOS)
        self._marker_worker = Worker(self._show_markers, self._on_error, "markers")
        self._picture_worker = Worker(self._show_pictures, self._on_error, "pictures")
        self._faces: Any = None
        self._images: Any = None
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._poll = self.create_timer(POLL, self._refresh_subscriptions, clock=clock)

    def close(self) -> None:
        """Stop the workers; the node publishes nothing more."""
        self._marker_worker.stop()
        self._picture_worker.stop()

    def _refresh_subscriptions(self) -> None:
        """Subscribe to what is needed for the outputs that somebody subscribes to."""
        pictures = self._shown(self._overlay_publisher) or self._shown(self._point_publisher)
        faces = pictures or self._shown(self._marker_publisher)
        if faces and self._faces is None:
            self._faces = self.create_subscription(
                FaceMeshArray, "face_mesh", self._on_faces, OUTPUT_QOS
            )
        elif not faces and self._faces is not None:
            self.destroy_subscription(self._faces)
            self._faces = None
        if pictures and self._images is None:
            transport = self._settings.config.image_transport
            self._images = subscribe_images(self, transport, self._on_image)
        elif not pictures and self._images is not None:
            self.destroy_subscription(self._images)
            self._images = None
            self._matcher.clear()

    def _on_faces(self, message: FaceMeshArray) -> None:
        if self._shown(self._marker_publisher) and self._due("markers", message.header):
            self._marker_worker.put(message)
        if self._images is not None:
            self._pair(FACES, message)

    def _on_image(self, message: Any) -> None:
        self._pair(IMAGES, message)

    def _pair(self, stream: int, message: Any) -> None:
        pair = self._matcher.add(stream, stamp_ns(message.header.stamp), message)
        if pair is not None:
            self._picture_worker.put(pair)

    def _show_markers(self, message: FaceMeshArray) -> None:
        faces = tracked_faces(message, self._model)
        self._marker_publisher.publish(self._markers.build(faces, message.header))

    def _show_pictures(self, pair: tuple[Any, FaceMeshArray]) -> None:
        picture, message = pair
        image = to_bgr(picture)
        faces = tracked_faces(message, self._model)
        if self._shown(self._overlay_publisher):
            self._overlay_publisher.publish(self._overlay(image, faces, message.header))
        if self._shown(self._point_publisher) and self._due("points", message.header):
            self._point_publisher.publish(point_cloud(faces, message.header, image))

    def _overlay(self, image: ImageBGR, faces: list[TrackedFace], header: Header) -> Image:
        drawn = self._painter.draw(image, faces)
        height, width = drawn.shape[:2]
        message = Image(header=header, height=height, width=width, encoding="bgr8", step=3 * width)
        message.data = uint8_sequence(drawn)
        return message

    def _due(self, output: str, header: Header) -> bool:
        """Whether an output with a limited rate may be sent again; a stamp that goes back starts anew."""
        rate = self._settings.config.marker_rate
        now, last = stamp_ns(header.stamp), self._last.get(output)
        # Half a period of a fast camera of slack: 15 Hz of a 30 Hz stream must mean every other picture.
        if rate > 0 and last is not None and 0 <= now - last < (1 / rate - 0.004) * NANOSECONDS:
            return False
        self._last[output] = now
        return True

    def _apply(self, options: VisualizationNodeOptions) -> None:
        """Parameters changed at run time."""
        self._markers.lifetime = options.marker_lifetime
        self._matcher.size = options.image_buffer
        if options.overlay.makeup != self._painter.makeup:
            try:
                self._painter = OverlayPainter(self._model, options.overlay.makeup)
            except TddfaError as error:
                self.get_logger().error(f"overlay.makeup is unchanged: {error}")

    def _on_error(self, error: Exception) -> None:
        if not self.context.ok():
            return  # The process is being stopped: publishers vanish under the worker's feet.
        self._log.exception("drawing faces", error)

    @staticmethod
    def _shown(publisher: Any) -> bool:
        return bool(publisher.get_subscription_count())


def main() -> None:
    """Console script ``visualization_node``."""
    sys.exit(run(VisualizationNode))


if __name__ == "__main__":
    main()
