from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from support.synthetic_model import synthetic_model
from support.tiny_convnet import write_tiny_convnet

from tddfa_ros.config import DetectionConfig, PipelineConfig, RegressionConfig
from tddfa_ros.detection import create_detector
from tddfa_ros.errors import ModelError
from tddfa_ros.geometry.roi import crop_batch, roi_from_landmarks
from tddfa_ros.model_store.store import ModelStore, default_store
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.precision.calibration import scenes
from tddfa_ros.precision.networks import (
    detection_network,
    int8_path,
    int8_regressor,
    regression_network,
)
from tddfa_ros.regression.regressor import Regressor
from tddfa_ros.tuning.compare import agreement

INT8 = RegressionConfig(precision="int8")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    """Return the models of this package with an empty cache that is shared by the tests of this module."""
    return ModelStore(default_store().manifest, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def head(store: ModelStore) -> MorphableModel:
    return MorphableModel.load(store.path("tddfa-head"))


def test_float32_is_the_default_and_runs_the_file_of_the_model(tmp_path: Path) -> None:
    store = ModelStore(default_store().manifest, tmp_path / "cache")
    assert regression_network(RegressionConfig(), store) == store.path("tddfa-mb05")
    assert detection_network(PipelineConfig(), store) is None
    assert FacePipeline(store=store)._regressor.session.path == store.path("tddfa-mb05")
    assert not store.cache.exists()


def test_int8_outputs_are_close_to_float32(store: ModelStore, head: MorphableModel) -> None:
    float32, int8 = store.path("tddfa-mb05"), regression_network(INT8, store)
    assert (
        int8.parent == store.cache / "int8" and int8.stat().st_size < 0.5 * float32.stat().st_size
    )
    others = scenes(head, 6, seed=1)  # the calibration has seed 0
    crops = np.concatenate(
        [crop_batch(s.image, roi_from_landmarks(s.landmarks[None]), 120) for s in others]
    )
    found = agreement(Regressor(float32, head, "cpu"), Regressor(int8, head, "cpu"), crops, 0.4)
    # Measured: 0.21 px of the 120-px crop on average, 0.36 at worst.
    assert 0 < found.landmarks_mean < 0.5 and found.landmarks_worst < 1.0


def test_int8_runs_in_the_pipeline(store: ModelStore, astronaut: np.ndarray) -> None:
    box = np.array([[191.0, 75.0, 261.0, 167.0]])
    float32, int8 = FacePipeline(store=store), FacePipeline(PipelineConfig(regression=INT8), store)
    assert int8._regressor.session.path == int8_path(store.path("tddfa-mb05"), store)
    (one,), (other,) = float32.align(astronaut, box), int8.align(astronaut, box)
    moved = np.linalg.norm(one.landmarks68 - other.landmarks68, axis=1).mean()
    assert 0 < moved < 1.0


def test_int8_file_is_made_once_per_model(store: ModelStore, tmp_path: Path) -> None:
    path = regression_network(INT8, store)
    made = path.stat().st_mtime_ns
    assert regression_network(INT8, store) == path and path.stat().st_mtime_ns == made
    assert not list(path.parent.glob(".*")), "no temporary file is left"
    model = synthetic_model(shape=4, expressions=6)
    network = tmp_path / "net.onnx"
    paths = {int8_path(write_tiny_convnet(network, model, seed), store) for seed in range(2)}
    assert len(paths) == 2, "another network under the same name"


def test_missing_onnx_is_reported(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = int8_regressor("tddfa-mb05", store)
    monkeypatch.setitem(sys.modules, "onnx", None)
    empty = ModelStore(store.manifest, tmp_path)
    with pytest.raises(
        ModelError, match=r"needs the Python package onnx, .*pip install onnx"
    ) as info:
        FacePipeline(PipelineConfig(regression=INT8), empty)
    assert "\n" not in str(info.value)
    assert regression_network(INT8, store) == made, "an existing file needs no onnx"


def test_int8_detector_finds_the_face(
    tmp_path: Path, astronaut: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = default_store()
    store.path("centerface")
    config = PipelineConfig(detection=DetectionConfig(precision="int8"))
    mine = ModelStore(store.manifest, tmp_path)
    monkeypatch.setattr(mine, "location", store.location)
    network = detection_network(config, mine)
    assert network is not None and network.parent == mine.cache / "int8"
    monkeypatch.setitem(sys.modules, "onnx", None)  # the family follows from the name of the model
    (before,) = create_detector(DetectionConfig(), mine, "cpu")(astronaut)
    (after,) = create_detector(config.detection, mine, "cpu", network=network)(astronaut)
    assert np.abs(before[:4] - after[:4]).max() < 0.05 * (before[2] - before[0])
    assert 0 < abs(before[4] - after[4]) < 0.05
    assert FacePipeline(config, mine).detect(astronaut).tolist() == [after.tolist()]
