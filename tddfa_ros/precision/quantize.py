"""Quantization of networks: static and dynamic int8, and float16 (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html)."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ConfigError, ModelError
from tddfa_ros.files import write_atomically
from tddfa_ros.runtime.devices import quiet_logger, sentence

if TYPE_CHECKING:
    from tddfa_ros.types import FloatArray

MODES = ("dynamic", "static", "float16")
"""``dynamic``: int8 weights, activation ranges at run time; ``static``: int8 weights and activations, ranges from calibration; ``float16``."""

LAYERS = ("heads", "stem", "depthwise", "convolutions")
"""Layer groups that can stay in float: everything after the last convolution; the first two, the depthwise, or all convolutions."""

DEFAULT_FLOAT_LAYERS: dict[str, tuple[str, ...]] = {
    "dynamic": ("convolutions",),
    "static": ("heads", "stem"),
    "float16": (),
}
"""Measured with tddfa-mb05: see docs/guide/speed.md."""

_OPSET = 17
_OLDEST_OPSET = 13  # of scales per channel
_ACTIVATIONS = ("Relu", "Clip", "PRelu", "LeakyRelu")


def quantize(
    model: Path,
    output: Path,
    mode: str = "static",
    *,
    crops: Sequence[FloatArray] | FloatArray | None = None,
    float_layers: Sequence[str] | None = None,
) -> None:
    """Quantize a network; inputs, outputs and metadata stay the same.

    Args:
        model: ONNX file with one image input.
        output: file to write; must differ from ``model``.
        mode: one of :data:`MODES`.
        crops: (n, 3, S, S) float32 network input for calibration, or a list of (3, H, W) of any sizes; required by ``static``.
        float_layers: names of :data:`LAYERS`; None for :data:`DEFAULT_FLOAT_LAYERS`.

    Raises:
        ConfigError: the mode or a layer group is unknown, crops are missing, or ``output`` is ``model``.
        ModelError: the network cannot be read or quantized.
    """
    if mode not in MODES:
        raise ConfigError(f"the mode must be one of {', '.join(MODES)}, not {mode!r}")
    kept = DEFAULT_FLOAT_LAYERS[mode] if float_layers is None else tuple(float_layers)
    if unknown := [name for name in kept if name not in LAYERS]:
        raise ConfigError(f"layers are named {', '.join(LAYERS)}, not {unknown[0]!r}")
    if mode == "static" and (crops is None or not len(crops)):
        raise ConfigError("static quantization needs faces to calibrate on")
    if not model.is_file():
        raise ModelError(f"the model file {model} does not exist")
    if output.exists() and output.samefile(model):
        raise ConfigError(f"{output} is the network to quantize; choose another output file")
    check_quantizer(model)
    with tempfile.TemporaryDirectory() as folder, quiet_logger():
        try:
            made = _quantized(model, Path(folder), mode, crops, kept)
        except Exception as error:
            raise ModelError(f"{model} cannot be quantized: {sentence(error)}") from error
    write_atomically(output, made)


def check_quantizer(model: Path) -> None:
    """Raise ModelError if what quantization needs is not installed."""
    if find_spec("onnx") is None:
        raise ModelError(
            f"making an int8 or float16 network of {model.name} needs the Python package onnx, which is not installed: pip install onnx"
        )


def layer_nodes(graph: Any, layers: Collection[str]) -> list[str]:
    """Return the node names of an ``onnx.GraphProto`` that belong to the named :data:`LAYERS`."""
    makers = {output: node for node in graph.node for output in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    backbone = {node.name for node in _upstream(convolutions, makers)}
    for node in graph.node:
        before = makers.get(node.input[0]) if node.input else None
        if node.op_type in _ACTIVATIONS and before is not None and before.op_type == "Conv":
            backbone.add(node.name)
    members = {
        "heads": [node for node in graph.node if node.name not in backbone],
        "stem": convolutions[:2],
        "depthwise": [node for node in convolutions if _groups(node) > 1],
        "convolutions": convolutions,
    }
    return list(dict.fromkeys(node.name for layer in layers for node in members[layer]))


def _upstream(nodes: Sequence[Any], makers: dict[str, Any]) -> Iterator[Any]:
    """Yield the nodes and all nodes they depend on."""
    waiting, seen = list(nodes), set()
    while waiting:
        node = waiting.pop()
        if node.name not in seen:
            seen.add(node.name)
            yield node
            waiting += [makers[name] for name in node.input if name in makers]


def _groups(node: Any) -> int:
    return next((int(a.i) for a in node.attribute if a.name == "group"), 1)


def _quantized(
    model: Path,
    folder: Path,
    mode: str,
    crops: Sequence[FloatArray] | FloatArray | None,
    kept: Sequence[str],
) -> bytes:
    import onnx

    metadata = {entry.key: entry.value for entry in onnx.load(str(model)).metadata_props}
    prepared, result = folder / "prepared.onnx", folder / "result.onnx"
    _prepare(model, prepared)
    graph = onnx.load(str(prepared)).graph
    nodes = layer_nodes(graph, kept)
    if mode == "float16":
        _to_float16(prepared, result, nodes)
    elif mode == "dynamic":
        _to_dynamic(prepared, result, nodes)
    else:
        assert crops is not None
        _to_static(prepared, result, nodes, graph.input[0].name, crops)
    made = onnx.load(str(result))
    onnx.helper.set_model_props(made, metadata)
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


def _prepare(model: Path, prepared: Path) -> None:
    """Fold constants and name every node, as the quantizer requires."""
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    loaded = onnx.load(str(model))
    opset = next(entry.version for entry in loaded.opset_import if entry.domain in ("", "ai.onnx"))
    if opset < _OLDEST_OPSET:
        loaded = onnx.version_converter.convert_version(loaded, _OPSET)
    for number, node in enumerate(loaded.graph.node):
        node.name = node.name or f"{node.op_type}_{number}"
    onnx.save(loaded, str(prepared))
    quant_pre_process(str(prepared), str(prepared), skip_symbolic_shape=True)


def _to_float16(prepared: Path, result: Path, nodes: list[str]) -> None:
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    half = convert_float_to_float16(
        onnx.load(str(prepared)), keep_io_types=True, node_block_list=nodes
    )
    OnnxModel(half).topological_sort()  # the conversion appends casts at the end
    onnx.save(half, str(result))


def _to_dynamic(prepared: Path, result: Path, nodes: list[str]) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # ONNX Runtime's ConvInteger takes unsigned weights only.
    quantize_dynamic(
        str(prepared),
        str(result),
        weight_type=QuantType.QUInt8,
        per_channel=True,
        nodes_to_exclude=nodes,
        op_types_to_quantize=["Conv", "MatMul", "Gemm"],
    )


def _to_static(
    prepared: Path,
    result: Path,
    nodes: list[str],
    name: str,
    crops: Sequence[FloatArray] | FloatArray,
) -> None:
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from tqdm import tqdm

    class Crops(CalibrationDataReader):
        def __init__(self) -> None:
            self._crops = iter(tqdm(crops, desc="calibration", unit="face", disable=None))

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            crop = next(self._crops, None)
            return None if crop is None else {name: crop[None]}

    quantize_static(
        str(prepared),
        str(result),
        Crops(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        # 7 bits of weight: without VNNI, x86 adds pairs of 8 x 8 bit products in 16 bits, which would overflow.
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=nodes,
        calibrate_method=CalibrationMethod.MinMax,
    )
