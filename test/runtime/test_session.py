from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tddfa_ros.errors import ConfigError, ModelError
from tddfa_ros.runtime.session import CPU, CUDA, OnnxSession

ort = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx", reason="needed to build the model under test")


@pytest.fixture
def doubler(tmp_path: Path) -> Path:
    """y = 2 x for x (n, 3), and z = -x; metadata colour = blue."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    two = onnx.numpy_helper.from_array(np.float32(2), "two")
    nodes = [helper.make_node("Mul", ["x", "two"], ["y"]), helper.make_node("Neg", ["x"], ["z"])]
    values = {name: helper.make_tensor_value_info(name, kind, ["n", 3]) for name in "xyz"}
    graph = helper.make_graph(nodes, "g", [values["x"]], [values["y"], values["z"]], [two])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"colour": "blue"})
    path = tmp_path / "doubler.onnx"
    onnx.save_model(model, str(path))
    return path


class FakeGpuSession:
    """The hardware edge: claims to run on CUDA, and fails there at the first computation."""

    def __init__(self, path: str, options: object, providers: list[object]) -> None:
        self._real = REAL_SESSION(path, options, providers=[CPU])
        self._on_gpu = providers != [CPU]

    def get_providers(self) -> list[str]:
        return [CUDA, CPU] if self._on_gpu else [CPU]

    def run(self, *arguments: object) -> object:
        if self._on_gpu:
            raise RuntimeError(
                "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : out of memory\nat line 1"
            )
        return self._real.run(*arguments)

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)


REAL_SESSION = ort.InferenceSession
ONES = np.ones((2, 3), np.float32)


def test_runs_and_describes_the_model(doubler: Path) -> None:
    session = OnnxSession(doubler, "cpu")
    assert (session.provider, session.fallback_reason) == (CPU, None)
    assert session.input_names == ("x",)
    assert session.output_names == ("y", "z")
    assert session.metadata == {"colour": "blue"}
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
def test_without_cuda_the_cpu_works_and_says_so(
    doubler: Path, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CPU])
    session = OnnxSession(doubler, device)
    assert session.provider == CPU
    assert session.fallback_reason is not None and "CPU" in session.fallback_reason
    np.testing.assert_array_equal(session.run({"x": ONES})[0], 2 * ONES)


@pytest.mark.filterwarnings("ignore:Specified provider")
@pytest.mark.skipif(
    CUDA in ort.get_available_providers(), reason="this machine's ONNX Runtime has CUDA"
)
def test_a_promised_but_unusable_cuda_is_not_believed(
    doubler: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA, CPU])
    session = OnnxSession(doubler, "cuda")
    assert session.provider == CPU
    assert "could not be loaded" in str(session.fallback_reason)
    assert capfd.readouterr() == ("", "")


def test_a_gpu_that_fails_later_is_left_for_good(
    doubler: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(ort, "InferenceSession", FakeGpuSession)
    session = OnnxSession(doubler)
    assert (session.provider, session.fallback_reason) == (CUDA, None)
    np.testing.assert_array_equal(session.run({"x": ONES})[0], 2 * ONES)
    assert session.provider == CPU
    assert (
        session.fallback_reason
        == "CUDA failed (out of memory), so doubler.onnx now runs on the CPU"
    )


def test_input_that_does_not_fit_is_one_sentence(
    doubler: Path, capfd: pytest.CaptureFixture[str]
) -> None:
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


def test_bad_files_and_options(tmp_path: Path, doubler: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        OnnxSession(tmp_path / "none.onnx")
    (tmp_path / "noise.onnx").write_bytes(b"noise" * 100)
    with pytest.raises(ModelError, match=r"cannot load .*noise\.onnx"):
        OnnxSession(tmp_path / "noise.onnx")
    with pytest.raises(ConfigError, match="device"):
        OnnxSession(doubler, "tpu")
    with pytest.raises(ConfigError, match="threads"):
        OnnxSession(doubler, threads=-1)
