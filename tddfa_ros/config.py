"""Configuration: one frozen dataclass per stage, with defaults, ranges and descriptions.

This is the one source of truth. ROS parameters, ``config/face.yaml``, the command line and the tables of the README
are generated from it or checked against it.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from tddfa_ros.errors import ConfigError
from tddfa_ros.types import DEFAULT_FOV_DEG

T = TypeVar("T")


def option(
    default: Any,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | None = None,
    runtime: bool = True,
) -> Any:
    """Declare one option of a stage.

    Args:
        default: its default; its type (bool, int, float, str, or a tuple of these) is the type of the option.
        description: one line with the unit; shown as ROS parameter description and in the README.
        minimum, maximum: inclusive range of a number.
        choices: all allowed values of a string.
        runtime: whether a running node may change it.
    """
    metadata = {
        "help": description,
        "min": minimum,
        "max": maximum,
        "choices": choices,
        "runtime": runtime,
    }
    return field(default=default, metadata=metadata)


class Validated:
    """Base of configuration dataclasses: every option is checked against its declaration on construction."""

    def __post_init__(self) -> None:
        for f in fields(self):  # type: ignore[arg-type]
            if f.default is not MISSING:
                value = _checked(f.name, getattr(self, f.name), f.default, f.metadata)
                object.__setattr__(self, f.name, value)


@dataclass(frozen=True)
class DetectionConfig(Validated):
    """Finding faces in a whole image."""

    detector: str = option(
        "centerface",
        "face detector, a name in the model list or the path of an .onnx file",
        runtime=False,
    )
    input_size: int = option(
        320,
        "long side of the image that the detector sees, px, 96 or more; 0 = what the detector was made for",
        minimum=0,
        maximum=1920,
        runtime=False,
    )
    score_threshold: float = option(
        0.5, "detections below this score are ignored, 0..1", minimum=0.0, maximum=1.0
    )
    max_faces: int = option(
        20, "at most this many faces, the largest first", minimum=1, maximum=100
    )
    fallback: str = option(
        "",
        "second try where no face is found: a lower threshold such as 0.2, or another detector; empty = none",
        runtime=False,
    )


@dataclass(frozen=True)
class RegressionConfig(Validated):
    """From a crop to the coefficients of the morphable model."""

    model: str = option("tddfa-mb05", "regression network, a name in the model list", runtime=False)
    morphable_model: str = option(
        "tddfa-head", "morphable model, a name in the model list", runtime=False
    )
    device: str = option(
        "auto", "where networks run", choices=("auto", "cpu", "cuda"), runtime=False
    )
    threads: int = option(
        1,
        "threads of one network, 0 = let ONNX Runtime choose",
        minimum=0,
        maximum=64,
        runtime=False,
    )


@dataclass(frozen=True)
class CameraConfig(Validated):
    """The camera where no calibration is given."""

    assumed_fov_deg: float = option(
        DEFAULT_FOV_DEG,
        "horizontal field of view of an uncalibrated camera, degrees",
        minimum=5.0,
        maximum=170.0,
    )


@dataclass(frozen=True)
class TrackingConfig(Validated):
    """Which face is which, from frame to frame."""

    detect_interval: int = option(
        8,
        "frames between two searches for newcomers while something is tracked",
        minimum=1,
        maximum=1000,
    )
    min_hits: int = option(
        2, "frames in which a face must be seen before it is reported", minimum=1, maximum=100
    )
    max_misses: int = option(
        10, "frames without the face after which its track ends", minimum=0, maximum=1000
    )
    min_iou: float = option(
        0.3,
        "least overlap (intersection over union) of a detection and a track, 0..1",
        minimum=0.0,
        maximum=1.0,
    )
    min_confidence: float = option(
        0.4, "a face below this confidence counts as not seen, 0..1", minimum=0.0, maximum=1.0
    )
    min_roi_px: float = option(
        16.0, "smaller faces are not tracked, side of the ROI in px", minimum=4.0, maximum=4096.0
    )
    max_overlap: float = option(
        0.6,
        "two tracks whose ROIs overlap more (intersection over union, 0..1) are one face; the older one goes on",
        minimum=0.1,
        maximum=1.0,
    )
    max_unconfirmed: int = option(
        5,
        "searches in a row without a detection on a track after which it ends; 0 = never",
        minimum=0,
        maximum=1000,
    )


@dataclass(frozen=True)
class SmoothingConfig(Validated):
    """Removing jitter from a track, in parameter space."""

    method: str = option(
        "one_euro",
        "filter of pose and expression",
        choices=("one_euro", "kalman", "window", "none"),
    )
    window: int = option(5, "window: length of the moving mean, frames", minimum=1, maximum=100)
    min_cutoff: float = option(
        0.15,
        "one_euro: cutoff frequency of a resting head's position and size, Hz",
        minimum=0.001,
        maximum=100.0,
    )
    beta: float = option(
        3.0, "one_euro: Hz of cutoff per face size per second of speed", minimum=0.0, maximum=1000.0
    )
    d_cutoff: float = option(
        1.0, "one_euro: cutoff frequency of the speed itself, Hz", minimum=0.01, maximum=100.0
    )
    lag_cutoff: float = option(
        30.0,
        "one_euro: cutoff frequency at which motion beyond what noise explains is made up, Hz; 0 = the original filter",
        minimum=0.0,
        maximum=1000.0,
    )
    noise: float = option(
        0.005,
        "one_euro, kalman: standard deviation of a resting head's position, face sizes",
        minimum=1e-6,
        maximum=1.0,
    )
    rotation_min_cutoff: float = option(
        0.15,
        "one_euro: cutoff frequency of a resting head's rotation, Hz",
        minimum=0.001,
        maximum=100.0,
    )
    rotation_beta: float = option(
        1.5, "one_euro: Hz of cutoff per radian per second of turning", minimum=0.0, maximum=1000.0
    )
    rotation_noise: float = option(
        0.01,
        "one_euro, kalman: standard deviation of a resting head's rotation, radians",
        minimum=1e-6,
        maximum=1.0,
    )
    expression_min_cutoff: float = option(
        1.0, "one_euro: cutoff frequency of a resting expression, Hz", minimum=0.001, maximum=100.0
    )
    expression_beta: float = option(
        1.0, "one_euro: Hz of cutoff per unit of expression per second", minimum=0.0, maximum=1000.0
    )
    expression_noise: float = option(
        0.03,
        "one_euro, kalman: standard deviation of a resting expression's coefficients",
        minimum=1e-6,
        maximum=1.0,
    )
    kalman_acceleration: float = option(
        0.3,
        "kalman: how abruptly a head moves, face sizes / s^1.5; rotation and expression scale with their noise",
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
        1.0, "a face not seen for longer starts anew, seconds", minimum=0.01, maximum=3600.0
    )


@dataclass(frozen=True)
class PipelineConfig:
    """All stages, in the order in which data flows through them."""

    detection: DetectionConfig = field(default_factory=DetectionConfig)
    regression: RegressionConfig = field(default_factory=RegressionConfig)
    camera: CameraConfig = field(default_factory=CameraConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    smoothing: SmoothingConfig = field(default_factory=SmoothingConfig)


def to_dict(config: Any) -> dict[str, Any]:
    """Turn a configuration dataclass into plain, nested dictionaries; the inverse of :func:`from_dict`."""
    return asdict(config)


def from_dict(cls: type[T], values: Mapping[str, Any], where: str = "") -> T:
    """Make a configuration dataclass from nested mappings; what is absent keeps its default.

    Args:
        cls: one of the dataclasses of this module.
        values: option -> value, or stage -> mapping.
        where: prefix of names in error messages, such as ``"detection."``.

    Raises:
        ConfigError: unknown option, wrong type, or a value out of range.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(
            f"{where.rstrip('.') or 'the configuration'} must be a mapping, not {values!r}"
        )
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    arguments: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(_unknown(f"{where}{name}", [f"{where}{k}" for k in known]))
        stage = known[name].default_factory
        if stage is not MISSING and is_dataclass(stage):
            arguments[name] = from_dict(stage, {} if value is None else value, f"{where}{name}.")
        else:
            f = known[name]
            arguments[name] = _checked(f"{where}{name}", value, f.default, f.metadata)
    return cls(**arguments)


