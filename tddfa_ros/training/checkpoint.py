"""Checkpoints: everything a run needs to go on as if it had not stopped, and networks taken out of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tddfa_ros.errors import ConfigError, ModelError
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.config import TrainConfig
from tddfa_ros.training.networks import BACKBONES, FaceNet
from tddfa_ros.training.onnx_weights import read_weights
from tddfa_ros.training.widen import widened

_MAY_DIFFER = ("threads", "workers", "epochs", "minutes", "device")
"""Options that another machine, or a longer run, may change."""


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint; a crash leaves the old one whole."""
    partial = path.with_suffix(".partial")
    torch.save(dict(state), partial)
    partial.replace(path)


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint to the CPU, without running code from it.

    Raises:
        ConfigError: the file is none.
    """
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        if not {"config", "network"} <= set(state):
            raise KeyError("config")
    except Exception as error:  # zip, pickle and torch each have their own
        raise ConfigError(f"{path} is not a readable checkpoint of a training run") from error
    return dict(state)


def check_same_run(path: Path, begun: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    """Raise ConfigError when a checkpoint was begun with another configuration (nested in ``config``), model or amount of data."""
    for name, value in ours.items():
        if name == "config":
            check_same_run(path, begun.get(name, {}), value)
        elif name not in _MAY_DIFFER and begun.get(name) != value:
            raise ConfigError(
                f"{path} was begun with {name} {begun.get(name)}, not {value}: "
                "resume with the same configuration, or use another folder"
            )


def new_network(config: TrainConfig, mean: Tensor, std: Tensor) -> FaceNet:
    """The untrained network of a configuration."""
    backbone = BACKBONES[config.backbone](config.width, config.net_stride)
    return FaceNet(backbone, mean, std, config.heads)


def load_network(path: Path, model: MorphableModel) -> tuple[FaceNet, TrainConfig]:
    """The averaged network of a checkpoint, in evaluation mode, and the configuration it was trained with.

    Raises:
        ConfigError: the file is not a checkpoint. ModelError: its network cannot be built, or was trained for another morphable model.
    """
    state = load(path)
    try:
        weights = averaged(state)
        known = {f: v for f, v in state["config"].items() if f in TrainConfig.__dataclass_fields__}
        known = {f: v for f, v in known.items() if f not in ("augment", "loss")}
        known.setdefault("landmark_sigma", False)  # older networks have no head for it
        config = TrainConfig(**known)
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
    """The weights of a checkpoint: their average, where the run kept one."""
    average = state.get("average")
    return dict(state["network"] if average is None else average["weights"])


def start_from(network: FaceNet, path: Path) -> list[str]:
    """Take over the weights of another checkpoint, or of an exported ONNX file, that fit; names of those that do not.

    Parameters are regressed whitened, so a head trained with another mean and deviation is converted. A backbone that is a whole number of
    times as wide begins where the narrow one ended.
    """
    given = read_weights(path) if path.suffix == ".onnx" else dict(averaged(load(path)))
    own = network.state_dict()
    if "mean" in given and given["mean"].shape == own["mean"].shape:
        scale = given["std"] / own["std"]
        given["param_head.weight"] = given["param_head.weight"] * scale[:, None]
        shifted = given["param_head.bias"] * given["std"] + given["mean"] - own["mean"]
        given["param_head.bias"] = shifted / own["std"]
        given["mean"], given["std"] = own["mean"], own["std"]
    fitting = widened(given, own)
    network.load_state_dict({**own, **fitting})
    return [name for name in own if name not in fitting]
