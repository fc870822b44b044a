"""Optimization: state of a run, learning rate, exponential moving average (EMA) of the weights, frozen weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from tddfa_ros.training.config import TrainConfig
from tddfa_ros.training.networks import FaceNet
from tddfa_ros.types import POSE_SIZE, ParamLayout

_EMA_INTERVAL = 4  # steps between two updates of the EMA


class TrainState:
    """Position in a run, and the means of the figures of the current epoch.

    Attributes:
        epoch: completed epochs.
        step: completed steps of the current epoch.
        seconds: time spent on steps.
    """

    def __init__(self) -> None:
        self.epoch, self.step = 0, 0
        self.seconds = 0.0
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Add scalars of one step; a value may be missing in some steps."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def end_epoch(self) -> dict[str, float]:
        """Start the next epoch; return the mean of each value over the steps that had it."""
        means = {name: float(value) / self._counts[name] for name, value in self._sums.items()}
        self.epoch, self.step, self._sums, self._counts = self.epoch + 1, 0, {}, {}
        return means

    def state_dict(self) -> dict[str, Any]:
        """Return everything that is needed to resume."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "sums": dict(self._sums),
            "counts": dict(self._counts),
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from :meth:`state_dict`."""
        self.epoch, self.step = state["epoch"], state["step"]
        self.seconds = state.get("seconds", 0.0)
        self._sums, self._counts = dict(state["sums"]), dict(state["counts"])


def one_cycle(progress: float, warm_up: float = 0.08, floor: float = 1e-3) -> float:
    """Return the factor of the peak learning rate at ``progress`` in [0, 1]: cosine from 0.04 to 1, then to ``floor`` (Smith, 2018).

    Not ``torch.optim.lr_scheduler.OneCycleLR``, which fixes the number of steps: a resumed run may have another number of epochs, and the
    schedule follows the completed share of the run.
    """
    if progress < warm_up:
        return 0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * progress / warm_up))
    down = min((progress - warm_up) / (1 - warm_up), 1.0) if warm_up < 1 else 1.0
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * down))


class EMA:
    """Exponential moving average of a network's weights; the one that is validated and exported.

    A thin layer over :class:`torch.optim.swa_utils.AveragedModel`. Buffers (statistics of normalization layers) are those of the network itself:
    averaged statistics would lag the weights and match no network.

    Args:
        network: its current weights are the first value of the average.
        half_life: in steps; 0: the average is the network itself.
    """

    def __init__(self, network: nn.Module, half_life: float) -> None:
        self._interval = _EMA_INTERVAL if half_life > 0 else 1
        self._keep = 0.5 ** (_EMA_INTERVAL / half_life) if half_life > 0 else 0.0
        self._averaged = AveragedModel(network, avg_fn=self._average)
        self._averaged.n_averaged.fill_(1)
        self._step = 0

    def update(self, network: nn.Module) -> None:
        """Call after every optimizer step."""
        self._step += 1
        if self._step % self._interval == 0:
            self._averaged.update_parameters(network)

    def state_dict(self) -> dict[str, Any]:
        """Return the averaged weights and the number of steps they have seen."""
        return {"weights": self.weights, "step": self._step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from :meth:`state_dict`."""
        self._averaged.module.load_state_dict(state["weights"])
        self._step = state["step"]
        self._averaged.n_averaged.fill_(1 + self._step // self._interval)

    @property
    def weights(self) -> dict[str, Tensor]:
        """The average, as a state dict of the network."""
        return dict(self._averaged.module.state_dict())

    def _average(self, average: Tensor, value: Tensor, count: Tensor | int) -> Tensor:
        # before the first half-life the average is the plain mean of all values
        seen = int(count)
        return torch.lerp(average, value, 1 - min(self._keep, seen / (seen + 1)))


def run_state(
    network: nn.Module, optimizer: torch.optim.Optimizer, ema: EMA, state: TrainState
) -> dict[str, Any]:
    """Return what a checkpoint needs to resume a run exactly, for :func:`restore_run`."""
    return {
        "network": network.state_dict(),
        "average": ema.state_dict(),
        "optimizer": optimizer.state_dict(),
        "train_state": state.state_dict(),
        "rng": torch.get_rng_state(),
    }


def restore_run(
    saved: Mapping[str, Any],
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    ema: EMA,
    state: TrainState,
) -> None:
    """Continue from the state of :func:`run_state`."""
    network.load_state_dict(saved["network"])
    optimizer.load_state_dict(saved["optimizer"])
    ema.load_state_dict(saved["average"])
    state.load_state_dict(saved["train_state"])
    torch.set_rng_state(saved["rng"])


def select_trained(
    network: FaceNet, config: TrainConfig, layout: ParamLayout
) -> list[nn.Parameter]:
    """Freeze weights according to ``freeze*`` and ``train_only``, and return the trainable ones."""
    if config.freeze == "backbone" or config.train_only != "all":
        _freeze(network.backbone)
    _freeze(network.backbone.layers[: config.freeze_layers])
    if config.freeze_batch_norm:
        _freeze_statistics(network)
    if config.train_only == "maps":
        for name, module in network.named_children():
            if name not in ("parsing_head", "uv_head"):
                _freeze(module)
    elif config.train_only != "all":
        for name, module in network.named_children():
            if name != "param_head":
                _freeze(module)
        chosen = torch.zeros(layout.size)
        chosen[_rows(config.train_only, layout)] = 1
        for parameter in network.param_head.parameters():
            _train_rows(parameter, chosen)
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def _rows(name: str, layout: ParamLayout) -> slice:
    first_expression = POSE_SIZE + layout.shape
    return {
        "pose": slice(0, POSE_SIZE),
        "identity": slice(POSE_SIZE, first_expression),
        "expression": slice(first_expression, layout.size),
    }[name]


def _train_rows(parameter: nn.Parameter, chosen: Tensor) -> None:
    """Mask the gradients of the rows where ``chosen`` is 0."""
    mask = chosen.reshape(-1, *[1] * (parameter.dim() - 1))

    def only(gradient: Tensor) -> Tensor:
        return gradient * mask.to(gradient)

    parameter.register_hook(only)  # type: ignore[no-untyped-call]


def _freeze(module: nn.Module) -> None:
    """Disable gradients, and keep the statistics of batch normalization constant."""
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    _freeze_statistics(module)


def _freeze_statistics(module: nn.Module) -> None:
    """Keep the statistics of batch normalization constant in training mode too."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()
            layer.train = _ignore_mode(layer)  # type: ignore[method-assign, assignment]


def _ignore_mode(layer: nn.BatchNorm2d) -> Callable[[bool], nn.BatchNorm2d]:
    def train(mode: bool = True) -> nn.BatchNorm2d:
        return layer

    return train
