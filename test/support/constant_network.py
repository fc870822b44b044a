"""Write ONNX files with constant outputs; the mean of one input channel can be added to one output."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper


def write_constant_network(
    path: Path,
    outputs: Mapping[str, NDArray[np.float32]],
    *,
    size: tuple[int, int] | None = None,
    brightened: str = "",
    channel: int = 0,
) -> Path:
    """Write an ONNX file with constant outputs.

    Args:
        outputs: by name, in order.
        size: height and width of the input; None for free ones.
        brightened: name of the output to which the mean of ``channel`` of the input is added.
    """
    height, width = size or ("height", "width")
    pick = np.zeros((1, 3, 1, 1), np.float32)
    pick[0, channel] = 3.0  # the mean is over three channels
    nodes = [
        helper.make_node("Mul", ["input", "pick"], ["picked"]),
        helper.make_node("ReduceMean", ["picked"], ["light"], keepdims=0),
        helper.make_node("Mul", ["light", "nothing"], ["dark"]),
    ]
    constants = [
        numpy_helper.from_array(pick, "pick"),
        numpy_helper.from_array(np.float32(0), "nothing"),
    ]
    for name, value in outputs.items():
        constants.append(numpy_helper.from_array(value.astype(np.float32), f"{name}_value"))
        light = "light" if name == brightened else "dark"
        nodes.append(helper.make_node("Add", [f"{name}_value", light], [name]))
    graph = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, height, width])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, list(value.shape))
            for name, value in outputs.items()
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path
