from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from support.fake_providers import GPU_PROVIDERS, FakeTensorrtSession
from support.synthetic_model import synthetic_model
from support.tiny_regressor import write_tiny_regressor

from tddfa_ros.errors import ConfigError, DeviceError, ModelError
from tddfa_ros.regression.regressor import Regressor
from tddfa_ros.runtime import session as session_module
from tddfa_ros.runtime.devices import CPU, TENSORRT, tensorrt_absence
from tddfa_ros.runtime.session import OnnxSession
from tddfa_ros.runtime.tensorrt import EngineFolder
from tddfa_ros.tuning.build_engine import build_engine

MODEL = synthetic_model(shape=4, expressions=6)
CROPS = np.random.default_rng(0).integers(0, 255, (5, 120, 120, 3), np.uint8)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return write_tiny_regressor(tmp_path / "net.onnx", MODEL)


@pytest.fixture
def tensorrt(monkeypatch: pytest.MonkeyPatch) -> type[FakeTensorrtSession]:
    """A fake machine with TensorRT, with device memory on the CPU."""

    class Tensorrt(FakeTensorrtSession):
        batches: list[int] = []
        opened: list[list[str]] = []

    monkeypatch.setattr(ort, "get_available_providers", lambda: GPU_PROVIDERS)
    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: None)
    monkeypatch.setattr(ort, "InferenceSession", Tensorrt)
    monkeypatch.setitem(session_module.BINDING_PLACES, TENSORRT, "cpu")
    return Tensorrt


@pytest.mark.skipif(
    TENSORRT in ort.get_available_providers(), reason="this machine's ONNX Runtime has TensorRT"
)
def test_missing_tensorrt_is_reported(network: Path, tmp_path: Path) -> None:
    with pytest.raises(DeviceError) as caught:
        build_engine(network, tmp_path / "engine")
    assert str(caught.value) == (
        "TensorRT cannot be used on this machine: the installed ONNX Runtime has no TensorRT support "
        "(onnxruntime-gpu has it)"
    )
    assert not (tmp_path / "engine").exists()


def test_missing_tensorrt_libraries_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_library(name: str, **_: object) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ort, "get_available_providers", lambda: GPU_PROVIDERS)
    monkeypatch.setattr("ctypes.CDLL", no_library)
    assert tensorrt_absence() == (
        "TensorRT's library libnvinfer.so.10 cannot be loaded (the package tensorrt-cu12-libs has it)"
    )


def test_engine_is_built_once_and_reused(
    network: Path, tmp_path: Path, tensorrt: type[FakeTensorrtSession]
) -> None:
    build_engine(network, tmp_path / "engine", half=True, max_batch=2)
    model = tmp_path / "engine" / "model.onnx"
    regressor = Regressor(model, MODEL)
    assert (regressor.session.provider, regressor.session.fallback_reason) == (TENSORRT, None)
    assert tensorrt.built == 1 and tensorrt.batches == []
    wanted = Regressor(network, MODEL, "cpu")(CROPS)
    np.testing.assert_array_equal(regressor(CROPS).params, wanted.params)
    assert tensorrt.batches == [2, 2, 1]


def test_provider_options(network: Path, tmp_path: Path) -> None:
    engine = EngineFolder(tmp_path, True, 4, {"image": (3, 120, 120)}, "")
    options = engine.provider_options()
    assert options["trt_fp16_enable"] is True and options["trt_engine_cache_enable"] is True
    assert options["trt_engine_cache_path"] == str(tmp_path)
    assert options["trt_profile_min_shapes"] == "image:1x3x120x120"
    assert options["trt_profile_opt_shapes"] == "image:1x3x120x120"
    assert options["trt_profile_max_shapes"] == "image:4x3x120x120"


def test_profile_for_batches_is_kept_in_the_folder(
    network: Path, tmp_path: Path, tensorrt: type[FakeTensorrtSession]
) -> None:
    build_engine(network, tmp_path / "engine", max_batch=256, opt_batch=8)
    engine = EngineFolder.around(tmp_path / "engine" / "model.onnx")
    assert engine is not None
    options = engine.provider_options()
    assert options["trt_profile_min_shapes"] == "image:1x3x120x120"
    assert options["trt_profile_opt_shapes"] == "image:8x3x120x120"
    assert options["trt_profile_max_shapes"] == "image:256x3x120x120"


def test_reads_engine_description_without_profile(tmp_path: Path, network: Path) -> None:
    network.rename(tmp_path / "model.onnx")
    old = {"half": False, "max_batch": 16, "inputs": {"image": [3, 120, 120]}, "sha256": "0"}
    (tmp_path / "engine.json").write_text(json.dumps(old))
    engine = EngineFolder.around(tmp_path / "model.onnx")
    assert engine is not None
    assert (engine.min_batch, engine.opt_batch, engine.max_batch) == (1, 1, 16)


