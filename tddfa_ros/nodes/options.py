"""ROS parameters of each node, as frozen, validated dataclasses; nested dataclasses become dotted names.

This module does not import ROS, so that the parameter tables can be generated on machines without it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tddfa_ros.config import (
    DEVICES,
    CameraConfig,
    DetectionConfig,
    InputConfig,
    PipelineConfig,
    RegressionConfig,
    SmoothingConfig,
    TrackingConfig,
)
from tddfa_ros.nodes.shared_options import (
    DiagnosticsOptions,
    LifecycleOptions,
    MeshOptions,
    PublishOptions,
)
from tddfa_ros.schema import Validated, option
from tddfa_ros.tracking.ids import FROM_NAMESPACE, check_prefix

IMAGE_TRANSPORTS = ("raw", "compressed")
"""Transports of image topics, named as in image_transport."""


@dataclass(frozen=True)
class FaceNodeOptions(PublishOptions, LifecycleOptions):
    """Parameters of ``face_node``."""

    image_is_rectified: str = option(
        "auto",
        "camera model of the images: true = P of camera_info without distortion, false = K and D, "
        "auto = true if the image topic or frame_id has rect or rectified as one of its words",
        choices=("auto", "true", "false"),
    )
    use_depth: bool = option(
        False,
        "measure the size of heads, and so their distance, with depth/image_raw, a depth image aligned to the color image",
        runtime=False,
    )

    model: str = option(
        "",
        "regression network, a name in the model list; the parameter shared by all nodes; empty = regression.model",
        runtime=False,
    )
    image_transport: str = option(
        "raw",
        "raw subscribes to image_raw, compressed to image_raw/compressed",
        choices=IMAGE_TRANSPORTS,
        runtime=False,
    )
    publish_face_mesh: bool = option(
        True,
        "publish face_mesh, face_landmarks, topology and /tf; false when smoothing_node publishes them",
        runtime=False,
    )
    raw_vertices: bool = option(
        False, "fill the vertices of face_mesh_raw, not only its parameters"
    )
    id_prefix: str = option(
        FROM_NAMESPACE,
        "start of every track ID: letters, digits and _; auto = from the namespace of the node, none in the root namespace",
        runtime=False,
    )
    input: InputConfig = field(default_factory=InputConfig)
    detection: DetectionConfig = field(default_factory=DetectionConfig)
    regression: RegressionConfig = field(default_factory=RegressionConfig)
    camera: CameraConfig = field(default_factory=CameraConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    diagnostics: DiagnosticsOptions = field(default_factory=DiagnosticsOptions)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_prefix(self.id_prefix)

    def pipeline(self) -> PipelineConfig:
        """Configuration of the pipeline and the tracker."""
        return PipelineConfig(
            input=self.input,
            detection=self.detection,
            regression=replace(self.regression, model=self.model or self.regression.model),
            camera=self.camera,
            tracking=self.tracking,
        )


@dataclass(frozen=True)
class SmoothingNodeOptions(MeshOptions, PublishOptions, LifecycleOptions):
    """Parameters of ``smoothing_node``."""

    smoothing: SmoothingConfig = field(default_factory=SmoothingConfig)
    diagnostics: DiagnosticsOptions = field(default_factory=DiagnosticsOptions)


@dataclass(frozen=True)
class OverlayOptions(Validated):
    """Content of the overlay of ``visualization_node``."""

    makeup: str = option(
        "",
        "virtual makeup preset drawn instead of the mesh, a name from 'tddfa makeup --list' or a .yaml file; empty = none",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.makeup:
            from tddfa_ros.makeup.preset_files import load_preset

            load_preset(self.makeup)


@dataclass(frozen=True)
class VisualizationNodeOptions(MeshOptions):
    """Parameters of ``visualization_node``."""

    image_transport: str = option(
        "raw",
        "raw subscribes to image_raw, compressed to image_raw/compressed",
        choices=IMAGE_TRANSPORTS,
        runtime=False,
    )
    marker_rate: float = option(
        15.0,
        "maximum rate of markers and points in image stamps, Hz; 0 = every frame",
        minimum=0.0,
        maximum=1000.0,
    )
    marker_lifetime: float = option(
        0.5, "lifetime of a marker in RViz, seconds", minimum=0.0, maximum=60.0
    )
    image_buffer: int = option(
        8, "images buffered until the meshes with the same stamp arrive", minimum=1, maximum=100
    )
    view_frame: str = option(
        "face_view",
        "frame on /tf_static at the camera, x forward and z up, for the view of RViz; the namespace is put in front "
        "(robot1_face_view); empty = none",
        runtime=False,
    )
    overlay: OverlayOptions = field(default_factory=OverlayOptions)


@dataclass(frozen=True)
class AvatarNodeOptions(MeshOptions):
    """Parameters of ``avatar_node``."""

    stretch: bool = option(
        True,
        "rescale each blend shape to its full range; false = raw network coefficients, which seldom reach 1",
        runtime=False,
    )
    osc: str = option(
        "",
        "destination of OSC messages (VMC protocol), host:port, such as 127.0.0.1:39540; empty = none",
        runtime=False,
    )
    livelink: str = option(
        "",
        "destination of Live Link Face packets, host:port, such as 127.0.0.1:11111; empty = none",
        runtime=False,
    )
    subject: str = option(
        "", "subject name in Live Link Face packets; empty = the track ID", runtime=False
    )
    web: bool = option(False, "serve a web page with a head animated by the face", runtime=False)
    web_port: int = option(
        8077, "port of the web page; 0 = any free port", minimum=0, maximum=65535, runtime=False
    )
    web_host: str = option(
        "127.0.0.1",
        "address that the web page is served on; 0.0.0.0 = all network interfaces",
        runtime=False,
    )
    rig: str = option(
        "",
        "avatar on the web page: a GLB file with morph targets named like ARKit's; empty = a mean head",
        runtime=False,
    )
    three: str = option(
        "",
        "folder of three.js for the web page; empty = node_modules/three in the working directory",
        runtime=False,
    )
    gaze: bool = option(
        False,
        "set the eyeLook blend shapes by the irises in the image instead of by the network",
        runtime=False,
    )
    image_transport: str = option(
        "raw",
        "of the images for gaze: raw subscribes to image_raw, compressed to image_raw/compressed",
        choices=IMAGE_TRANSPORTS,
        runtime=False,
    )
    lazy: bool = option(
        True,
        "subscribe to the faces only while face_blendshapes has a subscriber or another receiver is set",
        runtime=False,
    )


@dataclass(frozen=True)
class HriNodeOptions(MeshOptions):
    """Parameters of ``hri_node``."""

    image_transport: str = option(
        "raw",
        "raw subscribes to image_raw, compressed to image_raw/compressed",
        choices=IMAGE_TRANSPORTS,
        runtime=False,
    )
    image_buffer: int = option(
        8, "images buffered until the faces with the same stamp arrive", minimum=1, maximum=100
    )
    crop_size: int = option(
        128, "width and height of the cropped and aligned images, px", minimum=16, maximum=1024
    )
    timeout: float = option(
        0.5,
        "time without a face after which its topics are removed, seconds",
        minimum=0.0,
        maximum=3600.0,
    )
    attributes: bool = option(
        False, "estimate age and gender presentation for softbiometrics", runtime=False
    )
    attributes_rate: float = option(
        1.0, "maximum rate of estimates per face in image stamps, Hz", minimum=0.01, maximum=100.0
    )
    device: str = option(
        "auto", "compute device of the attribute network", choices=DEVICES, runtime=False
    )
    gaze: bool = option(
        False,
        "estimate pupils and gaze_<id> from the irises in the image; false = no pupils, and the gaze is that of the head",
        runtime=False,
    )
    lazy: bool = option(
        True,
        "subscribe to the faces only while tracked, a topic of a face or /tf has a subscriber",
        runtime=False,
    )


@dataclass(frozen=True)
class ImageSourceNodeOptions(Validated):
    """Parameters of ``image_source_node``."""

    source: str = option(
        "demo",
        "demo (a virtual camera moving over a still image), a camera (0 or /dev/video0), a stream (rtsp://...), "
        "or the path of a video, an image or a folder of images",
        runtime=False,
    )
    width: int = option(
        640,
        "requested width of a camera, width of demo, maximum width of files, px",
        minimum=16,
        maximum=8192,
        runtime=False,
    )
    height: int = option(
        480,
        "requested height of a camera, height of demo, maximum height of files, px",
        minimum=16,
        maximum=8192,
        runtime=False,
    )
    rate: float = option(
        0.0,
        "frames per second; 0 = the rate of the source (30 for demo and images)",
        minimum=0.0,
        maximum=240.0,
        runtime=False,
    )
    loop: bool = option(
        True,
        "restart at the end; false = play once, starting with the first subscriber, then shut down",
        runtime=False,
    )
    frame_id: str = option(
        "camera_optical_frame", "frame_id of the images: x right, y down, z forward", runtime=False
    )
    image_transport: str = option(
        "raw",
        "compressed also publishes JPEG on image_raw/compressed",
        choices=IMAGE_TRANSPORTS,
        runtime=False,
    )
    jpeg_quality: int = option(90, "JPEG quality", minimum=1, maximum=100)
