"""The configuration dataclasses: defaults, ranges, YAML, and the parameter file that is generated from them."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import pytest
import yaml

from tddfa_ros.config import (
    CameraConfig,
    DetectionConfig,
    PipelineConfig,
    RegressionConfig,
    SmoothingConfig,
    TrackingConfig,
    load_config,
)
from tddfa_ros.errors import ConfigError
from tddfa_ros.schema import from_dict, to_dict

STAGES = [DetectionConfig, RegressionConfig, CameraConfig, TrackingConfig, SmoothingConfig]


def options():
    return [
        pytest.param(stage, spec, id=f"{stage.__name__}.{spec.name}")
        for stage in STAGES
        for spec in fields(stage)
    ]


@pytest.mark.parametrize("stage, spec", options())
def test_options_have_help_and_valid_defaults(stage, spec):
    meta = spec.metadata
    assert {"help", "min", "max", "choices", "runtime"} <= set(meta)
    assert 10 <= len(meta["help"]) <= 140 and not meta["help"].endswith(".")
    assert type(spec.default) in (bool, int, float, str)
    if type(spec.default) in (int, float):
        assert meta["min"] <= spec.default <= meta["max"]
    if meta["choices"]:
        assert spec.default in meta["choices"]


@pytest.mark.parametrize("stage, spec", options())
def test_rejects_values_out_of_range(stage, spec):
    meta = spec.metadata
    if meta["choices"]:
        bad = ["no such choice"]
    elif type(spec.default) in (int, float):
        bad = [type(spec.default)(meta["min"] - 1), type(spec.default)(meta["max"] + 1), "7", None]
    else:
        bad = [7, None]
    for value in bad:
        with pytest.raises(ConfigError, match=spec.name):
            stage(**{spec.name: value})


def test_contract_defaults():
    config = PipelineConfig()
    assert config.detection == DetectionConfig("centerface", 320, 0.5, 20)
    assert config.regression == RegressionConfig("tddfa-mb05", "tddfa-head", "auto", 1)
    assert config.tracking == TrackingConfig(8, 2, 10, 0.3, 0.4, 16.0)
    assert config.smoothing.method == "imm" and config.smoothing.window == 5
    assert config.camera.assumed_fov_deg == 60.0


@pytest.mark.parametrize("value", [math.nan, math.inf, True, "0.5", [0.5]])
def test_float_options_require_finite_numbers(value):
    with pytest.raises(ConfigError, match="score_threshold must be a finite number"):
        DetectionConfig(score_threshold=value)


def test_ints_convert_to_float_but_not_back():
    threshold = DetectionConfig(score_threshold=1).score_threshold
    assert threshold == 1.0 and type(threshold) is float
    with pytest.raises(ConfigError, match="max_faces must be an integer"):
        DetectionConfig(max_faces=3.0)


def test_replace_is_checked_too():
    with pytest.raises(ConfigError, match="max_faces must be between 1 and 100, not 0"):
        replace(DetectionConfig(), max_faces=0)


def test_dictionaries_round_trip():
    config = PipelineConfig(
        detection=DetectionConfig(input_size=640), smoothing=SmoothingConfig(method="kalman")
    )
    assert from_dict(PipelineConfig, to_dict(config)) == config
    assert from_dict(PipelineConfig, yaml.safe_load(yaml.safe_dump(to_dict(config)))) == config


def test_unknown_option_suggests_closest_name():
    with pytest.raises(
        ConfigError, match=r"detection\.score_treshold: did you mean detection\.score_threshold\?"
    ):
        load_config({"detection": {"score_treshold": 0.5}})
    with pytest.raises(
        ConfigError,
        match=r"unknown configuration option zzz: known options are input, detection, regression",
    ):
        load_config({"zzz": 1})
    with pytest.raises(ConfigError, match="tracking must be a mapping, not 3"):
        load_config({"tracking": 3})


def test_missing_options_keep_defaults():
    config = load_config({"tracking": {"min_hits": 5}, "camera": None})
    assert config.tracking == TrackingConfig(min_hits=5)
    assert replace(config, tracking=TrackingConfig()) == PipelineConfig()


def test_sources_of_a_configuration(tmp_path):
    config = PipelineConfig(detection=DetectionConfig(max_faces=1))
    assert load_config() == PipelineConfig()
    assert load_config(config) is config
    path = tmp_path / "mine.yaml"
    path.write_text("detection: {max_faces: 1}\n")
    assert load_config(path) == load_config(str(path)) == config
    path.write_text("")
    assert load_config(path) == PipelineConfig()


def test_loads_stages_of_ros_parameter_file(tmp_path):
    path = tmp_path / "robot.yaml"
    path.write_text(
        "/robot/face_node:\n  ros__parameters:\n    image_transport: raw\n    tracking: {min_hits: 3}\n"
        "smoothing_node:\n  ros__parameters:\n    smoothing: {method: window}\n"
    )
    config = load_config(path)
    assert config.tracking == TrackingConfig(min_hits=3)
    assert config.smoothing == SmoothingConfig(method="window")
    path.write_text("face_node:\n  ros__parameters:\n    tracking: {min_hits: 0}\n")
    with pytest.raises(ConfigError, match=r"tracking\.min_hits must be between"):
        load_config(path)


@pytest.mark.parametrize("text", ["- a\n- b\n", "detection: {", "just words"])
def test_rejects_invalid_yaml_file(tmp_path, text):
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"broken\.yaml") as error:
        load_config(path)
    assert "\n" not in str(error.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        load_config(tmp_path / "nowhere.yaml")


# --- config/face.yaml ---


def write_config(repo_root: Path):
    spec = importlib.util.spec_from_file_location(
        "write_config", repo_root / "scripts/write_config.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_parameter_file_is_up_to_date(repo_root):
    text = (repo_root / "config/face.yaml").read_text()
    assert text == write_config(repo_root).render(), "run: python scripts/write_config.py"


def test_parameter_file_holds_all_defaults(repo_root):
    values = yaml.safe_load((repo_root / "config/face.yaml").read_text())
    declared = write_config(repo_root).NODES
    assert set(values) == {f"/**/{name}" for name in declared}
    for name, kind in declared.items():
        assert values[f"/**/{name}"] == {"ros__parameters": to_dict(kind())}


def test_parameter_file_loads_as_pipeline_config(repo_root):
    assert load_config(repo_root / "config/face.yaml") == PipelineConfig()


def test_stages_are_frozen():
    for stage in STAGES:
        assert is_dataclass(stage) and stage.__dataclass_params__.frozen
