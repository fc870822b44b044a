"""Network files of a configuration: the float32 model, or an int8 copy, made in the model cache at first use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tddfa_ros.config import FLOAT32, DetectionConfig, PipelineConfig, RegressionConfig
from tddfa_ros.detection import create_detector
from tddfa_ros.detection.onnx_detector import OnnxDetector
from tddfa_ros.files import sha256_of
from tddfa_ros.geometry.roi import crop_batch, roi_from_landmarks
from tddfa_ros.model_store.store import ModelStore
from tddfa_ros.precision.choice import choose
from tddfa_ros.precision.quantize import check_quantizer, quantize
from tddfa_ros.regression.regressor import RegressorMetadata
from tddfa_ros.runtime.session import OnnxSession
from tddfa_ros.types import FloatArray

if TYPE_CHECKING:
    from tddfa_ros.precision.calibration import Scene

_RECIPE = 1  # counts changes of the calibration and of the layers in float


def regression_network(config: RegressionConfig, store: ModelStore) -> Path:
    """Return the file of the configured regression network in the configured precision.

    Raises:
        ModelError: the model is unavailable or cannot be quantized, or the package ``onnx``, which int8 needs once, is missing.
    """
    model = store.path(config.model)
    if choose(config.precision, config.model, store, config.device) == FLOAT32:
        return model
    return _cached(model, store, _regressor_inputs)


def detection_network(config: PipelineConfig, store: ModelStore) -> Path | None:
    """Return the int8 file of the configured detector; None where it runs in float32. The fallback detector always does.

    Raises:
        ModelError: see :func:`regression_network`.
        ConfigError: the detector is unknown.
    """
    detection = config.detection
    if detection.precision == FLOAT32:
        return None
    if choose(detection.precision, detection.detector, store, config.regression.device) == FLOAT32:
        return None
    return int8_detector(detection, store)


def int8_regressor(name: str, store: ModelStore) -> Path:
    """Return the int8 file of a regression network by its name or path, made if it does not exist."""
    return _cached(store.path(name), store, _regressor_inputs)


def int8_detector(config: DetectionConfig, store: ModelStore) -> Path:
    """Return the int8 file of the configured detector, made if it does not exist."""
    if config.detector not in store.entries and not config.detector.endswith(".onnx"):
        create_detector(config, store, "cpu")  # raises the error of an unknown detector
    model = store.path(config.detector)
    return _cached(model, store, lambda _, scenes: _detector_inputs(config, store, scenes))


def int8_path(model: Path, store: ModelStore) -> Path:
    """Return where the int8 file of a network is kept, whether or not it exists; its name has the hash of the float32 file."""
    name = f"{model.stem}-{sha256_of(model)[:12]}-int8-{_RECIPE}.onnx"
    return store.cache / "int8" / name


def _cached(model: Path, store: ModelStore, inputs: Any) -> Path:
    path = int8_path(model, store)
    if path.is_file():
        return path
    from tddfa_ros.precision.calibration import calibration_scenes  # imports SciPy

    check_quantizer(model)
    scenes = calibration_scenes(store.path(RegressionConfig().morphable_model))
    # Written under a temporary name first: a second process that does the same replaces equal content.
    quantize(model, path, "static", crops=inputs(model, scenes))
    return path


def _regressor_inputs(model: Path, scenes: Sequence[Scene]) -> list[FloatArray]:
    """Return the crops of the rendered heads as the regression network takes them."""
    metadata = OnnxSession(model, "cpu").metadata
    size = RegressorMetadata.parse(metadata, model.name).input_size
    return [
        (crop.transpose(2, 0, 1).astype(np.float32) - np.float32(127.5)) / np.float32(128)
        for scene in scenes
        for crop in crop_batch(scene.image, roi_from_landmarks(scene.landmarks[None]), size)
    ]


def _detector_inputs(
    config: DetectionConfig, store: ModelStore, scenes: Sequence[Scene]
) -> list[FloatArray]:
    """Return what the detector feeds its network for single rendered heads and for montages of four."""
    # The default input size, so that the file does not depend on who needed it first.
    plain = replace(DetectionConfig(), detector=config.detector)
    detector = create_detector(plain, store, "cpu")
    assert isinstance(detector, OnnxDetector)
    fed: list[FloatArray] = []
    with detector.recording(fed):
        for scene in scenes[::2]:
            detector(scene.image)
        for i in range(0, len(scenes) - 3, 4):
            a, b, c, d = (scene.image for scene in scenes[i : i + 4])
            detector(np.vstack([np.hstack([a, b]), np.hstack([c, d])]))
    return fed
