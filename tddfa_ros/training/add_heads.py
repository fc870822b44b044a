"""Add the heads of face parsing and UV position map to an exported network, whose other outputs stay the same."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from tddfa_ros.errors import ConfigError, ModelError
from tddfa_ros.files import atomic_path
from tddfa_ros.training.export import OPSET, store_half
from tddfa_ros.training.networks import FaceNet

if TYPE_CHECKING:
    import onnx

MAP_HEADS = ("parsing", "uv_position")
_PREFIX = "maps/"
_SAME_BACKBONE, _SAME_OUTPUT = 1e-2, 5e-3  # largest difference, relative to the largest value


class _MapHeads(nn.Module):
    """The chosen heads as a function of the feature maps; parsing as probabilities."""

    def __init__(self, network: FaceNet, names: Collection[str]) -> None:
        super().__init__()
        self.parsing = network.parsing_head if "parsing" in names else None
        self.uv_position = network.uv_head if "uv_position" in names else None

    def forward(self, *maps: Tensor) -> tuple[Tensor, ...]:
        found = []
        if self.parsing is not None:
            found.append(self.parsing(list(maps)).softmax(dim=1))
        if self.uv_position is not None:
            found.append(self.uv_position(maps[-1].mean(dim=(2, 3))))
        return tuple(found)


def add_heads(
    base: Path,
    network: FaceNet,
    path: Path,
    *,
    size: int,
    heads: Collection[str] = MAP_HEADS,
    half: bool = False,
) -> None:
    """Write the network ``base`` with additional heads, and check it against ONNX Runtime.

    Args:
        base: file of ``tddfa export`` with the backbone on which the heads were trained.
        network: with the heads, in evaluation mode.
        path: of the ONNX file.
        size: side of the crops, px.
        heads: of :data:`MAP_HEADS`.
        half: store the weights of these heads as float16.

    Raises:
        ConfigError: the network has no such head, or ``base`` cannot be read, has such a head, or has another backbone.
        ModelError: the outputs of ONNX Runtime differ from those of the network.
    """
    import onnx

    for head in heads:
        if (network.parsing_head if head == "parsing" else network.uv_head) is None:
            raise ConfigError(f"the network has no head {head!r} to export")
    names = [head for head in MAP_HEADS if head in heads]
    graph = _read(base)
    present = {output.name for output in graph.graph.output}
    if present & set(names):
        raise ConfigError(f"{base} already has the output {sorted(present & set(names))[0]}")
    features = _feature_names(graph, network, base)
    image = np.random.default_rng(0).uniform(-1, 1, (2, 3, size, size)).astype(np.float32)
    before = _run(graph, image, sorted(present))
    with torch.no_grad():
        maps = network.backbone(torch.from_numpy(image))
    for mine, theirs in zip(maps, _run(graph, image, features), strict=True):
        if mine.shape != theirs.shape or _difference(mine.numpy(), theirs) > _SAME_BACKBONE:
            raise ConfigError(f"the heads were trained on another backbone than that of {base}")
    module = _MapHeads(network, names).eval()
    _append(graph, _exported(module, maps, names), features, names, half)
    onnx.checker.check_model(graph)
    with torch.no_grad():
        wanted = module(*maps)
    after = _run(graph, image, [*sorted(present), *names])
    expected = [*before, *(value.numpy() for value in wanted)]
    if any(_difference(a, b) > _SAME_OUTPUT for a, b in zip(after, expected, strict=True)):
        raise ModelError("the outputs of the ONNX file differ from those of the network")
    with atomic_path(path) as temporary:
        onnx.save(graph, str(temporary))


def _read(base: Path) -> onnx.ModelProto:
    import onnx

    try:
        graph = onnx.load(str(base))
    except Exception as error:  # protobuf raises its own
        raise ConfigError(f"{base} is not a readable ONNX file") from error
    versions = [entry.version for entry in graph.opset_import if entry.domain in ("", "ai.onnx")]
    if versions != [OPSET]:
        raise ConfigError(f"{base} has the ONNX opset {versions}, not {OPSET}")
    return graph


def _feature_names(graph: onnx.ModelProto, network: FaceNet, base: Path) -> list[str]:
    """Return the names of the feature maps: outputs of the ReLUs that follow the last convolution of each."""
    relus = {n.input[0]: n.output[0] for n in graph.graph.node if n.op_type == "Relu"}
    layers = [relus.get(n.output[0]) for n in graph.graph.node if n.op_type == "Conv"]
    ends: tuple[int, ...] = network.backbone.ends
    found = [layers[end - 1] for end in ends if end <= len(layers)]
    names = [name for name in found if name is not None]
    if len(names) < len(ends):
        raise ConfigError(f"{base} has another backbone than the network: its layers differ")
    return names


def _exported(module: nn.Module, maps: list[Tensor], names: list[str]) -> onnx.ModelProto:
    """Export the heads as a graph of their own with the inputs ``map0``, ``map1`` ..."""
    import onnx

    inputs = [f"map{i}" for i in range(len(maps))]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You are using the legacy", DeprecationWarning)
        path = Path(folder) / "heads.onnx"
        torch.onnx.export(
            module,
            tuple(maps),
            str(path),
            input_names=inputs,
            output_names=names,
            dynamic_axes={name: {0: "batch"} for name in (*inputs, *names)},
            opset_version=OPSET,
            dynamo=False,
        )
        return onnx.load(str(path))


def _append(
    graph: onnx.ModelProto,
    heads: onnx.ModelProto,
    features: list[str],
    names: list[str],
    half: bool,
) -> None:
    """Append the heads to ``graph`` in place, with their inputs connected to ``features``."""
    from onnx.compose import add_prefix

    if half:
        store_half(heads)
    inner = add_prefix(heads, _PREFIX).graph
    new = {f"{_PREFIX}map{i}": feature for i, feature in enumerate(features)}
    new |= {f"{_PREFIX}{name}": name for name in names}
    for node in inner.node:
        for places in (node.input, node.output):
            places[:] = [new.get(name, name) for name in places]
    for output in inner.output:
        output.name = new[output.name]
    graph.graph.node.extend(inner.node)
    graph.graph.initializer.extend(inner.initializer)
    graph.graph.output.extend(inner.output)


def _run(graph: onnx.ModelProto, image: np.ndarray, names: list[str]) -> list[np.ndarray]:
    """Run a graph; ``names`` may be of inner values."""
    import onnx
    import onnxruntime

    shown = onnx.ModelProto()
    shown.CopyFrom(graph)
    outputs = {output.name for output in shown.graph.output}
    for name in names:
        if name not in outputs:
            value = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
            shown.graph.output.append(value)
    session = onnxruntime.InferenceSession(
        shown.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return list(session.run(names, {"image": image}))


def _difference(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1e-6))
