"""Read the weights of an exported regressor back into a trainable network.

The export folds each batch normalization into the convolution before it. What the network computes is restored exactly; the statistics that
training needs are estimated afterwards, from crops (:func:`estimate_normalization`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tddfa_ros.errors import ConfigError
from tddfa_ros.training.networks import FaceNet

_PREFIX = "network."


def read_weights(path: Path) -> dict[str, Tensor]:
    """State dict of the :class:`FaceNet` that an ONNX file of ``tddfa export`` was made from.

    Batch normalizations get zero mean and unit variance, so that they add the folded bias and nothing else. Weights stored in half precision
    are converted.

    Raises:
        ConfigError: the file cannot be read, or was not written by ``tddfa export``.
    """
    import onnx

    try:
        graph = onnx.load(str(path)).graph
    except Exception as error:  # protobuf has its own
        raise ConfigError(f"{path} is not a readable ONNX file") from error
    values = {
        t.name: np.array(onnx.numpy_helper.to_array(t), np.float32) for t in graph.initializer
    }
    for node in graph.node:
        if node.op_type in ("Cast", "Identity") and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]]
    weights = {
        name.removeprefix(_PREFIX): torch.from_numpy(value)
        for name, value in values.items()
        if name.startswith(_PREFIX) and not name.endswith(".half")
    }
    folded = [
        [values.get(name) for name in node.input[1:]]
        for node in graph.node
        if node.op_type == "Conv"
    ]
    if not folded or not {"mean", "std", "param_head.weight"} <= set(weights):
        raise ConfigError(
            f"{path} was not written by 'tddfa export': its weights cannot be trained on"
        )
    for index, pair in enumerate(folded):
        if len(pair) != 2 or pair[0] is None or pair[1] is None:
            break  # the convolutions of another head
        kernel, bias = (torch.from_numpy(value) for value in pair if value is not None)
        layer = f"backbone.layers.{index}"
        weights[f"{layer}.0.weight"] = kernel
        weights[f"{layer}.1.weight"] = torch.ones_like(bias)
        weights[f"{layer}.1.bias"] = bias
        weights[f"{layer}.1.running_mean"] = torch.zeros_like(bias)
        weights[f"{layer}.1.running_var"] = torch.full_like(bias, 1 - nn.BatchNorm2d(1).eps)
    return weights


@torch.no_grad()
def estimate_normalization(network: FaceNet, images: Iterable[Tensor]) -> None:
    """Set the statistics of all batch normalizations to those of ``images``, without changing what the network computes.

    The scale of a normalization becomes the deviation of its channel, as it was before folding, and filters get unit norm.

    Args:
        images: batches (n, 3, S, S), normalized as the network takes them.
    """
    layers = [(c, n) for c, n in _normalized(network) if isinstance(n, nn.BatchNorm2d)]
    sums = [torch.zeros(3, norm.num_features, dtype=torch.float64) for _, norm in layers]
    hooks = [
        norm.register_forward_pre_hook(_collector(total))
        for (_, norm), total in zip(layers, sums, strict=True)
    ]
    network.eval()
    for batch in images:
        network(batch)
    for hook in hooks:
        hook.remove()
    for (convolution, norm), (count, total, squared) in zip(layers, sums, strict=True):
        assert norm.running_mean is not None and norm.running_var is not None
        gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        offset = norm.bias - gain * norm.running_mean
        size = convolution.weight.flatten(1).norm(dim=1).clamp_min(1e-6)
        mean, deviation = total / count, squared / count - (total / count) ** 2
        convolution.weight /= size[:, None, None, None]
        norm.running_mean.copy_(mean.float() / size)
        norm.running_var.copy_(deviation.clamp_min(0).float() / size**2)
        norm.weight.copy_(gain * size * torch.sqrt(norm.running_var + norm.eps))
        norm.bias.copy_(offset + gain * size * norm.running_mean)


def _normalized(network: FaceNet) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Convolutions of the backbone and the normalizations that follow them."""
    modules = [m for m in network.backbone.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    return [
        (first, second)
        for first, second in pairwise(modules)
        if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d)
    ]


def _collector(total: Tensor) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def collect(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        values = inputs[0].double()
        total[0] += values.numel() / values.shape[1]
        total[1] += values.sum(dim=(0, 2, 3))
        total[2] += values.square().sum(dim=(0, 2, 3))

    return collect
