"""A small model, a cache and two finished runs shared by all tests of training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.synthetic_model import synthetic_model
from support.tiny_training import tiny, write_cache

from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.cache import FaceCache, open_cache
from tddfa_ros.training.config import TrainConfig

if TYPE_CHECKING:
    from tddfa_ros.training.trainer import Trainer


@pytest.fixture(scope="session")
def tiny_model() -> MorphableModel:
    return synthetic_model(shape=4, expressions=6)


@pytest.fixture(scope="session")
def tiny_folder(tiny_model: MorphableModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny_cache")
    write_cache(folder, tiny_model, 96, negatives=36, parsing=True)
    return folder


@pytest.fixture(scope="session")
def tiny_cache(tiny_model: MorphableModel, tiny_folder: Path) -> FaceCache:
    """88 faces and 33 crops without one to train on, 8 and 3 held out."""
    return open_cache(tiny_folder, tiny_model)


@pytest.fixture(scope="session")
def whole_run(
    tiny_model: MorphableModel, tiny_cache: FaceCache, tmp_path_factory: pytest.TempPathFactory
) -> Trainer:
    """Three epochs of 45 steps."""
    return _finished(
        tiny(epochs=3, samples=360, learning_rate=4e-3),
        tiny_cache,
        tiny_model,
        tmp_path_factory.mktemp("whole_run"),
    )


@pytest.fixture(scope="session")
def run_of_all_heads(
    tiny_model: MorphableModel, tiny_cache: FaceCache, tmp_path_factory: pytest.TempPathFactory
) -> Trainer:
    """Two epochs of twelve steps with all heads."""
    folder = tmp_path_factory.mktemp("all_heads")
    return _finished(tiny(parsing=True, uv_position=True), tiny_cache, tiny_model, folder)


def _finished(
    config: TrainConfig, cache: FaceCache, model: MorphableModel, folder: Path
) -> Trainer:
    pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")
    from tddfa_ros.training.trainer import Trainer

    trainer = Trainer(config, cache, model, folder)
    trainer.run()
    return trainer
