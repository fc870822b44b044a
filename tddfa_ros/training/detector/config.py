"""Options of a training run of the detector with their ranges, for ``config/training/detector.yaml`` and ``tddfa train-detector``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tddfa_ros.errors import ConfigError
from tddfa_ros.schema import Validated, from_dict, option, read_yaml


def _probability(default: float, description: str) -> Any:
    return option(default, f"{description}, probability", minimum=0.0, maximum=1.0)


@dataclass(frozen=True)
class DetectorConfig(Validated):
    """Options of one training run of the detector."""

    channels: tuple[int, int, int, int, int] = option(
        (16, 32, 64, 96, 128),
        "channels of the backbone at strides 2, 4, 8, 16 and 32",
        minimum=4,
        maximum=1024,
    )
    blocks: tuple[int, int, int, int] = option(
        (1, 3, 3, 1),
        "blocks without stride at strides 4, 8, 16 and 32",
        minimum=0,
        maximum=32,
    )
    pyramid: int = option(48, "channels of the feature pyramid", minimum=8, maximum=512)
    image_size: int = option(
        224, "side of the training images, px, a multiple of 32", minimum=96, maximum=1024
    )
    batch: int = option(16, "images per step", minimum=2, maximum=4096)
    epochs: int = option(12, "passes over as many images as samples", minimum=1, maximum=10000)
    samples: int = option(8000, "images per epoch", minimum=2, maximum=100_000_000)
    minutes: float = option(
        0.0,
        "time budget in minutes; the learning rate schedule ends with it; 0: none",
        minimum=0.0,
        maximum=1e6,
    )
    learning_rate: float = option(3e-3, "peak of the one-cycle schedule", minimum=1e-7, maximum=1.0)
    warmup: float = option(
        0.05, "share of the run until the peak of the learning rate", minimum=0.0, maximum=0.9
    )
    weight_decay: float = option(0.02, "weight decay of AdamW", minimum=0.0, maximum=1.0)
    ema_half_life: float = option(
        200.0, "half-life of the EMA of the weights in steps; 0: no EMA", minimum=0.0, maximum=1e9
    )
    box_weight: float = option(2.0, "weight of the box loss", minimum=0.0, maximum=1000.0)
    roi_weight: float = option(1.0, "weight of the ROI loss", minimum=0.0, maximum=1000.0)
    points_weight: float = option(
        0.5, "weight of the loss of the five points", minimum=0.0, maximum=1000.0
    )
    labeled_share: float = _probability(0.5, "image is cut from a labeled image")
    smallest_face: float = option(
        6.0, "smallest face, mean side of the box, px", minimum=3.0, maximum=64.0
    )
    most_faces: int = option(7, "largest number of pasted faces", minimum=1, maximum=100)
    roll_sigma_deg: float = option(
        12.0, "in-plane rotation, standard deviation in degrees", minimum=0.0, maximum=180.0
    )
    large_roll: float = _probability(0.12, "rotation drawn from +-large_roll_deg instead")
    large_roll_deg: float = option(
        90.0, "largest in-plane rotation in degrees", minimum=0.0, maximum=180.0
    )
    occlude: float = _probability(0.3, "face occluded by a mask, glasses, a hand or a patch")
    degrade: float = _probability(0.35, "image blurred, noisy or compressed")
    seed: int = option(0, "seed of weights, order and augmentation", minimum=0, maximum=2**31 - 1)
    threads: int = option(1, "threads of PyTorch", minimum=1, maximum=256)
    workers: int = option(1, "data loading processes", minimum=0, maximum=256)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.image_size % 32:
            raise ConfigError(f"image_size must be a multiple of 32, not {self.image_size}")
        if self.samples < self.batch:
            raise ConfigError(f"samples ({self.samples}) must be at least one batch ({self.batch})")


def load_detector_config(
    path: Path | None = None, overrides: Mapping[str, Any] | None = None
) -> DetectorConfig:
    """Load the options of a run: defaults, overridden by a YAML file, overridden by ``overrides``.

    Raises:
        ConfigError: the file cannot be read, or an option is unknown, of the wrong type or out of range.
    """
    values = {} if path is None else dict(read_yaml(path))
    return from_dict(DetectorConfig, {**values, **(overrides or {})})
