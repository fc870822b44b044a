"""A small model and a dataset for it, shared by the tests of this folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.synthetic_model import synthetic_model
from support.user_dataset import write_dataset

from tddfa_ros.morphable import MorphableModel


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return synthetic_model(shape=4, expressions=6)


@pytest.fixture(scope="module")
def template(model: MorphableModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("template") / "data", model, maps=True)


@pytest.fixture
def dataset(template: Path, tmp_path: Path) -> Path:
    """The list of four good items with all kinds of files, a fresh copy."""
    shutil.copytree(template.parent, tmp_path / "data")
    return tmp_path / "data" / template.name
