"""Face detectors, one file each, behind one protocol."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tddfa_ros.config import DetectionConfig
from tddfa_ros.detection.base import Detector
from tddfa_ros.errors import ConfigError
from tddfa_ros.runtime.store import ModelStore

__all__ = ["DETECTORS", "Detector", "create_detector"]


def _centerface(path: Path, config: DetectionConfig, device: str, threads: int) -> Detector:
    from tddfa_ros.detection.centerface import CenterFace

    return CenterFace(
        path, config.input_size, config.score_threshold, config.max_faces, device, threads
    )


DETECTORS: dict[str, Callable[[Path, DetectionConfig, str, int], Detector]] = {
    "centerface": _centerface
}
"""Makers of detectors by name, which is also the name of their model."""


def create_detector(
    config: DetectionConfig, store: ModelStore, device: str = "auto", threads: int = 1
) -> Detector:
    """Make the detector that the configuration names; its model is fetched when it is not there yet.

    Raises:
        ConfigError: there is no such detector.
        ModelError: its model cannot be had or loaded.
    """
    if config.detector not in DETECTORS:
        known = ", ".join(sorted(DETECTORS))
        raise ConfigError(f"there is no detector {config.detector!r}; known are {known}")
    return DETECTORS[config.detector](store.path(config.detector), config, device, threads)
