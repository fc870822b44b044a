from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from support.synthetic_model import synthetic_model
from support.tiny_convnet import CONVOLUTIONS, HEADS, SIZE, write_tiny_convnet

from tddfa_ros.errors import ConfigError, ModelError
from tddfa_ros.precision.quantize import layer_nodes, quantize
from tddfa_ros.regression.regressor import Regressor
from tddfa_ros.tuning.compare import agreement, as_tensor

MODEL = synthetic_model(shape=4, expressions=6)
CROPS = np.random.default_rng(1).integers(0, 255, (12, SIZE, SIZE, 3), np.uint8)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_convnet(tmp_path_factory.mktemp("net") / "net.onnx", MODEL)


def quantized(network: Path, folder: Path, mode: str, **options: object) -> onnx.ModelProto:
    """Quantize, and check properties that hold for every mode."""
    output = folder / "small.onnx"
    crops = as_tensor(CROPS) if mode == "static" else None
    quantize(network, output, mode, crops=crops, **options)  # type: ignore[arg-type]
    before, after = Regressor(network, MODEL, "cpu"), Regressor(output, MODEL, "cpu")
    assert after.session.metadata == before.session.metadata
    assert after.session.input_names == before.session.input_names
    assert set(after.session.output_names) == set(before.session.output_names)
    found = agreement(before, after, CROPS, 0.4)
    assert 0 < found.landmarks_mean <= found.landmarks_worst < 1.0
    assert after(CROPS[:0]).params.shape == (0, MODEL.layout.size)
    return onnx.load(str(output))


def tensors(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}


def test_layer_node_names(network: Path) -> None:
    graph = onnx.load(str(network)).graph
    assert set(layer_nodes(graph, ["heads"])) == set(HEADS)
    assert layer_nodes(graph, ["stem"]) == ["first", "depthwise1"]
    assert layer_nodes(graph, ["depthwise"]) == ["depthwise1", "depthwise2"]
    assert layer_nodes(graph, ["convolutions"]) == list(CONVOLUTIONS)
    assert set(layer_nodes(graph, ["stem", "depthwise"])) == {"first", "depthwise1", "depthwise2"}


def test_static_keeps_heads_and_stem_in_float(network: Path, tmp_path: Path) -> None:
    made = quantized(network, tmp_path, "static")
    assert (tmp_path / "small.onnx").stat().st_size < network.stat().st_size
    weights = tensors(made)
    in_int8 = {name for name, values in weights.items() if values.dtype == np.int8}
    assert {name for name in in_int8 if not name.endswith("_zero_point")} == {
        f"{name}.w_quantized" for name in ("pointwise1", "depthwise2", "pointwise2")
    }
    assert {"first.w", "depthwise1.w", "params.w"} <= set(weights)


def test_static_weights_have_seven_bits_and_a_scale_per_channel(
    network: Path, tmp_path: Path
) -> None:
    weights = tensors(quantized(network, tmp_path, "static"))
    true = tensors(onnx.load(str(network)))["pointwise2.w"]
    whole, scale = weights["pointwise2.w_quantized"], weights["pointwise2.w_scale"]
    assert scale.shape == (len(true),) and np.abs(whole.astype(int)).max() <= 64
    error = np.abs(whole * scale[:, None, None, None] - true).max(axis=(1, 2, 3))
    assert (error <= scale * 0.5001).all()
    np.testing.assert_allclose(scale, np.abs(true).max(axis=(1, 2, 3)) / 64, rtol=0.02)


def test_float_layers_are_selectable(network: Path, tmp_path: Path) -> None:
    weights = tensors(
        quantized(network, tmp_path, "static", float_layers=("heads", "stem", "depthwise"))
    )
    assert weights["depthwise2.w"].dtype == np.float32
    assert weights["pointwise2.w_quantized"].dtype == np.int8


def test_dynamic_quantization_keeps_convolutions(network: Path, tmp_path: Path) -> None:
    made = quantized(network, tmp_path, "dynamic")
    kinds = Counter(node.op_type for node in made.graph.node)
    assert kinds["Conv"] == 5 and kinds["MatMulInteger"] == 3
    made = quantized(network, tmp_path, "dynamic", float_layers=["heads"])
    assert Counter(node.op_type for node in made.graph.node)["ConvInteger"] == 5


def test_float16_has_half_the_weights_and_float32_at_both_ends(
    network: Path, tmp_path: Path
) -> None:
    made = quantized(network, tmp_path, "float16")
    weights = tensors(made)
    assert all(weights[f"{name}.w"].dtype == np.float16 for name in (*CONVOLUTIONS, "params"))
    kept = tensors(quantized(network, tmp_path, "float16", float_layers=["heads"]))
    assert kept["params.w"].dtype == np.float32 and kept["first.w"].dtype == np.float16
    ends = [*made.graph.input, *made.graph.output]
    assert {value.type.tensor_type.elem_type for value in ends} == {onnx.TensorProto.FLOAT}


def test_rejects_invalid_input_in_one_sentence(network: Path, tmp_path: Path) -> None:
    output = tmp_path / "small.onnx"
    with pytest.raises(ConfigError, match="the mode must be one of dynamic, static, float16"):
        quantize(network, output, "int4")
    with pytest.raises(ConfigError, match="needs faces"):
        quantize(network, output, "static")
    with pytest.raises(ConfigError, match="not 'arms'"):
        quantize(network, output, "dynamic", float_layers=["arms"])
    with pytest.raises(ConfigError, match="is the network to quantize"):
        quantize(network, network, "dynamic")
    with pytest.raises(ModelError, match="does not exist"):
        quantize(tmp_path / "none.onnx", output, "dynamic")
    (tmp_path / "noise.onnx").write_bytes(b"noise" * 50)
    with pytest.raises(ModelError, match=r"noise\.onnx cannot be quantized: .+"):
        quantize(tmp_path / "noise.onnx", output, "dynamic")
    assert not output.exists()