def load_config(
    source: str | Path | Mapping[str, Any] | PipelineConfig | None = None,
) -> PipelineConfig:
    """Read a :class:`PipelineConfig`.

    Args:
        source: a YAML file; its stages stand at the top level, or below ``<node>: ros__parameters:`` as in
            ``config/face.yaml`` (other parameters of nodes are then left to the nodes). Or a mapping of the same
            shape, a finished configuration, or None for the defaults.

    Raises:
        ConfigError: the file cannot be read, or holds an unknown or impossible value.
    """
    if isinstance(source, PipelineConfig):
        return source
    if source is None:
        return PipelineConfig()
    values = source if isinstance(source, Mapping) else read_yaml(Path(source))
    if any(isinstance(v, Mapping) and "ros__parameters" in v for v in values.values()):
        values = _stages_of_ros_parameters(values)
    return from_dict(PipelineConfig, values)


def read_yaml(path: Path) -> Mapping[str, Any]:
    """Read a YAML file that holds a mapping; an empty file is an empty mapping.

    Raises:
        ConfigError: the file cannot be read, or is something else.
    """
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the configuration {path}: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path} must hold a mapping of options to values")
    return values


def _stages_of_ros_parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    """Collect the stages of all nodes in a ROS parameter file; later nodes win."""
    stages: dict[str, Any] = {}
    names = {f.name for f in fields(PipelineConfig)}
    for node in values.values():
        parameters = node.get("ros__parameters") if isinstance(node, Mapping) else None
        for name, value in (parameters or {}).items():
            if name in names:
                stages[name] = {**stages.get(name, {}), **(value or {})}
    return stages


def _checked(name: str, value: Any, default: Any, limits: Mapping[str, Any]) -> Any:
    """Return ``value`` with the type of ``default``, or raise ConfigError."""
    kind = type(default)
    if kind is tuple:
        if not isinstance(value, (list, tuple)) or len(value) != len(default):
            raise ConfigError(f"{name} must be a list of {len(default)} values, not {value!r}")
        pairs = enumerate(zip(value, default, strict=True))
        return tuple(_checked(f"{name}[{i}]", v, d, limits) for i, (v, d) in pairs)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        raise ConfigError(f"{name} must be {_KIND[kind]}, not {value!r}")
    choices, low, high = limits.get("choices"), limits.get("min"), limits.get("max")
    if choices and value not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
    if (low is not None and value < low) or (high is not None and value > high):
        raise ConfigError(f"{name} must lie between {low} and {high}, not be {value}")
    return value


_KIND = {bool: "true or false", int: "a whole number", float: "a finite number", str: "a text"}


def _unknown(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
    return f"unknown configuration option {name}: {hint}"
