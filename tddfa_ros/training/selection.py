"""Which weights of a network are trained: all, all but the backbone, or only those that give some parameters."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tddfa_ros.training.config import TrainConfig
from tddfa_ros.training.networks import FaceNet
from tddfa_ros.types import POSE_SIZE, ParamLayout


def select_trained(
    network: FaceNet, config: TrainConfig, layout: ParamLayout
) -> list[nn.Parameter]:
    """Freeze what ``freeze`` and ``train_only`` say, and return what is left to train."""
    if config.freeze == "backbone" or config.train_only != "all":
        _freeze(network.backbone)
    if config.train_only != "all":
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
    """Let gradients reach only the rows where ``chosen`` is 1."""
    mask = chosen.reshape(-1, *[1] * (parameter.dim() - 1))

    def only(gradient: Tensor) -> Tensor:
        return gradient * mask.to(gradient)

    parameter.register_hook(only)  # type: ignore[no-untyped-call]


def _freeze(module: nn.Module) -> None:
    """No gradients, and statistics of normalisation that stay as they are."""
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()
            layer.train = _stay(layer)  # type: ignore[method-assign, assignment]


def _stay(layer: nn.BatchNorm2d) -> Callable[[bool], nn.BatchNorm2d]:
    def train(mode: bool = True) -> nn.BatchNorm2d:
        return layer

    return train
