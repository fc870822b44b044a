"""What can be configured on each node, as frozen dataclasses; they become ROS parameters, dots between levels.

No ROS in here: tables of parameters are generated from these classes on machines without it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tddfa_ros.config import (
    CameraConfig,
    DetectionConfig,
    PipelineConfig,
    RegressionConfig,
    SmoothingConfig,
    TrackingConfig,
    option,
)


@dataclass(frozen=True)
class DiagnosticsOptions:
    """When /diagnostics turns from OK to WARN."""

    min_fps: float = option(
        5.0,
        "warn when fewer frames per second are processed; 0 = never",
        minimum=0.0,
        maximum=1000.0,
    )
    max_latency_ms: float = option(
        150.0,
        "warn when the median latency from image stamp to publication is higher",
        minimum=0.0,
        maximum=100000.0,
    )
    max_drop_ratio: float = option(
        0.6,
        "warn when a larger share of the arriving frames is dropped",
        minimum=0.0,
        maximum=1.0,
    )
    silence: float = option(
        3.0,
        "warn when nothing has arrived for this many seconds",
        minimum=0.1,
        maximum=3600.0,
    )


@dataclass(frozen=True)
class PublishOptions:
    """What goes into face_mesh, and whether head poses go to /tf."""

    publish_vertices: bool = option(
        True,
        "fill FaceMesh.vertices (metres): 12 bytes per vertex",
    )
    publish_image_vertices: bool = option(
        True,
        "fill FaceMesh.vertices_image (px): 12 bytes per vertex",
    )
    publish_tf: bool = option(
        True,
        "send the head pose of every face to /tf",
    )
    fallback_frame_id: str = option(
        "camera_optical_frame",
        "frame of images that come without a frame_id",
    )


@dataclass(frozen=True)
class MeshOptions:
    """Whose meshes a node gets: said by the network that ``face_node`` runs, or by the morphable model itself."""

    model: str = option(
        "",
        "regression network that face_node runs, a name in the model list; it decides the morphable model; empty = the package's own",
        runtime=False,
    )
    morphable_model: str = option(
        RegressionConfig().morphable_model,
        "morphable model of the meshes, a name in the model list; the default gives way to that of an imported network",
        runtime=False,
    )

    def regression(self) -> RegressionConfig:
        """What the networks of ``face_node`` are, as far as meshes depend on it."""
        return RegressionConfig(
            model=self.model or RegressionConfig().model, morphable_model=self.morphable_model
        )


@dataclass(frozen=True)
class FaceNodeOptions(PublishOptions):
    """Parameters of ``face_node``."""

    model: str = option(
        "",
        "regression network, a name in the model list, under a name that the other nodes have too; empty = regression.model",
        runtime=False,
    )
    image_transport: str = option(
        "raw",
        "raw subscribes to image_raw, compressed to image_raw/compressed",
        choices=("raw", "compressed"),
        runtime=False,
    )
    publish_face_mesh: bool = option(
        True,
        "publish face_mesh, face_landmarks, topology and /tf; false when smoothing_node does",
        runtime=False,
    )
    raw_vertices: bool = option(
        False,
        "fill the vertices of face_mesh_raw too, not only its parameters",
    )
    lazy: bool = option(
        True,
        "do no work while nobody subscribes to any output (a TF listener counts)",
    )
    detection: DetectionConfig = field(default_factory=DetectionConfig)
    regression: RegressionConfig = field(default_factory=RegressionConfig)
    camera: CameraConfig = field(default_factory=CameraConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    diagnostics: DiagnosticsOptions = field(default_factory=DiagnosticsOptions)

    def pipeline(self) -> PipelineConfig:
        """The part of the options that the pipeline and the tracker are made from."""
        return PipelineConfig(
            detection=self.detection,
            regression=replace(self.regression, model=self.model or self.regression.model),
            camera=self.camera,
            tracking=self.tracking,
        )


@dataclass(frozen=True)
class SmoothingNodeOptions(MeshOptions, PublishOptions):
    """Parameters of ``smoothing_node``."""

    smoothing: SmoothingConfig = field(default_factory=SmoothingConfig)
    diagnostics: DiagnosticsOptions = field(default_factory=DiagnosticsOptions)


@dataclass(frozen=True)
class OverlayOptions:
    """What the overlay of ``visualization_node`` shows."""

    look: str = option(
        "",
        "make-up in place of the drawing, a name from 'tddfa makeup --list' or a .yaml file; empty = none",
    )

    def __post_init__(self) -> None:
        """Refuse a look that cannot be read."""
        if self.look:
            from tddfa_ros.makeup.reading import load_look

            load_look(self.look)


@dataclass(frozen=True)
class VisualizationNodeOptions(MeshOptions):
    """Parameters of ``visualization_node``."""

    image_transport: str = option(
        "raw",
        "raw subscribes to image_raw, compressed to image_raw/compressed",
        choices=("raw", "compressed"),
        runtime=False,
    )
    marker_rate: float = option(
        15.0,
        "markers and points are sent at most this often, Hz of the image stamps; 0 = every frame",
        minimum=0.0,
        maximum=1000.0,
    )
    marker_lifetime: float = option(
        0.5,
        "seconds after which RViz drops a marker that is not renewed",
        minimum=0.0,
        maximum=60.0,
    )
    image_buffer: int = option(
        8,
        "pictures kept until the meshes of the same stamp arrive",
        minimum=1,
        maximum=100,
    )
    overlay: OverlayOptions = field(default_factory=OverlayOptions)


@dataclass(frozen=True)
class AvatarNodeOptions(MeshOptions):
    """Parameters of ``avatar_node``."""

    stretch: bool = option(
        True,
        "use the whole range of each blend shape; false: the network's coefficients as they are, which seldom reach 1",
        runtime=False,
    )
    osc: str = option(
        "",
        "host:port that OSC in the VMC protocol is sent to, such as 127.0.0.1:39540; empty = none",
        runtime=False,
    )
    livelink: str = option(
        "",
        "host:port that Live Link Face packets are sent to, such as 127.0.0.1:11111; empty = none",
        runtime=False,
    )
    subject: str = option(
        "",
        "name that Live Link Face packets carry; empty = the id of the face",
        runtime=False,
    )
    web: bool = option(
        False,
        "serve a web page on which a head mirrors the face",
        runtime=False,
    )
    web_port: int = option(
        8077,
        "port of the page; 0 = any that is free",
        minimum=0,
        maximum=65535,
        runtime=False,
    )
    web_host: str = option(
        "127.0.0.1",
        "who may open the page; 0.0.0.0 = everybody who reaches this machine",
        runtime=False,
    )
    three: str = option(
        "",
        "folder of three.js for the page; empty = node_modules/three where the node is started",
        runtime=False,
    )


@dataclass(frozen=True)
class HriNodeOptions(MeshOptions):
    """Parameters of ``hri_node``."""

    image_transport: str = option(
        "raw",
        "raw subscribes to image_raw, compressed to image_raw/compressed",
        choices=("raw", "compressed"),
        runtime=False,
    )
    image_buffer: int = option(
        8,
        "pictures kept until the faces of the same stamp arrive",
        minimum=1,
        maximum=100,
    )
    crop_size: int = option(
        128,
        "width and height of the pictures cropped and aligned, px",
        minimum=16,
        maximum=1024,
    )
    timeout: float = option(
        0.5,
        "a face that is not seen for this many seconds is gone, and so are its topics",
        minimum=0.0,
        maximum=3600.0,
    )
    attributes: bool = option(
        False,
        "estimate age and gender presentation, for softbiometrics",
        runtime=False,
    )
    attributes_rate: float = option(
        1.0,
        "each face is estimated at most this often, Hz of the image stamps",
        minimum=0.01,
        maximum=100.0,
    )
    device: str = option(
        "auto",
        "where the network for attributes runs",
        choices=("auto", "cpu", "cuda"),
        runtime=False,
    )


@dataclass(frozen=True)
class ImageSourceNodeOptions:
    """Parameters of ``image_source_node``."""

    source: str = option(
        "demo",
        "demo = a photo seen by a moving virtual camera; a camera: 0 or /dev/video0; a stream: rtsp://...; "
        "the path of a video, a picture or a folder of pictures",
        runtime=False,
    )
    width: int = option(
        640,
        "width that a camera is asked for and demo has, px; files are shrunk to fit",
        minimum=16,
        maximum=8192,
        runtime=False,
    )
    height: int = option(
        480,
        "height that a camera is asked for and demo has, px; files are shrunk to fit",
        minimum=16,
        maximum=8192,
        runtime=False,
    )
    rate: float = option(
        0.0,
        "pictures per second; 0 = the source's own (30 for demo and pictures)",
        minimum=0.0,
        maximum=240.0,
        runtime=False,
    )
    loop: bool = option(
        True,
        "start anew at the end; false: show everything once, from the first subscriber on, then end the node",
        runtime=False,
    )
    frame_id: str = option(
        "camera_optical_frame",
        "frame of the pictures: x right, y down, z forward",
        runtime=False,
    )
    image_transport: str = option(
        "raw",
        "compressed publishes JPEG on image_raw/compressed too",
        choices=("raw", "compressed"),
        runtime=False,
    )
    jpeg_quality: int = option(
        90,
        "quality of the JPEG pictures",
        minimum=1,
        maximum=100,
    )
