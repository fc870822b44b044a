"""Initialize a network from trained weights: of a checkpoint, of an exported ONNX file, or of a narrower network.

An ONNX file holds each batch normalization folded into the convolution before it. The function of the network is restored exactly; the
statistics that training needs are estimated from crops (:func:`estimate_normalization`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tddfa_ros.errors import ConfigError
from tddfa_ros.training.checkpoint import averaged, load
from tddfa_ros.training.networks import FaceNet

_PREFIX = "network."
_UNEVEN = (
    0.35,
    0.65,
)  # range of the share of one of two copies of a channel: equal copies would get equal gradients
_NOISE = 0.02  # relative to each weight, for the same reason


def start_from(network: FaceNet, path: Path) -> list[str]:
    """Initialize a network from a checkpoint or an exported ONNX file, as far as the shapes match.

    A parameter head that was trained with another whitening is converted. A backbone that is an integer factor wider starts with the function
    of the narrow one (:func:`widened`).

    Returns:
        Names of the weights that were not initialized.
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
    # an ONNX file does not have the counters of batch normalization, which are not weights
    return [n for n in own if n not in fitting and not n.endswith("num_batches_tracked")]


def widened(
    narrow: Mapping[str, Tensor], wide: Mapping[str, Tensor], seed: int = 0
) -> dict[str, Tensor]:
    """Return the weights of ``narrow`` that fit the shapes of ``wide``, with channels copied (Net2WiderNet, Chen et al., 2016).

    Each channel of the backbone is copied, and its weights in the next layer are split unevenly between the copies, so the function of the
    network is nearly preserved. A little noise breaks the symmetry of the copies.
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
    """Return the factors of outputs and inputs from ``source`` to ``target``; None if they are not integer or the kernels differ."""
    if source.dim() != target.dim() or source.shape[2:] != target.shape[2:]:
        return None
    factors = [target.shape[axis] / source.shape[axis] for axis in range(min(source.dim(), 2))]
    if not all(factor.is_integer() for factor in factors):
        return None
    return int(factors[0]), int(factors[1]) if len(factors) > 1 else 1


def _shared(weight: Tensor, times: int, generator: torch.Generator) -> Tensor:
    """Split a weight (o, i, ...) over ``times`` copies of its inputs."""
    low, high = _UNEVEN
    shape = (times, *weight.shape[:2])
    part = low + (high - low) * torch.rand(shape, generator=generator)
    part = (part / part.sum(dim=0)).reshape(times, *weight.shape[:2], *[1] * (weight.dim() - 2))
    return torch.cat([weight * one for one in part], dim=1)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the state dict of a :class:`FaceNet` from an ONNX file of ``tddfa export``.

    Batch normalizations get mean 0 and variance 1, so that they only add the folded bias. float16 weights are converted.

    Raises:
        ConfigError: the file cannot be read, or was not written by ``tddfa export``.
    """
    import onnx

    try:
        graph = onnx.load(str(path)).graph
    except Exception as error:  # protobuf raises its own
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
            f"{path} was not written by 'tddfa export': its weights cannot be used for training"
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


def estimate_normalization(network: FaceNet, images: Iterable[Tensor]) -> None:
    """Estimate the statistics of all batch normalizations from ``images``, without changing the function of the network.

    The scale of a normalization becomes the standard deviation of its channel, as before folding, and filters get unit norm.

    Args:
        network: is changed in place.
        images: batches (n, 3, S, S), normalized.
    """
    with torch.no_grad():
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
    """Return the convolutions of the backbone with the batch normalizations that follow them."""
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
