from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support.fake_providers import GPU_PROVIDERS
from support.synthetic_model import synthetic_model
from support.tiny_regressor import write_tiny_regressor

pytest.importorskip("torch", reason="torch is an optional dependency")

import onnx
import onnxruntime as ort
import torch

from tddfa_ros.errors import ConfigError, DeviceError, ModelError
from tddfa_ros.runtime.session import OnnxSession
from tddfa_ros.runtime.torch_device import StagingBuffers, TensorSession, torch_device

CPU = torch.device("cpu")


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return write_tiny_regressor(tmp_path / "net.onnx", synthetic_model(shape=4, expressions=6))


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert torch_device("cpu") == CPU == torch_device("auto")
    with pytest.raises(ConfigError, match="device must be one of auto, cpu, cuda, not 'tpu'"):
        torch_device("tpu")
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(DeviceError) as caught:
        torch_device("cuda")
    assert str(caught.value) == (
        "CUDA cannot be used: the installed ONNX Runtime has no CUDA support"
    )
    monkeypatch.setattr(ort, "get_available_providers", lambda: GPU_PROVIDERS)
    with pytest.raises(DeviceError, match="CUDA cannot be used: PyTorch finds no CUDA GPU"):
        torch_device("cuda")


def test_missing_torch_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "tddfa_ros.runtime.torch_device.find_spec",
        lambda name: None if name == "torch" else find_spec(name),
    )
    with pytest.raises(DeviceError) as caught:
        torch_device("cpu")
    assert str(caught.value) == (
        "batches on a device need PyTorch, which is not installed: pip install torch"
    )


def test_buffers_are_not_reallocated_for_fewer_bytes() -> None:
    buffers = StagingBuffers(CPU)
    rng = np.random.default_rng(0)
    for size in (200_000, 200_000, 3, 70_000, 199_999, 0, 200_000):
        parts = [rng.integers(0, 255, (size // 2, 2), np.uint8), np.zeros(size % 2, np.uint8)]
        expected = np.concatenate([part.ravel() for part in parts])
        np.testing.assert_array_equal(buffers.upload(parts).numpy(), expected)
    assert buffers.allocations == 2


def test_download_is_valid_until_the_second_next() -> None:
    buffers = StagingBuffers(CPU)
    tensors = [torch.full((3, 5), float(i), dtype=torch.float16) for i in range(3)]
    indices = torch.arange(7)
    first, second = (buffers.download([tensor, indices]).arrays() for tensor in tensors[:2])
    np.testing.assert_array_equal(first[0], np.zeros((3, 5), np.float16))
    np.testing.assert_array_equal(second[0], np.ones((3, 5), np.float16))
    np.testing.assert_array_equal(second[1], np.arange(7))
    assert first[0].dtype == np.float16
    buffers.download([tensors[2], indices])
    assert first[0].max() == 2 and second[0].max() == 1  # the first buffer was reused
    assert buffers.allocations == 2


def test_tensor_session_matches_onnx_session(network: Path) -> None:
    session = OnnxSession(network, "cpu")
    bound = TensorSession(session, CPU, 4)
    pointer = bound.input("image", 1).data_ptr()
    for seed, count in enumerate((4, 1, 3, 2)):
        image = torch.rand((count, 3, 120, 120), generator=torch.Generator().manual_seed(seed))
        bound.input("image", count).copy_(image)
        found = bound.run(["landmarks", "params"], count)
        expected = session.run({"image": image.numpy()}, ["landmarks", "params"])
        for mine, theirs in zip(found, expected, strict=True):
            np.testing.assert_array_equal(mine.numpy(), theirs)
    assert bound.input("image", 4).data_ptr() == pointer
    assert [len(rows) for rows in bound.run(["params"], 0)] == [0]


def test_rejects_unsuitable_networks(network: Path, tmp_path: Path) -> None:
    session = OnnxSession(network, "cpu")
    with pytest.raises(DeviceError, match=r"net.onnx cannot run on cuda: it runs on CPUExecution"):
        TensorSession(session, SimpleNamespace(type="cuda", index=0), 4)
    for side, value, message in ((0, 2, "its batch size is fixed to 2"), (2, "height", "height")):
        changed = onnx.load(str(network))
        dim = changed.graph.input[0].type.tensor_type.shape.dim[side]
        setattr(dim, "dim_value" if isinstance(value, int) else "dim_param", value)
        onnx.save(changed, str(tmp_path / "changed.onnx"))
        with pytest.raises(ModelError, match=f"cannot run on tensors: .*{message}"):
            TensorSession(OnnxSession(tmp_path / "changed.onnx", "cpu"), CPU, 4)


@pytest.mark.parametrize(
    ("message", "kind"),
    [("CUDA error : out of memory", MemoryError), ("CUDA error 700", DeviceError)],
)
def test_failures_of_the_device(
    network: Path, monkeypatch: pytest.MonkeyPatch, message: str, kind: type[Exception]
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError(message)

    bound = TensorSession(OnnxSession(network, "cpu"), CPU, 4)
    monkeypatch.setattr(bound, "_session", SimpleNamespace(run_with_iobinding=fail))
    with pytest.raises(kind):
        bound.run(["params"], 1)
