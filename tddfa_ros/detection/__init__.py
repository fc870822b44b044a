"""Face detectors behind the protocol `Detector`, and the factory that creates one from a configuration."""

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
"""Minimum long side of the detector input, px; below it only faces that fill the image are detected."""

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


def _tddfa_detect(path: Path, config: DetectionConfig, device: str, threads: int) -> Detector:
    from tddfa_ros.detection.tddfa_detect import TddfaDetect

    return TddfaDetect(
        path, config.input_size, config.score_threshold, config.max_faces, device, threads
    )


def _yunet(path: Path, config: DetectionConfig, device: str, threads: int) -> Detector:
    from tddfa_ros.detection.yunet import YuNet

    return YuNet(path, config.input_size, config.score_threshold, config.max_faces, device, threads)


DETECTORS: dict[str, Maker] = {
    "centerface": _centerface,
    "faceboxes": _faceboxes,
    "scrfd": _scrfd,
    "tddfa-detect": _tddfa_detect,
    "yunet": _yunet,
}
"""Factories by detector family; the family is also the default name of its model."""


def check_detection(config: DetectionConfig) -> None:
    """Validate options that depend on each other, without loading a model.

    Raises:
        ConfigError: the input size is too small, or the fallback is neither another detector nor a lower threshold.
    """
    if 0 < config.input_size < SMALLEST_INPUT:
        raise ConfigError(
            f"detection.input_size must be 0 (the native size of the detector) or at least {SMALLEST_INPUT}, not {config.input_size}"
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
    config: DetectionConfig,
    store: ModelStore,
    device: str = "auto",
    threads: int = 1,
    network: Path | None = None,
) -> Detector:
    """Create the configured detector; fetch its model if it is missing.

    Args:
        config: ``detector`` is a name in the model list or the path of an ``.onnx`` file; ``fallback`` adds a fallback.
        store: provides the models.
        device, threads: see `OnnxSession`.
        network: file to run in place of that of the detector, such as its int8 copy; None = the detector's own.

    Raises:
        ConfigError: the detector is unknown, or the fallback or input size is invalid.
        ModelError: the model is unavailable or cannot be loaded.
    """
    check_detection(config)
    first = _create(config, store, device, threads, network)
    if not config.fallback:
        return first
    from tddfa_ros.detection.fallback import LowerThreshold, SecondDetector

    low = _lower_threshold(config)
    if low is not None:
        return LowerThreshold(first, low)
    other = replace(config, detector=config.fallback, input_size=0)
    return SecondDetector(first, _create(other, store, device, threads))


def _lower_threshold(config: DetectionConfig) -> float | None:
    """Return the fallback as a threshold; None where it is a detector or empty."""
    try:
        return float(config.fallback)
    except ValueError:
        return None


def _create(
    config: DetectionConfig,
    store: ModelStore,
    device: str,
    threads: int,
    network: Path | None = None,
) -> Detector:
    from tddfa_ros.detection.families import family_of

    name = config.detector
    if name.endswith(".onnx"):
        path, family = store.path(name), family_of(store.path(name))
    elif name in store.entries and store.entries[name].role == "detector":
        path = store.path(name)
        family = name if name in DETECTORS else family_of(path)
    elif name in DETECTORS:
        raise ConfigError(
            f"the detector {name} needs your own weights: run 'tddfa models import --from FILE'"
        )
    else:
        installed = {entry.name for entry in store.entries.values() if entry.role == "detector"}
        known = f"known are {', '.join(sorted(installed))}"
        others = sorted(set(DETECTORS) - installed)
        if others:
            known += f", and after 'tddfa models import' of your own weights {', '.join(others)}"
        raise ConfigError(f"there is no detector {name!r}; {known}")
    if family is None:
        raise ModelError(
            f"{path} is not a supported detector; supported are {', '.join(sorted(DETECTORS))}"
        )
    return DETECTORS[family](network or path, config, device, threads)
