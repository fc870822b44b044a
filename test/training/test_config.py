from __future__ import annotations

import ast
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from tddfa_ros.errors import ConfigError
from tddfa_ros.training.config import (
    AugmentConfig,
    LossWeights,
    TrainConfig,
    load_stages,
    load_train_config,
)
from tddfa_ros.training.loss_weights import LossDecay

RECIPES = sorted(
    path
    for path in (Path(__file__).parents[2] / "config" / "training").glob("*.yaml")
    if path.stem != "detector"  # of another network
)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_are_complete_and_document_their_command(path: Path) -> None:
    stages = load_stages(path)
    widths = {"mb05": 0.5, "mb1": 1.0, "finetune": 0.5, "gpu": 0.5, "maps": 0.5}
    assert {stage.config.width for stage in stages} == {widths[path.stem]}
    assert {stage.config.samples for stage in stages} == {0}, "an epoch is as long as the data"
    assert len({stage.config.heads for stage in stages}) == 1
    written = yaml.safe_load(path.read_text())
    assert {"width", "epochs", "batch", "loss"} <= written.keys()
    for name in re.findall(r"config/training/[\w.]+", path.read_text()):
        assert (path.parents[2] / name).is_file(), name


def test_default_recipe_has_stages() -> None:
    assert [path.stem for path in RECIPES] == ["finetune", "gpu", "maps", "mb05", "mb1"]
    assert len(load_stages(RECIPES[3])) > 1
    with pytest.raises(ConfigError, match="stages, not one"):
        load_train_config(RECIPES[3])


def test_overrides_take_precedence(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("epochs: 3\nprofile_boost: [1, 4.5]\naugment: {blur: 0.5}\n")
    config = load_train_config(path, {"epochs": 7})
    assert config.epochs == 7
    assert config.profile_boost == (1.0, 4.5)
    assert config.augment == AugmentConfig(blur=0.5)
    assert config.loss == LossWeights()


def test_section_overrides_are_merged(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("augment: {blur: 0.5, noise: 0.4}\nloss: {lmk: 3, decay: {lmk: 0.5}}\n")
    given = {"augment": {"noise": 0.1}, "loss": {"vdc": 2.0, "decay": {"vdc": 0.8}}}
    config = load_train_config(path, given)
    assert config.augment == AugmentConfig(blur=0.5, noise=0.1)
    assert (config.loss.lmk, config.loss.vdc) == (3.0, 2.0)
    assert (config.loss.decay.lmk, config.loss.decay.vdc, config.loss.decay.uv) == (0.5, 0.8, 0.9)
    assert load_train_config(path).augment.noise == 0.4, (
        "the file's values stay in the file's mapping"
    )


def test_heads_follow_the_network_order() -> None:
    assert TrainConfig().heads == ("confidence", "landmark_sigma")
    assert TrainConfig(confidence=False, parsing=True, uv_position=True).heads == (
        "landmark_sigma",
        "parsing",
        "uv_position",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch: 3", "did you mean epochs"),
        ("epochs: 0", "between 1 and"),
        ("epochs: 2.5", "an integer"),
        ("learning_rate: .nan", "finite number"),
        ("augment: {blurr: 0.1}", "augment.blur"),
        ("augment: {blur: 1.5}", "augment.blur must be between"),
        ("loss: {depth: -1}", "loss.depth"),
        ("loss: {decay: {lmk: 0}}", "loss.decay.lmk"),
        ("net_stride: 12", "net_stride must be 8, 16 or 32"),
        ("input_size: 98", "input_size must be a multiple of 4"),
        ("input_size: 80", "input_size must be between 96 and 192"),
        ("backbone: resnet", "backbone must be one of mobilenet_v1"),
        ("freeze: all", "freeze must be one of none, backbone"),
        ("train_only: eyes", "train_only must be one of all, pose, identity, expression, maps"),
        ("train_only: maps", "train_only: maps needs parsing or uv_position"),
        ("amp: 1", "amp must be true or false"),
        ("profile_boost: 2", "list of 2 values"),
        ("profile_boost: [1]", "list of 2 values"),
        ("profile_boost: [1, -1]", r"profile_boost\[1\] must be between"),
        ("- 1", "mapping"),
        ("a: [", "not valid YAML"),
    ],
)
def test_rejects_invalid_options(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_train_config(path)


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        (
            TrainConfig,
            {"epochs": -4, "batch": "x"},
            "^epochs must be between 1 and 10000, not -4$",
        ),
        (TrainConfig, {"batch": "x"}, "^batch must be an integer, not 'x'$"),
        (TrainConfig, {"augment": {"blur": 0.1}}, "^augment must be a AugmentConfig"),
        (AugmentConfig, {"blur": 2.0}, "^blur must be between"),
        (AugmentConfig, {"wide_scale": (1.0,)}, "^wide_scale must be a list of 2 values"),
        (LossWeights, {"lmk": -1.0}, "^lmk must be between"),
        (LossDecay, {"lmk": 0.0}, "^lmk must be between"),
    ],
)
def test_configuration_is_validated_on_construction(
    cls: type, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        cls(**options)


def test_reports_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        load_train_config(tmp_path / "nowhere.yaml")


def every_option(cls: type) -> list[Any]:
    return [f for f in fields(cls) if f.metadata]


@pytest.mark.parametrize("cls", [TrainConfig, AugmentConfig, LossWeights])
def test_every_option_has_help_and_a_default_in_range(cls: type) -> None:
    for f in every_option(cls):
        assert f.metadata["help"]
        low, high, choices = (f.metadata[key] for key in ("min", "max", "choices"))
        values = f.default if isinstance(f.default, tuple) else (f.default,)
        if isinstance(values[0], str):
            assert choices is None or f.default in choices
        elif not isinstance(values[0], bool):
            assert all(low <= v <= high for v in values)


def test_backbone_choices_match_registry() -> None:
    pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")
    from tddfa_ros.training.networks import BACKBONES

    (option,) = (f for f in fields(TrainConfig) if f.name == "backbone")
    assert option.metadata["choices"] == tuple(BACKBONES)


def test_training_extra_matches_requirements(repo_root: Path) -> None:
    """requirements/training.txt and setup.py."""
    setup = (repo_root / "setup.py").read_text()
    extra = ast.literal_eval(re.search(r'"training": (\[.*?\])', setup, re.S).group(1))
    lines = (repo_root / "requirements" / "training.txt").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == extra
    assert any(line.startswith("tensorboard>=") for line in extra)
