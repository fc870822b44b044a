"""Export of original networks to this package's ONNX format: torch modules, and 3DDFA_V2's own ONNX files."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tddfa_ros.errors import ModelError
from tddfa_ros.official.space import SPACE
from tddfa_ros.official.whitening import LAYOUT, Whitening
from tddfa_ros.types import CROP_FRAME, FloatArray

if TYPE_CHECKING:
    from torch import nn

OPSET = 17
POSE_ORDER = (0.05, 0.008)
"""Midpoint and width of the confidence's curve; see `tddfa_ros.regression.regressor.pose_disorder`.

Measured with mb05: the disorder of 300 faces of AFLW2000-3D is 0.010 (median; 99 % below 0.031), that of 300 crops of images without
faces 0.24 (95 % above 0.054), of crops shifted by half their width 0.18 (95 % above 0.050). It tells faces from these with an AUC of 0.998 and
0.999; the disagreement of the checkpoint's two heads with 0.993 and 0.999.
"""

_SIZE = int(CROP_FRAME)
_TOLERANCE = 1e-4


def export_regressor(network: nn.Module, landmarks: bool, whitening: Whitening, path: Path) -> None:
    """Write a network of `tddfa_ros.official.networks`; its outputs are 3DDFA's parameters without whitening.

    Raises:
        ModelError: the output of ONNX Runtime differs from torch's.
    """
    import onnx
    import torch
    from torch import Tensor, nn

    class Unwhitened(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network
            self.register_buffer("mean", torch.from_numpy(whitening.mean))
            self.register_buffer("std", torch.from_numpy(whitening.std))

        def forward(self, image: Tensor) -> tuple[Tensor, ...]:
            params, *points = self.network(image)
            half = CROP_FRAME / 2
            points = [p.reshape(-1, 2, 68).transpose(1, 2) * half + half for p in points]
            return (params * self.std + self.mean, *points)

    module = Unwhitened().eval()
    names = ["params", "landmarks"][: 1 + landmarks]
    _to_onnx(module, (1, 3, _SIZE, _SIZE), path, "image", names, {0: "batch"})
    model = onnx.load(str(path))
    _write(model, path, _metadata())
    image = np.random.default_rng(0).uniform(-1, 1, (3, 3, _SIZE, _SIZE)).astype(np.float32)
    with torch.no_grad():
        wanted = [value.numpy() for value in module(torch.from_numpy(image))]
    _compare(path, image, names, wanted)


def export_detector(network: nn.Module, path: Path) -> None:
    """Write a `FaceBoxesNet` with dynamic height and width; raise ModelError if the output of ONNX Runtime differs from torch's."""
    import torch

    names = ["offsets", "probabilities"]
    _to_onnx(network, (1, 3, 256, 320), path, "image", names, {2: "height", 3: "width"})
    image = np.random.default_rng(0).uniform(-120, 120, (1, 3, 160, 200)).astype(np.float32)
    with torch.no_grad():
        wanted = [value.numpy() for value in network(torch.from_numpy(image))]
    _compare(path, image, names, wanted)


def convert_regressor(model: Any, whitening: Whitening, path: Path) -> None:
    """Convert 3DDFA_V2's own ONNX file (an ``onnx.ModelProto``): dynamic batch size, parameters without whitening.

    Raises:
        ModelError: the outputs differ from those of the original.
    """
    from onnx import helper, numpy_helper

    original = type(model)()
    original.CopyFrom(model)
    graph = model.graph
    source = _free_input(graph)
    for node in graph.node:
        node.input[:] = ["image" if name == source.name else name for name in node.input]
    _free_reshapes(graph)
    whitened = graph.output[0].name
    graph.initializer.extend(
        [
            numpy_helper.from_array(whitening.std, "tddfa_std"),
            numpy_helper.from_array(whitening.mean, "tddfa_mean"),
        ]
    )
    graph.node.extend(
        [
            helper.make_node("Mul", [whitened, "tddfa_std"], ["tddfa_scaled"]),
            helper.make_node("Add", ["tddfa_scaled", "tddfa_mean"], ["params"]),
        ]
    )
    _replace(graph.input, [_image("image")])
    _replace(graph.output, [helper.make_tensor_value_info("params", 1, ["batch", LAYOUT.size])])
    _replace(graph.value_info, [])
    _write(model, path, _metadata())
    image = np.random.default_rng(0).uniform(-1, 1, (2, 3, _SIZE, _SIZE)).astype(np.float32)
    answers = [_run(original.SerializeToString(), {source.name: row[None]})[0] for row in image]
    _compare(path, image, ["params"], [np.concatenate(answers) * whitening.std + whitening.mean])


