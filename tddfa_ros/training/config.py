"""Options of a training run, with ranges: what ``config/training/*.yaml`` and ``tddfa train`` may say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tddfa_ros.config import from_dict, option, read_yaml


def _probability(default: float, description: str) -> Any:
    return option(default, f"{description}, probability per face", minimum=0.0, maximum=1.0)


@dataclass(frozen=True)
class AugmentConfig:
    """How strong each disturbance of a training crop is; 0 turns it off."""

    roll_sigma_deg: float = option(
        12.0, "in-plane rotation, standard deviation in degrees", minimum=0.0, maximum=180.0
    )
    large_roll: float = _probability(0.1, "in-plane rotation of up to 60 degrees instead")
    scale_sigma: float = option(
        0.06, "size of the ROI, standard deviation of its logarithm", minimum=0.0, maximum=0.5
    )
    shift_sigma: float = option(
        0.035, "place of the ROI, standard deviation in ROI widths", minimum=0.0, maximum=0.5
    )
    mirror: float = _probability(0.5, "mirror image")
    colour: float = _probability(0.8, "other gain, contrast, brightness and gamma")
    blur: float = _probability(0.15, "Gaussian blur")
    noise: float = _probability(0.15, "Gaussian noise")
    occlude: float = _probability(0.2, "a patch over part of the face")
    low_resolution: float = _probability(0.15, "a picture of 28 to 90 px")


def _weight(default: float, description: str) -> Any:
    return option(default, f"weight of {description}", minimum=0.0, maximum=1000.0)


@dataclass(frozen=True)
class LossWeights:
    """How much each term of the loss counts."""

    vertices: float = _weight(1.0, "the vertices")
    mesh_landmarks: float = _weight(1.0, "the mesh's 68 landmarks")
    direct_landmarks: float = _weight(1.0, "the direct head's 68 landmarks")
    coefficients: float = _weight(0.5, "the whitened coefficients")
    depth: float = _weight(0.5, "z against x and y in the first two terms")


@dataclass(frozen=True)
class TrainConfig:
    """One training run of the regressor."""

    width: float = option(0.5, "width of MobileNet V1", minimum=0.125, maximum=4.0)
    epochs: int = option(7, "passes over the faces", minimum=1, maximum=10000)
    batch: int = option(64, "faces per step", minimum=2, maximum=65536)
    learning_rate: float = option(2e-3, "peak of the one-cycle schedule", minimum=1e-7, maximum=1.0)
    weight_decay: float = option(0.02, "of AdamW", minimum=0.0, maximum=1.0)
    profile_boost: tuple[float, float] = option(
        (1.5, 2.5),
        "how much oftener faces beyond 30 and 60 degrees of yaw are drawn",
        minimum=0.0,
        maximum=100.0,
    )
    seed: int = option(0, "of weights, order and disturbances", minimum=0, maximum=2**31 - 1)
    threads: int = option(2, "threads of torch", minimum=1, maximum=256)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loss: LossWeights = field(default_factory=LossWeights)


def load_train_config(
    path: Path | None = None, overrides: Mapping[str, Any] | None = None
) -> TrainConfig:
    """Defaults, replaced by what a YAML file says, replaced by ``overrides`` (top-level options only).

    Raises:
        ConfigError: the file cannot be read, or something is unknown, of the wrong type or out of range.
    """
    values = {} if path is None else dict(read_yaml(path))
    return from_dict(TrainConfig, {**values, **(overrides or {})})
