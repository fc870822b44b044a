"""Configuration of the pipeline, the tracker and the smoother: one frozen, validated dataclass per stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tddfa_ros.schema import Validated, from_dict, option, read_yaml
from tddfa_ros.types import DEFAULT_FOV_DEG, MAX_IMAGE_PIXELS

DEVICES = ("auto", "cpu", "cuda")
"""Compute devices; ``auto`` is CUDA where ONNX Runtime finds a usable GPU, else the CPU."""

PRECISIONS = FLOAT32, INT8, AUTO = ("float32", "int8", "auto")
"""Number formats of a network; ``auto`` is int8 where ``tddfa doctor`` measured it to be faster and it costs little accuracy."""

SMOOTHING_METHODS = ("imm", "one_euro", "kalman", "window", "none")


def _precision(of: str) -> Any:
    text = f"number format of the {of}: int8 is made at first use; auto = int8 if 'tddfa doctor' measured a gain"
    return option(FLOAT32, text, choices=PRECISIONS, runtime=False)


@dataclass(frozen=True)
class InputConfig(Validated):
    """Images that are accepted."""

    max_image_pixels: int = option(
        MAX_IMAGE_PIXELS,
        "largest width x height of a compressed image or an image file; larger ones are refused before they are decoded",
        minimum=1,
        maximum=1_000_000_000,
    )


@dataclass(frozen=True)
class DetectionConfig(Validated):
    """Face detection in a whole image."""

    detector: str = option(
        "centerface",
        "face detector: a name in the model list or the path of an .onnx file",
        runtime=False,
    )
    input_size: int = option(
        320,
        "long side of the detector's input, px, at least 96; 0 = the detector's native size",
        minimum=0,
        maximum=1920,
        runtime=False,
    )
    score_threshold: float = option(
        0.5, "detections with a lower score are ignored, 0..1", minimum=0.0, maximum=1.0
    )
    max_faces: int = option(20, "maximum number of faces, largest first", minimum=1, maximum=100)
    fallback: str = option(
        "",
        "fallback when no face is found: a lower score threshold such as 0.2, or another detector; empty = none",
        runtime=False,
    )
    precision: str = _precision("detector")


@dataclass(frozen=True)
class RegressionConfig(Validated):
    """Regression of morphable-model coefficients from a crop."""

    model: str = option("tddfa-mb05", "regression network, a name in the model list", runtime=False)
    morphable_model: str = option(
        "tddfa-head", "morphable model, a name in the model list", runtime=False
    )
    device: str = option("auto", "compute device of the networks", choices=DEVICES, runtime=False)
    threads: int = option(
        1,
        "ONNX Runtime threads per network; 0 = chosen by ONNX Runtime",
        minimum=0,
        maximum=64,
        runtime=False,
    )
    precision: str = _precision("network")


@dataclass(frozen=True)
class CameraConfig(Validated):
    """Camera model used without calibration, and metric scale."""

    assumed_fov_deg: float = option(
        DEFAULT_FOV_DEG,
        "horizontal field of view of an uncalibrated camera, degrees",
        minimum=5.0,
        maximum=170.0,
    )
    interpupillary_distance: float = option(
        0.0,
        "distance of the pupils of the people in view, m, such as 0.063 (mean of adults) or 0.050 (5 years); 0 = unknown",
        minimum=0.0,
        maximum=0.1,
    )


@dataclass(frozen=True)
class TrackingConfig(Validated):
    """Multi-face tracking from frame to frame."""

    detect_interval: int = option(
        8, "frames between detector runs while faces are tracked", minimum=1, maximum=1000
    )
    min_hits: int = option(
        2, "frames in which a face must be found before it is reported", minimum=1, maximum=100
    )
    max_misses: int = option(
        10,
        "frames without a hit in which the predicted ROI is regressed; later only a detection recovers the track",
        minimum=0,
        maximum=1000,
    )
    min_iou: float = option(
        0.3, "minimum IoU of a detection and a track to be matched, 0..1", minimum=0.0, maximum=1.0
    )
    min_confidence: float = option(
        0.4, "a face with a lower confidence counts as a miss, 0..1", minimum=0.0, maximum=1.0
    )
    min_roi_px: float = option(
        16.0, "minimum ROI side of a tracked face, px", minimum=4.0, maximum=4096.0
    )
    max_overlap: float = option(
        0.6,
        "tracks whose ROIs have a higher IoU are duplicates of one face and the older is kept, 0..1",
        minimum=0.1,
        maximum=1.0,
    )
    max_unconfirmed: int = option(
        5,
        "consecutive periodic detector runs that miss a track after which it is lost; 0 = never",
        minimum=0,
        maximum=1000,
    )
    max_lost_s: float = option(
        2.0,
        "time without a hit after which a track ends and its ID is not used again, seconds",
        minimum=0.0,
        maximum=3600.0,
    )
    low_score: float = option(
        0.2,
        "detections with a score from here to detection.score_threshold only recover lost tracks, 0..1",
        minimum=0.0,
        maximum=1.0,
    )
    max_regressed: int = option(
        8,
        "faces regressed per frame; the others are extrapolated for up to 2 frames; 0 = all",
        minimum=0,
        maximum=1000,
    )
    camera_motion: bool = option(True, "compensate the translation of the camera between frames")


@dataclass(frozen=True)
class SmoothingConfig(Validated):
    """Temporal smoothing of a track in parameter space."""

    method: str = option("imm", "filter for pose and expression", choices=SMOOTHING_METHODS)
    window: int = option(5, "window: largest number of frames averaged", minimum=1, maximum=100)
    imm_margin: float = option(
        2.0,
        "imm: factor on the measurement noise; larger: steadier at rest, later to follow",
        minimum=0.1,
        maximum=100.0,
    )
    min_cutoff: float = option(
        0.15,
        "one_euro: minimum cutoff frequency of position and size, Hz",
        minimum=0.001,
        maximum=100.0,
    )
    beta: float = option(
        12.0,
        "one_euro: speed coefficient of position and size, Hz per (face size / s)",
        minimum=0.0,
        maximum=1000.0,
    )
    d_cutoff: float = option(
        3.0, "one_euro: cutoff frequency of the derivative, Hz", minimum=0.01, maximum=100.0
    )
    lag_cutoff: float = option(
        30.0,
        "one_euro: cutoff frequency of lag compensation beyond the noise level, Hz; 0 = original filter",
        minimum=0.0,
        maximum=1000.0,
    )
    noise: float = option(
        0.00125,
        "imm, one_euro, kalman, window: measurement noise of the position (std), face sizes",
        minimum=1e-6,
        maximum=1.0,
    )
    rotation_min_cutoff: float = option(
        0.15,
        "one_euro: minimum cutoff frequency of the rotation, Hz",
        minimum=0.001,
        maximum=100.0,
    )
    rotation_beta: float = option(
        6.0,
        "one_euro: speed coefficient of the rotation, Hz per (rad / s)",
        minimum=0.0,
        maximum=1000.0,
    )
    rotation_noise: float = option(
        0.0025,
        "imm, one_euro, kalman, window: measurement noise of the rotation (std), radians",
        minimum=1e-6,
        maximum=1.0,
    )
    expression_min_cutoff: float = option(
        1.0,
        "one_euro: minimum cutoff frequency of the expression, Hz",
        minimum=0.001,
        maximum=100.0,
    )
    expression_beta: float = option(
        1.0,
        "one_euro: speed coefficient of the expression, Hz per (coefficient / s)",
        minimum=0.0,
        maximum=1000.0,
    )
    expression_noise: float = option(
        0.004,
        "imm, one_euro, kalman, window: measurement noise of an expression coefficient (std)",
        minimum=1e-6,
        maximum=1.0,
    )
    kalman_acceleration: float = option(
        0.3,
        "kalman: process noise of the position, face sizes / s^1.5; rotation and expression scale with their noise",
        minimum=0.001,
        maximum=1000.0,
    )
    identity_memory: float = option(
        300.0,
        "frames over which identity is averaged, weighted by confidence",
        minimum=1.0,
        maximum=100000.0,
    )
    max_gap: float = option(
        1.0, "gap after which the filter of a track restarts, seconds", minimum=0.01, maximum=3600.0
    )


@dataclass(frozen=True)
class PipelineConfig(Validated):
    """All stages, in processing order."""

    input: InputConfig = field(default_factory=InputConfig)
    detection: DetectionConfig = field(default_factory=DetectionConfig)
    regression: RegressionConfig = field(default_factory=RegressionConfig)
    camera: CameraConfig = field(default_factory=CameraConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    smoothing: SmoothingConfig = field(default_factory=SmoothingConfig)


def load_config(
    source: str | Path | Mapping[str, Any] | PipelineConfig | None = None,
) -> PipelineConfig:
    """Load a :class:`PipelineConfig`.

    Args:
        source: path of a YAML file with the stages at the top level or below ``<node>: ros__parameters:``, as in
            ``config/face.yaml`` (parameters of nodes that are no stage are ignored); a mapping of the same structure; a
            :class:`PipelineConfig`; or None for the defaults.

    Raises:
        ConfigError: the file cannot be read, or an option is unknown or invalid.
    """
    if isinstance(source, PipelineConfig):
        return source
    if source is None:
        return PipelineConfig()
    values = source if isinstance(source, Mapping) else read_yaml(Path(source))
    if any(isinstance(v, Mapping) and "ros__parameters" in v for v in values.values()):
        values = _stages_of_ros_parameters(values)
    return from_dict(PipelineConfig, values)


def _stages_of_ros_parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    """Collect the stages of all nodes in a ROS parameter file; later nodes override earlier ones."""
    stages: dict[str, Any] = {}
    names = {f.name for f in fields(PipelineConfig)}
    for node in values.values():
        parameters = node.get("ros__parameters") if isinstance(node, Mapping) else None
        for name, value in (parameters or {}).items():
            if name in names:
                stages[name] = {**stages.get(name, {}), **(value or {})}
    return stages
