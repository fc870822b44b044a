"""Checkpoints of training runs: the complete state of a run, and the networks in them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tddfa_ros.errors import ConfigError, ModelError
from tddfa_ros.files import write_atomically
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.config import TrainConfig
from tddfa_ros.training.networks import BACKBONES, FaceNet

_MAY_DIFFER = ("threads", "workers", "epochs", "minutes", "device")
"""Options that may change when a run is resumed."""
_RENAMED = {"optimiser": "optimizer", "clock": "train_state"}
"""Keys of checkpoints before version 0.3, and today's."""


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically: a crash leaves the previous one intact.

    Raises:
        TddfaError: the file cannot be written.
    """
    content = io.BytesIO()  # torch.save reports a full disk as an internal error
    torch.save(dict(state), content)
    write_atomically(path, content.getvalue())


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint to the CPU, without executing code from it; keys of older versions get today's names.

    Raises:
        ConfigError: the file is missing or is not a checkpoint.
    """
    if not path.is_file():
        raise ConfigError(f"the checkpoint {path} does not exist")
    try:
        state = dict(torch.load(path, weights_only=True, map_location="cpu"))
        if not {"config", "network"} <= set(state):
            raise KeyError("config")
        state["config"] = _renamed_config(state["config"])
    except Exception as error:  # zip, pickle and torch each raise their own
        raise ConfigError(f"{path} is not a readable checkpoint of a training run") from error
    return {_RENAMED.get(str(name), str(name)): value for name, value in state.items()}


def _renamed_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Rename ``augment.colour``, the spelling before version 0.3."""
    renamed = dict(config)
    if "augment" in renamed:
        augment = dict(renamed["augment"])
        if "colour" in augment:
            augment.setdefault("color", augment.pop("colour"))
        renamed["augment"] = augment
    return renamed


def complete_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Add the options that did not exist when a checkpoint of a regressor was written, with the values that had the same effect."""
    complete = {**asdict(TrainConfig()), "landmark_sigma": False, **config}
    for name, section in asdict(TrainConfig()).items():
        if isinstance(section, dict):
            complete[name] = {**section, **complete[name]}
    return complete


def check_same_run(path: Path, begun: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    """Check that the checkpoint ``path`` belongs to this run.

    Args:
        path: for the message.
        begun: state of the checkpoint.
        ours: values that must be equal; a nested ``config`` is compared option by option.

    Raises:
        ConfigError: the run was started with another configuration, model or amount of data.
    """
    for name, value in ours.items():
        if name == "config":
            check_same_run(path, begun.get(name, {}), value)
        elif name not in _MAY_DIFFER and begun.get(name) != value:
            raise ConfigError(
                f"{path} was started with {name} {begun.get(name)}, not {value}: "
                "resume with the same configuration, or use another folder"
            )


def new_network(config: TrainConfig, mean: Tensor, std: Tensor) -> FaceNet:
    """Build the untrained network of a configuration; ``mean`` and ``std`` (P,) whiten its parameters."""
    backbone = BACKBONES[config.backbone](config.width, config.net_stride)
    return FaceNet(backbone, mean, std, config.heads)


def load_network(path: Path, model: MorphableModel) -> tuple[FaceNet, TrainConfig]:
    """Load the EMA network of a checkpoint, in evaluation mode, and the options that define its architecture.

    Raises:
        ConfigError: the file is not a checkpoint.
        ModelError: its network cannot be built, or was trained for another morphable model.
    """
    state = load(path)
    try:
        weights = averaged(state)
        options = complete_config(state["config"])
        known = {f: v for f, v in options.items() if f in TrainConfig.__dataclass_fields__}
        config = TrainConfig(**{f: v for f, v in known.items() if f not in ("augment", "loss")})
        network = new_network(config, weights["mean"], weights["std"])
        network.load_state_dict(weights)
    except (ConfigError, KeyError, TypeError, RuntimeError) as error:
        raise ModelError(f"the network of {path} cannot be built: {error}") from error
    if len(weights["mean"]) != model.layout.size:
        raise ModelError(
            f"{path} predicts {len(weights['mean'])} parameters, {model.name} has {model.layout.size}"
        )
    trained_for = state.get("topology_id", model.topology_id)
    if trained_for != model.topology_id:
        raise ModelError(
            f"{path} was trained for the model {trained_for}, {model.name} is {model.topology_id}"
        )
    return network.eval(), config


def averaged(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the weights of a checkpoint: their EMA if the run kept one."""
    average = state.get("average")
    return dict(state["network"] if average is None else average["weights"])