def test_fixed_batch_is_the_whole_profile(
    network: Path, tmp_path: Path, tensorrt: type[FakeTensorrtSession]
) -> None:
    fixed = onnx.load(str(network))
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    onnx.save(fixed, str(tmp_path / "fixed.onnx"))
    build_engine(tmp_path / "fixed.onnx", tmp_path / "engine")
    engine = EngineFolder.around(tmp_path / "engine" / "model.onnx")
    assert engine is not None
    shapes = {v for k, v in engine.provider_options().items() if k.endswith("_shapes")}
    assert shapes == {"image:4x3x120x120"}


def test_damaged_engine_is_rebuilt_once(
    network: Path, tmp_path: Path, tensorrt: type[FakeTensorrtSession]
) -> None:
    folder = tmp_path / "engine"
    build_engine(network, folder)
    (engine,) = folder.glob("*.engine")
    engine.write_bytes(b"noise")
    session = OnnxSession(folder / "model.onnx")
    assert session.provider == TENSORRT
    assert session.fallback_reason == (
        f"the TensorRT engine in {folder} could not be used (could not deserialize engine from cache) and was rebuilt"
    )
    assert tensorrt.built == 2 and engine.read_bytes() == FakeTensorrtSession.ENGINE
    assert OnnxSession(folder / "model.onnx").fallback_reason is None
    assert tensorrt.built == 2


def test_stale_engine_is_rebuilt(
    network: Path, tmp_path: Path, tensorrt: type[FakeTensorrtSession]
) -> None:
    folder = tmp_path / "engine"
    build_engine(network, folder)
    write_tiny_regressor(folder / "model.onnx", MODEL, head=True)
    session = OnnxSession(folder / "model.onnx")
    assert session.provider == TENSORRT and tensorrt.built == 2
    assert session.fallback_reason == f"the TensorRT engine in {folder} was stale and was rebuilt"
    assert OnnxSession(folder / "model.onnx").fallback_reason is None


def test_falls_back_when_rebuild_fails(
    network: Path,
    tmp_path: Path,
    tensorrt: type[FakeTensorrtSession],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build_engine(network, tmp_path / "engine")
    monkeypatch.setattr(tensorrt, "broken", True)
    session = OnnxSession(tmp_path / "engine" / "model.onnx")
    assert session.provider == "CUDAExecutionProvider"
    assert "TensorRT could not be used" in str(session.fallback_reason)
    assert [names[0] for names in tensorrt.opened].count(TENSORRT) == 3  # build, use, rebuild


def test_failing_engine_is_rebuilt_then_abandoned(
    network: Path,
    tmp_path: Path,
    tensorrt: type[FakeTensorrtSession],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("support.fake_providers.OUT_OF_MEMORY", "enqueue : it is broken")
    build_engine(network, tmp_path / "engine")
    monkeypatch.setattr(tensorrt, "capacity", 0)
    session = OnnxSession(tmp_path / "engine" / "model.onnx")
    session.run({"image": np.zeros((1, 3, 120, 120), np.float32)})
    assert tensorrt.built == 2 and session.provider == CPU
    assert "TensorRT failed (it is broken)" in str(session.fallback_reason)


def test_engine_folder_runs_without_tensorrt(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("tddfa_ros.tuning.build_engine.tensorrt_absence", lambda: None)
        patch.setattr(OnnxSession, "provider", TENSORRT)
        build_engine(network, tmp_path / "engine")
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CPU])
    session = OnnxSession(tmp_path / "engine" / "model.onnx")
    assert session.provider == CPU
    assert str(session.fallback_reason).startswith("TensorRT is not used: the installed ONNX")


def test_rejects_invalid_input_in_one_sentence(
    network: Path, tmp_path: Path, tensorrt: type[FakeTensorrtSession]
) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        build_engine(tmp_path / "none.onnx", tmp_path / "engine")
    with pytest.raises(ConfigError, match="is not empty"):
        build_engine(network, tmp_path)
    with pytest.raises(ConfigError, match="is a file"):
        build_engine(network, network)
    with pytest.raises(ConfigError, match="1 or more"):
        build_engine(network, tmp_path / "engine", max_batch=0)
    with pytest.raises(ConfigError, match=r"1 to the largest batch \(4\), not 8"):
        build_engine(network, tmp_path / "engine", max_batch=4, opt_batch=8)
    free = onnx.load(str(network))
    free.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    onnx.save(free, str(tmp_path / "free.onnx"))
    with pytest.raises(ModelError, match="variable size"):
        build_engine(tmp_path / "free.onnx", tmp_path / "engine")


@pytest.mark.parametrize("content", ["{", "{}", "[]", json.dumps({"inputs": 3})])
def test_rejects_unreadable_engine_description(tmp_path: Path, network: Path, content: str) -> None:
    network.rename(tmp_path / "model.onnx")
    (tmp_path / "engine.json").write_text(content)
    with pytest.raises(ModelError, match="tddfa trt"):
        OnnxSession(tmp_path / "model.onnx")
