"""Face detectors, one file each, behind one protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tddfa_ros.config import DetectionConfig
from tddfa_ros.detection.base import Detector
from tddfa_ros.errors import ConfigError, ModelError
from tddfa_ros.model_store.store import ModelStore

__all__ = ["DETECTORS", "Detector", "check_detection", "create_detector"]

SMALLEST_INPUT = 96
"""Least long side, px, that a detector is given; below it none finds anything but a face that fills the picture."""

Maker = Callable[[Path, DetectionConfig, str, int], Detector]


def _centerface(path: Path, config: DetectionConfig, device: str, threads: int) -> Detector:
    from tddfa_ros.detection.centerface import CenterFace

    return CenterFace(
        path, config.input_size, config.score_threshold, config.max_faces, device, threads
    )


def _faceboxes(path: Path, config: DetectionConfig, device: str, threads: int) -> Detector:
    from tddfa_ros.detection.faceboxes import FaceBoxes

    return FaceBoxes(
        path, config.input_size, config.score_threshold, config.max_faces, device, threads
    )


def _scrfd(path: Path, config: DetectionConfig, device: str, threads: int) -> Detector:
    from tddfa_ros.detection.scrfd import Scrfd

    return Scrfd(path, config.input_size, config.score_threshold, config.max_faces, device, threads)


def _yunet(path: Path, config: DetectionConfig, device: str, threads: int) -> Detector:
    from tddfa_ros.detection.yunet import YuNet

    return YuNet(path, config.input_size, config.score_threshold, config.max_faces, device, threads)


DETECTORS: dict[str, Maker] = {
    "centerface": _centerface,
    "faceboxes": _faceboxes,
    "scrfd": _scrfd,
    "yunet": _yunet,
}
"""Makers of detectors by family, which is also the usual name of their model."""


def check_detection(config: DetectionConfig) -> None:
    """Refuse values that no detector could work with; whether its model is there is not looked at.

    Raises:
        ConfigError: the input size is too small, or the fallback is no second try.
    """
    if 0 < config.input_size < SMALLEST_INPUT:
        raise ConfigError(
            f"detection.input_size must be 0 (what the detector was made for) or at least {SMALLEST_INPUT}, not {config.input_size}"
        )
    low = _lower_threshold(config)
    if low is None and config.fallback and config.fallback == config.detector:
        raise ConfigError(
            f"detection.fallback names the detector itself, {config.detector}; give another one, or a lower threshold"
        )
    if low is not None and not 0 <= low < config.score_threshold:
        raise ConfigError(
            f"detection.fallback must be a detector or a threshold below detection.score_threshold "
            f"({config.score_threshold}), not {config.fallback}"
        )


def create_detector(
    config: DetectionConfig, store: ModelStore, device: str = "auto", threads: int = 1
) -> Detector:
    """Make the detector that the configuration names; its model is fetched when it is not there yet.

    ``config.detector`` is a name of the model list, or the path of an ``.onnx`` file; ``config.fallback`` adds a second try.

    Raises:
        ConfigError: there is no such detector, or the fallback or the input size makes no sense.
        ModelError: its model cannot be had or loaded.
    """
    check_detection(config)
    first = _create(config, store, device, threads)
    if not config.fallback:
        return first
    from tddfa_ros.detection.fallback import LowerThreshold, OtherDetector

    low = _lower_threshold(config)
    if low is not None:
        return LowerThreshold(first, low)
    other = replace(config, detector=config.fallback, input_size=0)
    return OtherDetector(first, _create(other, store, device, threads))


def _lower_threshold(config: DetectionConfig) -> float | None:
    """The fallback as a number; None where it is a name or nothing."""
    try:
        return float(config.fallback)
    except ValueError:
        return None


def _create(config: DetectionConfig, store: ModelStore, device: str, threads: int) -> Detector:
    from tddfa_ros.detection.families import family_of

    name = config.detector
    if name.endswith(".onnx"):
        path, family = store.path(name), family_of(store.path(name))
    elif name in store.entries and store.entries[name].role == "detector":
        path = store.path(name)
        family = name if name in DETECTORS else family_of(path)
    elif name in DETECTORS:
        raise ConfigError(
            f"the detector {name} needs weights of your own: run 'tddfa models import --from FILE'"
        )
    else:
        known = sorted(entry.name for entry in store.entries.values() if entry.role == "detector")
        raise ConfigError(f"there is no detector {name!r}; known are {', '.join(known)}")
    if family is None:
        raise ModelError(
            f"{path} is none of the detectors that can be read: {', '.join(sorted(DETECTORS))}"
        )
    return DETECTORS[family](path, config, device, threads)
