from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from support.fake_providers import FakeGpuSession

from tddfa_ros.errors import ConfigError, DeviceError, ModelError
from tddfa_ros.runtime import session as session_module
from tddfa_ros.runtime.session import CPU, CUDA, OnnxSession


@pytest.fixture
def doubler(tmp_path: Path) -> Path:
    """y = 2 x for x (n, 3), and z = -x; metadata color = blue."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    two = onnx.numpy_helper.from_array(np.float32(2), "two")
    nodes = [helper.make_node("Mul", ["x", "two"], ["y"]), helper.make_node("Neg", ["x"], ["z"])]
    values = {name: helper.make_tensor_value_info(name, kind, ["n", 3]) for name in "xyz"}
    graph = helper.make_graph(nodes, "g", [values["x"]], [values["y"], values["z"]], [two])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"color": "blue"})
    path = tmp_path / "doubler.onnx"
    onnx.save_model(model, str(path))
    return path


ONES = np.ones((2, 3), np.float32)


def test_runs_and_describes_the_model(doubler: Path) -> None:
    session = OnnxSession(doubler, "cpu")
    assert (session.provider, session.fallback_reason) == (CPU, None)
    assert session.input_names == ("x",)
    assert session.output_names == ("y", "z")
    assert session.metadata == {"color": "blue"}
    y, z = session.run({"x": ONES})
    np.testing.assert_array_equal(y, 2 * ONES)
    np.testing.assert_array_equal(z, -ONES)
    (only,) = session.run({"x": ONES}, ["z"])
    np.testing.assert_array_equal(only, -ONES)


def test_waiting_threads_do_not_spin(doubler: Path) -> None:
    options = OnnxSession(doubler, "cpu", threads=2)._session.get_session_options()
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_falls_back_to_cpu_without_cuda(
    doubler: Path, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CPU])
    monkeypatch.setattr("tddfa_ros.runtime.session.gpu_present", lambda: True)
    session = OnnxSession(doubler, device)
    assert session.provider == CPU
    assert session.fallback_reason is not None and "CPU" in session.fallback_reason
    np.testing.assert_array_equal(session.run({"x": ONES})[0], 2 * ONES)


@pytest.mark.parametrize(("device", "said"), [("auto", False), ("cuda", True)])
def test_machine_without_gpu_needs_no_reason_under_auto(
    doubler: Path, device: str, said: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CPU])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert (OnnxSession(doubler, device).fallback_reason is not None) == said


@pytest.mark.filterwarnings("ignore:Specified provider")
@pytest.mark.skipif(
    CUDA in ort.get_available_providers(), reason="this machine's ONNX Runtime has CUDA"
)
def test_falls_back_to_cpu_when_cuda_fails_to_load(
    doubler: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA, CPU])
    session = OnnxSession(doubler, "cuda")
    assert session.provider == CPU
    assert "could not be loaded" in str(session.fallback_reason)
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> type[FakeGpuSession]:
    """A fake CUDA device in CPU memory, so that real IO binding is used."""

    class Gpu(FakeGpuSession):
        batches: list[int] = []
        opened: list[list[str]] = []

    monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(ort, "InferenceSession", Gpu)
    monkeypatch.setitem(session_module.BINDING_PLACES, CUDA, "cpu")
    return Gpu


def test_failing_gpu_is_abandoned(doubler: Path, gpu: type[FakeGpuSession]) -> None:
    session = OnnxSession(doubler)
    assert (session.provider, session.fallback_reason) == (CUDA, None)
    np.testing.assert_array_equal(session.run({"x": ONES})[0], 2 * ONES)
    assert session.provider == CPU
    assert (
        session.fallback_reason
        == "CUDA failed (out of memory), so doubler.onnx now runs on the CPU"
    )
    assert gpu.batches == [2, 1]
    session.run({"x": ONES})
    assert gpu.batches == [2, 1] and gpu.opened == [[CUDA, CPU], [CPU]]


def test_out_of_memory_halves_the_batch(
    doubler: Path, gpu: type[FakeGpuSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "capacity", 3)
    session = OnnxSession(doubler)
    x = np.arange(30, dtype=np.float32).reshape(10, 3)
    y, z = session.run({"x": x})
    np.testing.assert_array_equal(y, 2 * x)
    np.testing.assert_array_equal(z, -x)
    assert (session.provider, session.batch_limit) == (CUDA, 2)
    assert gpu.batches == [10, 5, 2, 2, 2, 2, 2]
    said = session.fallback_reason
    assert (
        said
        == "CUDA ran out of memory with 5 items at once, so doubler.onnx takes at most 2 at a time"
    )
    (y,) = session.run({"x": x[:3]}, ["y"])
    np.testing.assert_array_equal(y, 2 * x[:3])
    assert gpu.batches[7:] == [2, 1] and session.fallback_reason == said


def test_other_gpu_failures_do_not_split_the_batch(
    doubler: Path, gpu: type[FakeGpuSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("support.fake_providers.OUT_OF_MEMORY", "CUDA error 999 : it is gone")
    session = OnnxSession(doubler)
    np.testing.assert_array_equal(session.run({"x": ONES})[0], 2 * ONES)
    assert gpu.batches == [2]
    assert (
        session.fallback_reason == "CUDA failed (it is gone), so doubler.onnx now runs on the CPU"
    )


def test_failure_on_cpu_raises_device_error(
    doubler: Path, gpu: type[FakeGpuSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: FakeGpuSession, *_: object) -> None:
        raise RuntimeError("[ONNXRuntimeError] : 1 : FAIL : no luck")

    monkeypatch.setattr(gpu, "run", fail)
    session = OnnxSession(doubler, "cpu")
    with pytest.raises(DeviceError, match=r"^doubler\.onnx failed on the CPU: no luck$"):
        session.run({"x": ONES})


def test_invalid_input_keeps_the_gpu(
    doubler: Path, gpu: type[FakeGpuSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "capacity", 8)
    session = OnnxSession(doubler)
    for bad in (
        {"wrong": ONES},
        {"x": np.ones((2, 4), np.float32)},
        {"x": ONES.astype(np.float64)},
    ):
        with pytest.raises(ModelError, match=r"^doubler\.onnx cannot take this input: .+"):
            session.run(bad)
    assert (session.provider, session.fallback_reason) == (CUDA, None)


def test_device_cpu_does_not_query_gpus(doubler: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("the GPU was looked for")

    class OnlyCpu(FakeGpuSession):
        opened: list[list[str]] = []

    for name in (
        "get_available_providers", "get_all_providers", "get_device", "preload_dlls", "set_default_logger_severity",
    ):  # fmt: skip
        monkeypatch.setattr(ort, name, forbidden, raising=False)
    monkeypatch.setattr(ort.OrtValue, "ortvalue_from_shape_and_type", forbidden)
    monkeypatch.setattr(ctypes, "CDLL", forbidden)
    monkeypatch.setattr(ort, "InferenceSession", OnlyCpu)
    (doubler.parent / "engine.json").write_text("{}")
    doubler.rename(doubler.parent / "model.onnx")
    session = OnnxSession(doubler.parent / "model.onnx", "cpu")
    np.testing.assert_array_equal(session.run({"x": ONES})[0], 2 * ONES)
    assert OnlyCpu.opened == [[CPU]] and session.fallback_reason is None


def test_rejects_mismatched_input(doubler: Path, capfd: pytest.CaptureFixture[str]) -> None:
    session = OnnxSession(doubler, "cpu")
    for bad in (
        {"x": np.ones((2, 4), np.float32)},
        {"wrong": ONES},
        {"x": ONES.astype(np.float64)},
    ):
        with pytest.raises(
            ModelError, match=r"^doubler\.onnx cannot take this input: .+"
        ) as caught:
            session.run(bad)
        assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_rejects_bad_files_and_options(tmp_path: Path, doubler: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        OnnxSession(tmp_path / "none.onnx")
    (tmp_path / "noise.onnx").write_bytes(b"noise" * 100)
    with pytest.raises(ModelError, match=r"cannot load .*noise\.onnx"):
        OnnxSession(tmp_path / "noise.onnx")
    with pytest.raises(ConfigError, match="device"):
        OnnxSession(doubler, "tpu")
    with pytest.raises(ConfigError, match="threads"):
        OnnxSession(doubler, threads=-1)
