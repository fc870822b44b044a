"""Options of a training run with their ranges, for ``config/training/*.yaml`` and ``tddfa train``; recipes of stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tddfa_ros.errors import ConfigError
from tddfa_ros.schema import Validated, from_dict, option, read_yaml
from tddfa_ros.training.loss_weights import LossWeights


def _probability(default: float, description: str) -> Any:
    return option(default, f"{description}, probability per face", minimum=0.0, maximum=1.0)


@dataclass(frozen=True)
class AugmentConfig(Validated):
    """Strength or probability of each augmentation; 0 disables it."""

    roll_sigma_deg: float = option(
        12.0, "in-plane rotation, standard deviation in degrees", minimum=0.0, maximum=180.0
    )
    large_roll: float = _probability(0.15, "rotation drawn from +-large_roll_deg instead")
    large_roll_deg: float = option(
        110.0, "largest in-plane rotation in degrees", minimum=0.0, maximum=180.0
    )
    scale_sigma: float = option(
        0.09, "ROI size, standard deviation of its logarithm", minimum=0.0, maximum=0.5
    )
    shift_sigma: float = option(
        0.07, "ROI position, standard deviation in ROI widths", minimum=0.0, maximum=0.5
    )
    p_weak: float = _probability(0.5, "only a quarter of this ROI noise")
    p_wide: float = _probability(0.2, "ROI drawn uniformly from wide_shift and wide_scale instead")
    wide_shift: float = option(
        0.27, "largest shift of these ROIs in ROI widths", minimum=0.0, maximum=0.5
    )
    wide_scale: tuple[float, float] = option(
        (0.73, 1.65), "smallest and largest scale of these ROIs", minimum=0.1, maximum=4.0
    )
    mirror: float = _probability(0.5, "mirror image")
    color: float = _probability(0.7, "random gain, contrast, brightness and gamma")
    blur: float = _probability(0.12, "Gaussian blur")
    noise: float = _probability(0.12, "Gaussian noise")
    occlude: float = _probability(0.15, "occlusion by a patch, glasses, a mask or a hand")
    low_resolution: float = _probability(0.15, "resolution reduced to 28 to 90 px")


@dataclass(frozen=True)
class TrainConfig(Validated):
    """Options of one training run of the regressor."""

    backbone: str = option("mobilenet_v1", "backbone", choices=("mobilenet_v1",))
    width: float = option(0.5, "width of the backbone", minimum=0.125, maximum=4.0)
    net_stride: int = option(
        32, "px of the crop per cell of the last feature map: 8, 16 or 32", minimum=8, maximum=32
    )
    input_size: int = option(120, "side of the crop, px, a multiple of 4", minimum=96, maximum=192)
    confidence: bool = option(True, "train a head for the confidence that the crop shows a face")
    landmark_sigma: bool = option(True, "train a head for the uncertainty of each landmark")
    parsing: bool = option(False, "train a head for face parsing, where the data has it")
    uv_position: bool = option(False, "train a head for the UV position map, where the data has it")
    epochs: int = option(18, "passes over the data", minimum=1, maximum=10000)
    minutes: float = option(
        0.0,
        "time budget in minutes; the learning rate schedule ends with it; 0: none",
        minimum=0.0,
        maximum=1e6,
    )
    samples: int = option(
        0, "crops drawn per epoch; 0: as many as there are faces", minimum=0, maximum=100_000_000
    )
    batch: int = option(64, "crops per step and process", minimum=2, maximum=65536)
    learning_rate: float = option(2e-3, "peak of the one-cycle schedule", minimum=1e-7, maximum=1.0)
    warmup_epochs: float = option(
        0.7, "epochs until the learning rate reaches its peak", minimum=0.0, maximum=1000.0
    )
    weight_decay: float = option(0.02, "weight decay of AdamW", minimum=0.0, maximum=1.0)
    ema_half_life: float = option(
        345.0,
        "half-life of the EMA of the weights in steps; 0: no EMA",
        minimum=0.0,
        maximum=1e9,
    )
    negatives: float = option(
        0.12, "share of crops without a face, where the data has them", minimum=0.0, maximum=0.9
    )
    clips: float = option(
        0.0,
        "share of crops that are pairs of frames of synthetic clips",
        minimum=0.0,
        maximum=1.0,
    )
    profile_boost: tuple[float, float] = option(
        (1.6, 2.5),
        "sampling weight of faces beyond 30 and 60 degrees of yaw",
        minimum=0.0,
        maximum=100.0,
    )
    meta_joint: int = option(
        0,
        "steps of the look-ahead of 3DDFA_V2's meta-joint optimization (fwpdc or vdc); 0: none",
        minimum=0,
        maximum=100000,
    )
    augment_on_device: bool = option(
        False, "keep all crops in the memory of the device and augment them there, for a GPU"
    )
    freeze: str = option("none", "part of the network that is frozen", choices=("none", "backbone"))
    freeze_layers: int = option(
        0, "convolutions at the input of the backbone that are frozen", minimum=0, maximum=27
    )
    freeze_batch_norm: bool = option(
        False, "keep the statistics of batch normalization; its scales and offsets are trained"
    )
    train_only: str = option(
        "all",
        "train only the outputs of these parameters, or the heads of parsing and UV position map",
        choices=("all", "pose", "identity", "expression", "maps"),
    )
    amp: bool = option(False, "mixed precision with bfloat16")
    device: str = option("auto", "auto, cpu or cuda")
    seed: int = option(0, "seed of weights, order and augmentation", minimum=0, maximum=2**31 - 1)
    threads: int = option(2, "threads of PyTorch", minimum=1, maximum=256)
    workers: int = option(1, "data loading processes", minimum=0, maximum=256)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loss: LossWeights = field(default_factory=LossWeights)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.net_stride not in (8, 16, 32):
            raise ConfigError(f"net_stride must be 8, 16 or 32, not {self.net_stride}")
        for name, section in (("augment", AugmentConfig), ("loss", LossWeights)):
            if not isinstance(getattr(self, name), section):
                raise ConfigError(
                    f"{name} must be a {section.__name__}, not {getattr(self, name)!r}"
                )
        if self.train_only == "maps" and not (self.parsing or self.uv_position):
            raise ConfigError("train_only: maps needs parsing or uv_position")
        if self.augment_on_device and self.parsing:
            raise ConfigError("augment_on_device does not support seg maps: set parsing to false")
        if self.input_size % 4:
            raise ConfigError(f"input_size must be a multiple of 4, not {self.input_size}")

    @property
    def heads(self) -> tuple[str, ...]:
        """Return the names of the optional heads that are trained."""
        return tuple(
            n
            for n in ("confidence", "landmark_sigma", "parsing", "uv_position")
            if getattr(self, n)
        )


def load_train_config(
    path: Path | None = None, overrides: Mapping[str, Any] | None = None
) -> TrainConfig:
    """Load the options of a run: defaults, overridden by a YAML file, overridden by ``overrides``, section by section.

    Raises:
        ConfigError: the file cannot be read, or an option is unknown, of the wrong type or out of range.
    """
    stages = load_stages(path, overrides)
    if len(stages) > 1:
        raise ConfigError(f"{path} has {len(stages)} stages, not one")
    return stages[0].config


@dataclass(frozen=True)
class Stage:
    """One stage of a recipe; each starts from the weights of the previous one.

    Attributes:
        name: of its folder; empty for a recipe of one stage.
        config: its options.
        refine: weight of the previous network in the labels, which are refined before the stage, 0..1; 0: no refinement.
        average_with: weights of earlier stages in the result, by name; the trained network has the rest.
    """

    name: str
    config: TrainConfig
    refine: float = 0.0
    average_with: Mapping[str, float] = field(default_factory=dict)


def load_stages(
    path: Path | None = None, overrides: Mapping[str, Any] | None = None
) -> tuple[Stage, ...]:
    """Load the stages of a recipe.

    A recipe is a YAML file with common options and a list ``stages`` of mappings with ``name``, optionally ``refine`` and ``average_with``, and
    the options that differ. A file without that list is one stage without a name. ``overrides`` apply to every stage.

    Raises:
        ConfigError: as :func:`load_train_config`, or ``stages`` is not a list of named stages.
    """
    values = {} if path is None else dict(read_yaml(path))
    stages = values.pop("stages", None)
    if stages is None:
        return (Stage("", from_dict(TrainConfig, _merged(values, overrides or {}))),)
    if not isinstance(stages, list) or not stages:
        raise ConfigError(f"stages of {path} must be a list of stages, not {stages!r}")
    read: list[Stage] = []
    for number, stage in enumerate(stages, start=1):
        if not isinstance(stage, Mapping) or not str(stage.get("name") or "").isidentifier():
            raise ConfigError(f"stage {number} of {path} needs a name of letters, digits and _")
        own = {key: value for key, value in stage.items() if key not in _OF_STAGE}
        average_with = _average_with(stage, [earlier.name for earlier in read])
        refine = stage.get("refine", 0.0)
        if isinstance(refine, bool) or not isinstance(refine, int | float) or not 0 <= refine <= 1:
            raise ConfigError(
                f"refine of stage {stage['name']} must lie between 0 and 1, not be {refine}"
            )
        if refine and number == 1:
            raise ConfigError(
                "the first stage cannot refine labels: no network was trained before it"
            )
        merged = _merged(_merged(values, own), overrides or {})
        read.append(
            Stage(str(stage["name"]), from_dict(TrainConfig, merged), float(refine), average_with)
        )
    if len({stage.name for stage in read}) < len(read):
        raise ConfigError(f"{path} has two stages of the same name")
    return tuple(read)


_OF_STAGE = ("name", "refine", "average_with")


def _average_with(stage: Mapping[str, Any], earlier: Sequence[str]) -> dict[str, float]:
    """Return the validated option ``average_with`` of a stage."""
    weights = stage.get("average_with", {})
    where = f"average_with of stage {stage['name']}"
    if not isinstance(weights, Mapping):
        raise ConfigError(f"{where} must map names of stages to weights, not be {weights!r}")
    for name, weight in weights.items():
        if name not in earlier:
            raise ConfigError(f"{where} names {name!r}, which is not an earlier stage")
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < 1:
            raise ConfigError(f"{where}: the weight of {name} must lie between 0 and 1")
    if sum(weights.values()) >= 1:
        raise ConfigError(f"{where}: the sum of the weights must be less than 1")
    return {str(name): float(weight) for name, weight in weights.items()}


def _merged(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for name, value in overrides.items():
        inner = merged.get(name)
        if isinstance(value, Mapping) and isinstance(inner, Mapping):
            value = _merged(inner, value)
        merged[name] = value
    return merged
