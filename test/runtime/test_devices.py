from __future__ import annotations

import os
import sys
from pathlib import Path

import onnxruntime as ort
import pytest

from tddfa_ros.errors import DeviceError
from tddfa_ros.runtime import devices
from tddfa_ros.runtime.session import OnnxSession


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Failed to allocate memory for requested buffer of size 1073741824", True),
        ("CUDA failure 2: out of memory ; GPU=0", True),
        ("CUDNN failure 2: CUDNN_STATUS_ALLOC_FAILED", True),
        ("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED", True),
        ("CUDA_ERROR_OUT_OF_MEMORY", True),
        ("CUDA failure 700: an illegal memory access was encountered", False),
        ("Got invalid dimensions for input", False),
    ],
)
def test_recognizes_out_of_memory_messages(message: str, expected: bool) -> None:
    assert devices.ran_out_of_memory(RuntimeError(message)) is expected


def test_long_messages_are_shortened() -> None:
    error = RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : it broke.\n at line 3\n")
    assert devices.sentence(error) == "it broke"
    assert devices.sentence(KeyError()) == "KeyError"


def test_loading_cuda_prints_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def preload() -> None:
        asked.append(True)
        print("Failed to load libcudart.so")

    monkeypatch.setattr(ort, "preload_dlls", preload, raising=False)
    devices.preload_cuda()
    monkeypatch.delattr(ort, "preload_dlls")
    devices.preload_cuda()  # ONNX Runtime before 1.21
    assert asked == [True] and capsys.readouterr() == ("", "")


@pytest.mark.skipif(sys.platform != "linux", reason="processors are bound on Linux only")
def test_usable_cores_follow_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert devices.usable_cores() == 1


def test_no_providers_without_onnx_runtime(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """ONNX Runtime is installed only by the extras [cpu] and [gpu]."""
    monkeypatch.setattr("tddfa_ros.runtime.devices.find_spec", lambda _: None)
    assert devices.cuda_absence() == devices.tensorrt_absence() == "ONNX Runtime is not installed"
    (tmp_path / "model.onnx").touch()
    with pytest.raises(DeviceError, match="pip install onnxruntime` for the CPU"):
        OnnxSession(tmp_path / "model.onnx")
