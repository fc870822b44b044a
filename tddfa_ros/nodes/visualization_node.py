"""``visualization_node``: publish markers, a colored point cloud and an image overlay of face_mesh."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from tddfa_msgs.msg import FaceMeshArray
from tddfa_ros.errors import TddfaError
from tddfa_ros.face import Face
from tddfa_ros.makeup.artist import Makeup
from tddfa_ros.makeup.preset_files import load_preset
from tddfa_ros.model_store.store import default_store
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.nodes.convert.images import image_message, to_bgr
from tddfa_ros.nodes.convert.messages import NANOSECONDS, stamp_ns, tracked_faces
from tddfa_ros.nodes.convert.rviz import MarkerBuilder, point_cloud, view_transform
from tddfa_ros.nodes.face_publisher import LATCHED_QOS, OUTPUT_QOS
from tddfa_ros.nodes.options import VisualizationNodeOptions
from tddfa_ros.nodes.ros.demand import OnDemand
from tddfa_ros.nodes.ros.image_input import StampMatcher, image_topic, subscribe_images
from tddfa_ros.nodes.ros.mailbox import Worker
from tddfa_ros.nodes.ros.overrides import TopicNode
from tddfa_ros.nodes.ros.parameters import Parameters
from tddfa_ros.nodes.ros.runner import run
from tddfa_ros.nodes.ros.throttle import ThrottledLog
from tddfa_ros.rendering.overlay import draw_overlay
from tddfa_ros.types import ImageBGR


class OverlayPainter:
    """Draws overlays: mesh, landmarks and pose, or virtual makeup.

    Args:
        model: morphable model of the faces.
        makeup: name or file of a makeup preset, see :func:`load_preset`; empty = draw mesh, landmarks and pose.

    Raises:
        ConfigError: the preset is unknown or invalid.
        ImageError: an image of the preset cannot be read.
        ModelError: the preset needs a model with other properties.
    """

    def __init__(self, model: MorphableModel, makeup: str = "") -> None:
        self.makeup = makeup
        self._model = model
        self._makeup = Makeup(model, load_preset(makeup)) if makeup else None

    def draw(self, image: ImageBGR, faces: Sequence[Face]) -> ImageBGR:
        """Draw on a copy of an image (H, W, 3) uint8 BGR."""
        if self._makeup is None:
            return draw_overlay(image, faces, self._model)
        return self._makeup.apply(image, faces)


IMAGES, FACES = 0, 1


class VisualizationNode(TopicNode):
    """Draws faces for RViz and image viewers.

    Each output is computed only while it has subscribers. Images are subscribed to only for the overlay and the points, and are
    matched with the faces by stamp.
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
        self._view_publisher = self.create_publisher(TFMessage, "/tf_static", LATCHED_QOS)
        self._view_frame, self._view_parent = view_frame(self, options.view_frame), ""
        self._marker_worker = Worker(self._publish_markers, self._on_error, "markers")
        self._image_worker = Worker(self._publish_images, self._on_error, "images")
        self._faces = OnDemand(
            self,
            "face_mesh",
            lambda: self._images_wanted() or self._has_subscriber(self._marker_publisher),
            lambda: [
                self.create_subscription(FaceMeshArray, "face_mesh", self._on_faces, OUTPUT_QOS)
            ],
        )
        self._images = OnDemand(
            self,
            image_topic(self, options.image_transport),
            self._images_wanted,
            lambda: [subscribe_images(self, options.image_transport, self._on_image)],
            self._matcher.clear,
        )

    def close(self) -> None:
        """Stop the worker threads."""
        self._marker_worker.stop()
        self._image_worker.stop()

    def _images_wanted(self) -> bool:
        return self._has_subscriber(self._overlay_publisher) or self._has_subscriber(
            self._point_publisher
        )

    def _on_faces(self, message: FaceMeshArray) -> None:
        self._place_view(message.header)
        if self._has_subscriber(self._marker_publisher) and self._due("markers", message.header):
            self._marker_worker.put(message)
        if self._images.active:
            self._pair(FACES, message)

    def _place_view(self, header: Header) -> None:
        """Publish the frame of the view, when the frame of the images is first known and whenever it changes."""
        parent = header.frame_id
        if self._view_frame and parent not in ("", self._view_parent, self._view_frame):
            self._view_parent = parent
            transform = view_transform(header, self._view_frame)
            self._view_publisher.publish(TFMessage(transforms=[transform]))

    def _on_image(self, message: Any) -> None:
        self._pair(IMAGES, message)

    def _pair(self, stream: int, message: Any) -> None:
        pair = self._matcher.add(stream, stamp_ns(message.header.stamp), message)
        if pair is not None:
            self._image_worker.put(pair)

    def _publish_markers(self, message: FaceMeshArray) -> None:
        faces = tracked_faces(message, self._model)
        self._marker_publisher.publish(self._markers.build(faces, message.header))

    def _publish_images(self, pair: tuple[Any, FaceMeshArray]) -> None:
        received, message = pair
        image = to_bgr(received)
        faces = tracked_faces(message, self._model)
        if self._has_subscriber(self._overlay_publisher):
            drawn = self._painter.draw(image, faces)
            self._overlay_publisher.publish(image_message(drawn, message.header))
        if self._has_subscriber(self._point_publisher) and self._due("points", message.header):
            self._point_publisher.publish(point_cloud(faces, message.header, image))

    def _due(self, output: str, header: Header) -> bool:
        """Return whether a rate-limited output is due at the stamp of a header; a stamp that goes back restarts the limit."""
        rate = self._settings.config.marker_rate
        now, last = stamp_ns(header.stamp), self._last.get(output)
        # 4 ms of tolerance: 15 Hz of a 30 Hz stream must be every other image.
        if rate > 0 and last is not None and 0 <= now - last < (1 / rate - 0.004) * NANOSECONDS:
            return False
        self._last[output] = now
        return True

    def _apply(self, options: VisualizationNodeOptions) -> None:
        """Take over parameters set at run time."""
        self._markers.lifetime = options.marker_lifetime
        self._matcher.size = options.image_buffer
        if options.overlay.makeup != self._painter.makeup:
            try:
                self._painter = OverlayPainter(self._model, options.overlay.makeup)
            except TddfaError as error:
                self.get_logger().error(f"overlay.makeup is unchanged: {error}")

    def _on_error(self, error: Exception) -> None:
        if not self.context.ok():
            return  # during shutdown publishers are destroyed while the workers run
        self._log.exception("drawing faces", error)

    @staticmethod
    def _has_subscriber(publisher: Any) -> bool:
        return bool(publisher.get_subscription_count())


def view_frame(node: Node, name: str) -> str:
    """Put the namespace of a node in front of a frame name, so that every graph has its own view; empty stays empty."""
    parts = [part for part in node.get_namespace().split("/") if part]
    return "_".join([*parts, name]) if name else ""


def main() -> None:
    """Console script ``visualization_node``."""
    sys.exit(run(VisualizationNode))


if __name__ == "__main__":
    main()
