"""Groups of ROS parameters that several nodes share; like :mod:`tddfa_ros.nodes.options` without ROS."""

from __future__ import annotations

from dataclasses import dataclass

from tddfa_ros.config import RegressionConfig
from tddfa_ros.schema import Validated, option

FLOAT32, FLOAT16 = VERTICES_ENCODINGS = ("float32", "float16")
"""Number formats of the vertices of a message."""


@dataclass(frozen=True)
class DiagnosticsOptions(Validated):
    """Thresholds at which /diagnostics changes from OK to WARN."""

    min_fps: float = option(
        5.0, "warn below this frame rate, frames per second; 0 = never", minimum=0.0, maximum=1000.0
    )
    max_latency_ms: float = option(
        150.0,
        "warn above this median latency from image stamp to publication, ms",
        minimum=0.0,
        maximum=100000.0,
    )
    max_drop_ratio: float = option(
        0.6, "warn above this ratio of dropped to received frames, 0..1", minimum=0.0, maximum=1.0
    )
    silence: float = option(
        3.0, "warn when no input has arrived for this long, seconds", minimum=0.1, maximum=3600.0
    )


@dataclass(frozen=True)
class LifecycleOptions(Validated):
    """How a managed node starts."""

    lifecycle: bool = option(
        True,
        "managed node with the services of ROS 2's lifecycle; false = plain node",
        runtime=False,
    )
    autostart: bool = option(
        True,
        "configure and activate at the start; false = wait for a lifecycle manager",
        runtime=False,
    )


@dataclass(frozen=True)
class PublishOptions(Validated):
    """Contents of face_mesh, and head poses on /tf."""

    publish_vertices: bool = option(
        True, "fill FaceMesh.vertices (m), or vertices_float16: 12 or 6 bytes per vertex"
    )
    vertices_encoding: str = option(
        FLOAT32,
        "float32 fills FaceMesh.vertices; float16 fills vertices_float16, half the bytes, rounded by less than 0.07 mm",
        choices=VERTICES_ENCODINGS,
    )
    publish_image_vertices: bool = option(
        False,
        "fill FaceMesh.vertices_image (px): 12 bytes per vertex; subscribers can compute it from the other fields",
    )
    publish_tf: bool = option(True, "broadcast the head pose of every face on /tf")
    fallback_frame_id: str = option("camera_optical_frame", "frame_id used for images without one")
    lazy: bool = option(
        True,
        "subscribe to the input only while an output has a subscriber (a TF listener counts)",
    )


@dataclass(frozen=True)
class MeshOptions(Validated):
    """Morphable model of the meshes that a node receives, named directly or by the network of ``face_node``."""

    model: str = option(
        "",
        "regression network of face_node, a name in the model list; selects its morphable model; empty = default network",
        runtime=False,
    )
    morphable_model: str = option(
        RegressionConfig().morphable_model,
        "morphable model of the meshes, a name in the model list; an imported network replaces the default by its own",
        runtime=False,
    )

    def regression(self) -> RegressionConfig:
        """Regression options that determine the morphable model."""
        return RegressionConfig(
            model=self.model or RegressionConfig().model, morphable_model=self.morphable_model
        )