def _to_onnx(
    module: nn.Module,
    shape: tuple[int, ...],
    path: Path,
    image: str,
    names: list[str],
    free: dict[int, str],
) -> None:
    import torch

    axes: dict[str, dict[int, str]] = {image: free}
    batch = 0 in free
    axes |= {name: {0: "batch"} if batch else {1: "priors"} for name in names}
    with warnings.catch_warnings():
        # dynamo=False asks for this exporter on purpose; torch warns of it on every call.
        warnings.filterwarnings("ignore", "You are using the legacy", DeprecationWarning)
        torch.onnx.export(
            module,
            (torch.zeros(shape),),
            str(path),
            input_names=[image],
            output_names=names,
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )


def _metadata() -> dict[str, str]:
    midpoint, width = POSE_ORDER
    return {
        "tddfa.layout": f"{LAYOUT.shape},{LAYOUT.expression}",
        "tddfa.input_size": str(_SIZE),
        "tddfa.parameter_space": SPACE,
        "tddfa.pose_order": f"{midpoint:g},{width:g}",
    }


def _write(model: Any, path: Path, metadata: dict[str, str]) -> None:
    import onnx

    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _image(name: str) -> Any:
    from onnx import helper

    return helper.make_tensor_value_info(name, 1, ["batch", 3, _SIZE, _SIZE])


def _free_input(graph: Any) -> Any:
    stored = {tensor.name for tensor in graph.initializer}
    return next(value for value in graph.input if value.name not in stored)


def _free_reshapes(graph: Any) -> None:
    """Make the batch of reshapes dynamic: a first dimension of 1 becomes 0 (copied from the input)."""
    from onnx import numpy_helper

    shapes = {node.input[1] for node in graph.node if node.op_type == "Reshape"}
    constants = [t for t in graph.initializer if t.name in shapes]
    constants += [
        node.attribute[0].t
        for node in graph.node
        if node.op_type == "Constant" and node.output[0] in shapes
    ]
    for tensor in constants:
        sides = numpy_helper.to_array(tensor).copy()
        if sides.ndim == 1 and len(sides) and sides[0] == 1:
            sides[0] = 0
            tensor.CopyFrom(numpy_helper.from_array(sides, tensor.name))


def _replace(field: Any, values: list[Any]) -> None:
    del field[:]
    field.extend(values)


def _run(
    model: str | bytes, feeds: dict[str, FloatArray], names: list[str] | None = None
) -> list[FloatArray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return list(session.run(names, feeds))


def _compare(path: Path, image: FloatArray, names: list[str], wanted: Sequence[FloatArray]) -> None:
    """Check that the outputs equal those of the source, relative to the largest value."""
    try:
        found = _run(str(path), {"image": image}, names)
        same = all(
            np.abs(mine - theirs).max() <= _TOLERANCE * max(1.0, float(np.abs(theirs).max()))
            for mine, theirs in zip(found, wanted, strict=True)
        )
    except Exception:  # ONNX Runtime's, by version
        same = False
    if not same:
        path.unlink(missing_ok=True)
        raise ModelError("the outputs of the converted network differ from those of the original")
