"""A small untrained regressor with the layers of a MobileNet, whose output depends on its input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tddfa_ros.morphable.model import MorphableModel

SIZE = 32
"""Side of the input crops, px."""

CONVOLUTIONS = ("first", "depthwise1", "pointwise1", "depthwise2", "pointwise2")
HEADS = ("pool", "params_head", "rows_head", "landmarks_head", "told_head", "squeeze", "sigmoid")


def write_tiny_convnet(path: Path, model: MorphableModel, seed: int = 0) -> Path:
    """Write the ONNX file; its faces are centered in the crop, with small input-dependent changes."""
    rng = np.random.default_rng(seed)
    width = 64
    weights: dict[str, NDArray[np.float32]] = {
        "first.w": _weights(rng, 16, 3, 3),
        "depthwise1.w": _weights(rng, 16, 1, 3),
        "pointwise1.w": _weights(rng, width, 16, 1),
        "depthwise2.w": _weights(rng, width, 1, 3),
        "pointwise2.w": _weights(rng, 2 * width, width, 1),
    }
    groups = {"depthwise1": 16, "depthwise2": width}
    nodes, source = [], "image"
    for name in CONVOLUTIONS:
        side = weights[f"{name}.w"].shape[-1]
        nodes += [
            helper.make_node(
                "Conv", [source, f"{name}.w"], [f"{name}.y"], name,
                group=groups.get(name, 1), pads=[side // 2] * 4, strides=[2, 2] if side == 3 else [1, 1],
            ),
            helper.make_node("Relu", [f"{name}.y"], [f"{name}.out"], f"{name}.relu"),
        ]  # fmt: skip
        source = f"{name}.out"
    pose = np.zeros(model.layout.size, np.float32)
    pose[[0, 5, 10]], pose[[3, 7]] = 400.0, 60.0
    for head, size in (("params", len(pose)), ("rows", 136), ("told", 1)):
        weights[f"{head}.w"] = (rng.normal(size=(2 * width, size)) * 0.02).astype(np.float32)
    weights["params.b"] = pose
    weights["rows.b"], weights["told.b"] = np.full(136, 60, np.float32), np.zeros(1, np.float32)
    constants = {"points": np.array([0, 68, 2]), "channel": np.array([1])}
    nodes += [
        helper.make_node("ReduceMean", [source], ["features"], "pool", axes=[2, 3], keepdims=0),
        *(
            helper.make_node("Gemm", ["features", f"{h}.w", f"{h}.b"], [out], f"{h}_head")
            for h, out in (("params", "params"), ("rows", "rows"), ("told", "logit"))
        ),
        helper.make_node("Reshape", ["rows", "points"], ["landmarks"], "landmarks_head"),
        helper.make_node("Squeeze", ["logit", "channel"], ["logits"], "squeeze"),
        helper.make_node("Sigmoid", ["logits"], ["confidence"], "sigmoid"),
    ]
    values = {"params": ["n", len(pose)], "landmarks": ["n", 68, 2], "confidence": ["n"]}
    graph = helper.make_graph(
        nodes,
        "tiny_convnet",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in values.items()],
        [numpy_helper.from_array(v, n) for n, v in (weights | constants).items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    metadata = {
        "tddfa.layout": f"{model.layout.shape},{model.layout.expression}",
        "tddfa.input_size": str(SIZE),
        "tddfa.topology_id": model.topology_id,
    }
    helper.set_model_props(made, metadata)
    onnx.checker.check_model(made)
    onnx.save_model(made, str(path))
    return path


def _weights(rng: np.random.Generator, outputs: int, inputs: int, side: int) -> NDArray[np.float32]:
    """Return variance-preserving convolution weights; the scale differs between channels, as in trained networks."""
    scale = rng.uniform(0.3, 3.0, (outputs, 1, 1, 1)) * np.sqrt(2 / (inputs * side * side))
    return (rng.normal(size=(outputs, inputs, side, side)) * scale).astype(np.float32)
