from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from tddfa_ros.cli._detection import detection_options, with_detection
from tddfa_ros.config import DetectionConfig, PipelineConfig
from tddfa_ros.errors import ConfigError


def parsed(*arguments: str) -> DetectionConfig:
    seen: list[PipelineConfig] = []

    @click.command()
    @detection_options
    def command(**given: Any) -> None:
        seen.append(with_detection(PipelineConfig(), **given))

    result = CliRunner().invoke(command, arguments)
    if result.exception is not None:
        raise result.exception
    return seen[0].detection


def test_only_given_options_change() -> None:
    assert parsed() == DetectionConfig()
    given = parsed("--detector", "faceboxes", "--input-size", "0", "--score-threshold", "0.3")
    assert given == DetectionConfig("faceboxes", 0, 0.3)
    assert parsed("--fallback", "0.2") == DetectionConfig(fallback="0.2")
    assert parsed("--detector-precision", "int8") == DetectionConfig(precision="int8")
    with pytest.raises(ConfigError, match="score_threshold must be between"):
        parsed("--score-threshold", "3")
