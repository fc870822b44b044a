from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tddfa_ros.errors import ModelError
from tddfa_ros.model_store.onnx_edits import free_height_and_width
from tddfa_ros.runtime.session import OnnxSession

onnx = pytest.importorskip("onnx", reason="needed to edit models")


def fixed_size_blur() -> bytes:
    """A 3x3 box filter for one 8x8 image, exported the old way, with its weight among the inputs."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    weight = onnx.numpy_helper.from_array(np.full((1, 1, 3, 3), 1 / 9, np.float32), "w")
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    shapes = {"x": [1, 1, 8, 8], "w": [1, 1, 3, 3], "y": [1, 1, 8, 8]}
    info = {
        name: helper.make_tensor_value_info(name, kind, shape) for name, shape in shapes.items()
    }
    graph = helper.make_graph([node], "blur", [info["x"], info["w"]], [info["y"]], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=4)
    return bytes(model.SerializeToString())


def test_dynamic_batch_and_size_keep_results(tmp_path: Path) -> None:
    before, after = tmp_path / "before.onnx", tmp_path / "after.onnx"
    before.write_bytes(fixed_size_blur())
    after.write_bytes(free_height_and_width(fixed_size_blur()))
    x = np.random.default_rng(0).random((1, 1, 8, 8), np.float32)
    fixed, free = OnnxSession(before, "cpu"), OnnxSession(after, "cpu")
    np.testing.assert_allclose(fixed.run({"x": x})[0], free.run({"x": x})[0], rtol=1e-6)
    large = np.ones((2, 1, 20, 32), np.float32)
    with pytest.raises(ModelError):
        fixed.run({"x": large})
    (y,) = free.run({"x": large})
    np.testing.assert_allclose(y[:, :, 1:-1, 1:-1], 1, rtol=1e-6)
    assert free.input_names == ("x",)


def test_rejects_non_onnx_bytes() -> None:
    with pytest.raises(ModelError, match="not an ONNX model"):
        free_height_and_width(b"\xff\xff\xffnothing")
