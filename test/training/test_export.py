"""Export of a checkpoint to an ONNX file for the regressor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tddfa_ros.errors import ConfigError, ModelError
from tddfa_ros.morphable import MorphableModel

torch = pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")
onnx = pytest.importorskip("onnx")

from support.tiny_networks import as_input, settled, textures  # noqa: E402

from tddfa_ros.regression.regressor import Regressor  # noqa: E402
from tddfa_ros.training import export  # noqa: E402
from tddfa_ros.training.calibration import Confidence  # noqa: E402
from tddfa_ros.training.export import export_onnx  # noqa: E402
from tddfa_ros.training.networks import (  # noqa: E402
    OPTIONAL_HEADS,
    PARSING_CLASSES,
    UV_SIZE,
    FaceNet,
    MobileNetV1,
    Predictions,
)

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

CURVE = Confidence(midpoint=0.4, width=0.7)
AGREEMENT = Confidence(midpoint=-1.5, width=0.25)


def network_of(model: MorphableModel, heads: tuple[str, ...] = OPTIONAL_HEADS) -> FaceNet:
    """Random weights, with statistics of normalization as a trained network has them."""
    torch.manual_seed(0)
    count = model.layout.size
    mean = torch.zeros(count)
    mean[:12] = torch.tensor([600.0, 0, 0, 61, 0, 600, 0, 60, 0, 0, 600, 0])
    return settled(FaceNet(MobileNetV1(0.125), mean, torch.full((count,), 0.5), heads))


@pytest.fixture(scope="module")
def network(tiny_model: MorphableModel) -> FaceNet:
    return network_of(tiny_model)


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    return textures(3, 96, seed=9)


def answer(network: FaceNet, crops: np.ndarray) -> Predictions:
    with torch.no_grad():
        found = network(as_input(crops))
    return Predictions(*(None if value is None else value.numpy() for value in found))


def session_of(path: Path) -> InferenceSession:
    import onnxruntime

    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def exported(
    network: FaceNet, tiny_model: MorphableModel, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("export") / "net.onnx"
    export_onnx(network, tiny_model, path, size=96, confidence=CURVE)
    return path


def test_exports_params_landmarks_confidence_by_default(
    exported: Path, network: FaceNet, tiny_model: MorphableModel, crops: np.ndarray
) -> None:
    regressor = Regressor(exported, tiny_model)
    assert regressor.session.output_names == ("params", "landmarks", "confidence")
    assert regressor.metadata.agreement is None and regressor.input_size == 96
    result, wanted = regressor(crops), answer(network, crops)
    np.testing.assert_allclose(result.params, wanted.params, atol=2e-3)
    np.testing.assert_allclose(result.landmarks_direct, wanted.landmarks, atol=1e-2)
    assert wanted.confidence is not None
    told = 1 / (1 + np.exp((CURVE.midpoint - wanted.confidence) / CURVE.width))
    np.testing.assert_allclose(result.confidence, told, atol=1e-4)
    assert len(np.unique(told)) == 3
    assert np.ptp(result.params, axis=0).max() > 0.01


@pytest.mark.filterwarnings("error::torch.jit.TracerWarning")
def test_exports_optional_heads(
    network: FaceNet, tiny_model: MorphableModel, crops: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "all.onnx"
    export_onnx(
        network, tiny_model, path, size=96, confidence=CURVE, heads=("uv_position", "parsing", "landmark_sigma", "confidence"), sigma_scale=1.5
    )  # fmt: skip
    session = session_of(path)
    names = [output.name for output in session.get_outputs()]
    assert names == ["params", "landmarks", *OPTIONAL_HEADS]
    image = as_input(crops).contiguous().numpy()
    found = dict(zip(names, session.run(names, {"image": image}), strict=True))
    wanted = answer(network, crops)
    assert found["landmark_sigma"].shape == (3, 68)
    np.testing.assert_allclose(found["landmark_sigma"], 1.5 * wanted.landmark_sigma, rtol=1e-4)
    assert found["parsing"].shape == (3, PARSING_CLASSES, 24, 24)
    np.testing.assert_allclose(found["parsing"].sum(axis=1), 1, atol=1e-5)
    odds = np.exp(wanted.parsing)
    np.testing.assert_allclose(found["parsing"], odds / odds.sum(axis=1, keepdims=True), atol=1e-4)
    assert found["uv_position"].shape == (3, 3, UV_SIZE, UV_SIZE)
    np.testing.assert_allclose(found["uv_position"], wanted.uv_position, atol=1e-2)
    Regressor(path, tiny_model)(crops)


def test_export_without_confidence_head_uses_agreement(
    network: FaceNet, tiny_model: MorphableModel, crops: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "agreement.onnx"
    export_onnx(network, tiny_model, path, size=96, agreement=AGREEMENT, heads=())
    regressor = Regressor(path, tiny_model)
    assert regressor.session.output_names == ("params", "landmarks")
    assert regressor.metadata.agreement == (1.5, 0.25)
    result = regressor(crops)
    apart = np.linalg.norm(result.landmarks[..., :2] - result.landmarks_direct, axis=2).mean(axis=1)
    score = (AGREEMENT.midpoint + apart) / AGREEMENT.width
    np.testing.assert_allclose(
        result.confidence, 1 / (1 + np.exp(np.clip(score, -80, 80))), rtol=1e-3
    )


def test_float16_storage(
    exported: Path, network: FaceNet, tiny_model: MorphableModel, crops: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "half.onnx"
    export_onnx(network, tiny_model, path, size=96, confidence=CURVE, half=True)
    assert path.stat().st_size < 0.7 * exported.stat().st_size
    stored = {t.data_type for t in onnx.load(str(path)).graph.initializer if len(t.raw_data) > 4096}
    assert stored == {onnx.TensorProto.FLOAT16}
    whole, half = (Regressor(p, tiny_model)(crops) for p in (exported, path))
    scale = np.abs(whole.params).max()
    np.testing.assert_allclose(half.params, whole.params, atol=1e-3 * scale)
    np.testing.assert_allclose(half.landmarks_direct, whole.landmarks_direct, atol=0.1)
    np.testing.assert_allclose(half.confidence, whole.confidence, atol=5e-3)


def test_rejects_curves_that_do_not_match_heads(
    network: FaceNet, tiny_model: MorphableModel, tmp_path: Path
) -> None:
    path = tmp_path / "never.onnx"
    plain = network_of(tiny_model, ())
    for head in OPTIONAL_HEADS:
        with pytest.raises(ConfigError, match=f"no head '{head}'"):
            export_onnx(plain, tiny_model, path, size=96, agreement=AGREEMENT, heads=(head,))
    with pytest.raises(ConfigError, match="no head 'depth'"):
        export_onnx(network, tiny_model, path, size=96, agreement=AGREEMENT, heads=("depth",))
    for options in (
        {"heads": ("confidence",)},
        {"heads": ("confidence",), "agreement": AGREEMENT},
        {"heads": ("confidence",), "confidence": CURVE, "agreement": AGREEMENT},
        {"heads": (), "confidence": CURVE},
        {"heads": ()},
    ):
        with pytest.raises(ConfigError, match="give the curve of the confidence head"):
            export_onnx(network, tiny_model, path, size=96, **options)
    assert not path.exists()


def test_rejects_file_with_different_outputs(
    network: FaceNet, tiny_model: MorphableModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(graph: onnx.ModelProto) -> None:
        for tensor in graph.graph.initializer:
            if tensor.name.endswith("landmark_head.bias"):
                values = onnx.numpy_helper.to_array(tensor) + 0.1
                tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))

    monkeypatch.setattr(export, "store_half", spoil)
    with pytest.raises(ModelError, match="differ from those of the network"):
        export_onnx(network, tiny_model, tmp_path / "x.onnx", size=96, confidence=CURVE, half=True)


def test_regressor_reads_exported_sigma(
    network: FaceNet, tiny_model: MorphableModel, crops: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "sigma.onnx"
    heads = ("confidence", "landmark_sigma")
    export_onnx(network, tiny_model, path, size=96, confidence=CURVE, heads=heads, sigma_scale=2.0)
    found = Regressor(path, tiny_model)(crops).landmark_sigma
    assert found is not None
    np.testing.assert_allclose(found, 2 * answer(network, crops).landmark_sigma, rtol=1e-3)
    empty = Regressor(path, tiny_model)(crops[:0]).landmark_sigma
    assert empty is not None and empty.shape == (0, 68)
    export_onnx(network, tiny_model, path, size=96, confidence=CURVE)
    assert Regressor(path, tiny_model)(crops).landmark_sigma is None
