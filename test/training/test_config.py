from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from tddfa_ros.errors import ConfigError
from tddfa_ros.training.config import (
    AugmentConfig,
    LossWeights,
    TrainConfig,
    load_train_config,
)


def test_the_default_recipe_says_everything(repo_root: Path) -> None:
    path = repo_root / "config" / "training" / "mb05.yaml"
    written = yaml.safe_load(path.read_text())
    config = load_train_config(path)
    for part, cls in ((written, TrainConfig), (written["augment"], AugmentConfig), (written["loss"], LossWeights)):  # fmt: skip
        assert list(part) == [f.name for f in fields(cls)]
    # all but the length of the run are the defaults
    expected = {**asdict(TrainConfig()), "epochs": config.epochs}
    assert asdict(config) == expected


def test_overrides_win(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("epochs: 3\nprofile_boost: [1, 4.5]\naugment: {blur: 0.5}\n")
    config = load_train_config(path, {"epochs": 7})
    assert config.epochs == 7
    assert config.profile_boost == (1.0, 4.5)
    assert config.augment == AugmentConfig(blur=0.5)
    assert config.loss == LossWeights()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch: 3", "did you mean epochs"),
        ("epochs: 0", "between 1 and"),
        ("epochs: 2.5", "whole number"),
        ("learning_rate: .nan", "finite number"),
        ("augment: {blurr: 0.1}", "augment.blur"),
        ("augment: {blur: 1.5}", "augment.blur must lie between"),
        ("loss: {depth: -1}", "loss.depth"),
        ("profile_boost: 2", "list of 2 values"),
        ("profile_boost: [1]", "list of 2 values"),
        ("profile_boost: [1, -1]", r"profile_boost\[1\] must lie between"),
        ("- 1", "mapping"),
        ("a: [", "not valid YAML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_train_config(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        load_train_config(tmp_path / "nowhere.yaml")


def every_option(cls: type) -> list[Any]:
    return [f for f in fields(cls) if f.metadata]


@pytest.mark.parametrize("cls", [TrainConfig, AugmentConfig, LossWeights])
def test_every_option_has_help_and_a_default_in_range(cls: type) -> None:
    for f in every_option(cls):
        assert f.metadata["help"]
        values = f.default if isinstance(f.default, tuple) else (f.default,)
        assert all(f.metadata["min"] <= v <= f.metadata["max"] for v in values)
