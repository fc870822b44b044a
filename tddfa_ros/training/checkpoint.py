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

_UNEVEN = (0.35, 0.65)
"""Range of the first copy's share in what follows: equal copies would learn the same for ever."""
_NOISE = 0.02  # of each weight's size, for the same reason


def widened(
    narrow: Mapping[str, Tensor], wide: Mapping[str, Tensor], seed: int = 0
) -> dict[str, Tensor]:
    """What of the state dict ``narrow`` fits the shapes of ``wide``, with channels copied where these are a whole number of times as many.

    Every channel of the backbone is copied; the copies share what the next layer makes of it in uneven parts, so that the sum, and with it
    what the network computes, nearly stays. A little noise sets the copies apart.
    """
    generator = torch.Generator().manual_seed(seed)
    grown: dict[str, Tensor] = {}
    for name, target in wide.items():
        source = narrow.get(name)
        if source is None:
            continue
        if source.shape == target.shape:
            grown[name] = source
            continue
        factors = _factors(source, target)
        if factors is None or (factors[0] > 1 and not name.startswith("backbone.")):
            continue
        outputs, inputs = factors
        value = source.repeat(outputs, *[1] * (source.dim() - 1))
        if inputs > 1:
            value = _shared(value, inputs, generator)
        if source.dim() > 1:
            value = value * (1 + _NOISE * torch.randn(value.shape, generator=generator))
        grown[name] = value
    return grown


def _factors(source: Tensor, target: Tensor) -> tuple[int, int] | None:
    """How many times as many outputs and inputs the wide layer has; the rest of the shape must agree."""
    if source.dim() != target.dim() or source.shape[2:] != target.shape[2:]:
        return None
    factors = [target.shape[axis] / source.shape[axis] for axis in range(min(source.dim(), 2))]
    if not all(factor.is_integer() for factor in factors):
        return None
    return int(factors[0]), int(factors[1]) if len(factors) > 1 else 1


def _shared(weight: Tensor, times: int, generator: torch.Generator) -> Tensor:
    """Weight (o, i, ...) for inputs that come ``times``, each copy with a part of it."""
    low, high = _UNEVEN
    shape = (times, *weight.shape[:2])
    part = low + (high - low) * torch.rand(shape, generator=generator)
    part = (part / part.sum(dim=0)).reshape(times, *weight.shape[:2], *[1] * (weight.dim() - 2))
    return torch.cat([weight * one for one in part], dim=1)


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
