"""A regressor of a few ONNX operators that places the mean head at the bright part of the crop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.types import CROP_FRAME

WHITE = 255 / 128  # of a pixel, over black, as the network sees it
MIDPOINT, WIDTH = 1.5, 0.25
DISAGREEMENT = 40.0  # px between both heads per unit of (blue - green) / brightness


UV_POINT = (31.0, 100.0, 5.0)  # of all texels, crop frame; crop px 30, 20


def write_tiny_regressor(
    path: Path,
    model: MorphableModel,
    size: int = 120,
    *,
    head: bool = False,
    maps: bool = False,
    **metadata: str,
) -> Path:
    """Write an ONNX file that keeps the contract of `Regressor`.

    The head's origin is the centroid of brightness; its landmarks' larger side is the square root of the bright area. Blue
    light moves the direct landmarks away from the mesh's, so that the confidence falls.

    Args:
        head: give it a confidence head, whose confidence is the logistic function of 1/40 of that move, and no ``tddfa.confidence``.
        maps: give it map heads: the mean color of each cell of 4 px as probabilities of three classes B, G, R, and `UV_POINT` at all texels.
        metadata: replaces entries of the file's metadata; an empty value leaves one out.
    """
    landmarks = model.head_landmarks(np.zeros(model.layout.size, np.float32))
    extent = float(np.ptp(landmarks[:, :2], axis=0).max())
    grid = np.arange(size, dtype=np.float32) * (CROP_FRAME / size)
    constants = {
        "white": np.float32(255 / 256),
        "tiny": np.full((1, 1), 1e-3, np.float32),
        "x_of": grid.reshape(1, 1, 1, size),
        "y_of": grid.reshape(1, 1, size, 1),
        "all_axes": np.array([1, 2, 3]),
        "points": np.array([0, 68, 2]),
        "per_area": np.full((1, 1), (CROP_FRAME / size / extent) ** 2 / WHITE, np.float32),
        "blue_green": np.array([1, -1, 0], np.float32).reshape(1, 3, 1, 1) * DISAGREEMENT / 3,
        "to_params": _params_matrix(model.layout.size),
        "to_landmarks": _landmarks_matrix(landmarks),
    }
    nodes = [
        _node("Add", ["image", "white"], "light"),
        helper.make_node("ReduceMean", ["light"], ["gray"], axes=[1], keepdims=1),
        *_total("gray", "mass", guard=True),
        _node("Mul", ["gray", "x_of"], "gray_x"),
        _node("Mul", ["gray", "y_of"], "gray_y"),
        _node("Mul", ["light", "blue_green"], "hue"),
        *_total("gray_x", "moment_x"),
        *_total("gray_y", "moment_y"),
        *_total("hue", "moment_hue"),
        _node("Div", ["moment_x", "mass"], "x"),
        _node("Div", ["moment_y", "mass"], "y"),
        _node("Div", ["moment_hue", "mass"], "hue_shift"),
        _node("Mul", ["mass", "per_area"], "scale_squared"),
        _node("Sqrt", ["scale_squared"], "scale"),
        _node("Div", ["mass", "mass"], "one"),
        helper.make_node("Concat", ["scale", "x", "y", "one", "hue_shift"], ["features"], axis=1),
        _node("MatMul", ["features", "to_params"], "params"),
        _node("MatMul", ["features", "to_landmarks"], "rows"),
        _node("Reshape", ["rows", "points"], "landmarks"),
    ]
    if head:
        constants |= {"per_move": np.float32(1 / DISAGREEMENT), "channel": np.array([1])}
        nodes += [
            _node("Mul", ["hue_shift", "per_move"], "move"),
            _node("Sigmoid", ["move"], "told"),
            _node("Squeeze", ["told", "channel"], "confidence"),
        ]
    map_outputs = []
    if maps:
        constants["uv_point"] = np.tile(np.reshape(UV_POINT, (1, 3, 1, 1)), (1, 1, 8, 8)).astype(
            np.float32
        )
        constants["map_axes"] = np.array([2, 3])
        nodes += [
            helper.make_node("AveragePool", ["light"], ["parsing"], kernel_shape=[4, 4], strides=[4, 4]),
            _node("Unsqueeze", ["one", "map_axes"], "one_map"),
            _node("Mul", ["one_map", "uv_point"], "uv_position"),
        ]  # fmt: skip
        shapes = {"parsing": ["n", 3, size // 4, size // 4], "uv_position": ["n", 3, 8, 8]}
        map_outputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in shapes.items()
        ]
    confidence = helper.make_tensor_value_info("confidence", TensorProto.FLOAT, ["n"])
    graph = helper.make_graph(
        nodes,
        "tiny_regressor",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, size, size])],
        [
            helper.make_tensor_value_info("params", TensorProto.FLOAT, ["n", model.layout.size]),
            helper.make_tensor_value_info("landmarks", TensorProto.FLOAT, ["n", 68, 2]),
            *([confidence] if head else []),
            *map_outputs,
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    promised = {
        "tddfa.layout": f"{model.layout.shape},{model.layout.expression}",
        "tddfa.input_size": str(size),
        "tddfa.confidence": "" if head else f"{MIDPOINT},{WIDTH}",
        "tddfa.topology_id": model.topology_id,
        **metadata,
    }
    helper.set_model_props(made, {key: value for key, value in promised.items() if value})
    onnx.checker.check_model(made)
    onnx.save_model(made, str(path))
    return path


def _params_matrix(size: int) -> NDArray[np.float32]:
    """Features (scale, x, y, 1, hue shift) to parameters: pose ``[s*I | x + 1, 120 - y, 0]``, the rest 0."""
    matrix = np.zeros((5, size), np.float32)
    matrix[0, [0, 5, 10]] = 1
    matrix[1, 3], matrix[3, 3] = 1, 1
    matrix[2, 7], matrix[3, 7] = -1, CROP_FRAME
    return matrix


def _landmarks_matrix(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same features to 68 points in crop px; the hue shift moves them to the right."""
    matrix = np.zeros((5, 68, 2), np.float32)
    matrix[0] = landmarks[:, :2] * [1, -1]
    matrix[1, :, 0] = matrix[2, :, 1] = matrix[4, :, 0] = 1
    return matrix.reshape(5, 136)


def _node(operator: str, inputs: list[str], output: str) -> onnx.NodeProto:
    return helper.make_node(operator, inputs, [output])


def _total(source: str, target: str, guard: bool = False) -> list[onnx.NodeProto]:
    """Sum over channels, rows and columns, as (n, 1); ``guard`` keeps a black crop from dividing by zero."""
    summed = helper.make_node("ReduceSum", [source, "all_axes"], [f"{target}_4d"], keepdims=1)
    flat = _node("Flatten", [f"{target}_4d"], f"{target}_flat")
    last = (
        _node("Add", [f"{target}_flat", "tiny"], target)
        if guard
        else _node("Identity", [f"{target}_flat"], target)
    )
    return [summed, flat, last]
