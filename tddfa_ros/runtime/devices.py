"""Compute devices: execution providers of ONNX Runtime, their availability, and usable processor cores."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tddfa_ros.errors import DeviceError

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"

SHORT_NAMES = {CPU: "CPU", CUDA: "CUDA", TENSORRT: "TensorRT"}
"""Provider names for messages."""

CUDA_OPTIONS: dict[str, Any] = {
    # The default, EXHAUSTIVE, benchmarks every convolution again for each new batch size.
    "cudnn_conv_algo_search": "HEURISTIC",
    "arena_extend_strategy": "kSameAsRequested",
}

_GPU_FILES = ("nvidiactl", "nvidia0", "dxg", "nvhost-gpu", "nvgpu", "nvmap")
_NOT_INSTALLED = "ONNX Runtime is not installed"
_LOG_WARNING, _LOG_FATAL = 2, 4
_TENSORRT_LIBRARIES = ("libnvinfer.so.10", "libnvinfer_plugin.so.10", "libnvonnxparser.so.10")
_OUT_OF_MEMORY = re.compile(
    r"out[ _]of[ _]memory|failed to allocate memory|_ALLOC_FAILED", re.IGNORECASE
)


def require_onnxruntime() -> None:
    """Check that ONNX Runtime is installed, which no requirement of this package brings by itself.

    Raises:
        DeviceError: it is not; the sentence names both of its builds, which exclude each other.
    """
    if find_spec("onnxruntime") is None:
        raise DeviceError(
            f"{_NOT_INSTALLED}: run `pip install onnxruntime` for the CPU, or "
            "`pip install onnxruntime-gpu` for an NVIDIA GPU"
        )


def ran_out_of_memory(error: BaseException) -> bool:
    """Return whether ONNX Runtime, CUDA, cuDNN or cuBLAS ran out of memory, which only their messages tell."""
    return _OUT_OF_MEMORY.search(str(error)) is not None


def sentence(error: BaseException) -> str:
    """Condense ONNX Runtime's multi-line messages to their first line, without its prefix."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rpartition(" : ")[2].strip().rstrip(".")[:200]


def preload_cuda() -> None:
    """Load CUDA and cuDNN from pip's ``nvidia-*`` wheels, as importing torch does.

    Does nothing without such wheels or with ONNX Runtime before 1.21.
    """
    import onnxruntime as ort

    preload = getattr(ort, "preload_dlls", None)
    if preload is not None:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find
            preload()


@contextlib.contextmanager
def quiet_logger() -> Iterator[None]:
    """Suppress ONNX Runtime's messages about missing libraries and unused weights; what matters of them this package reports itself."""
    import onnxruntime as ort

    ort.set_default_logger_severity(_LOG_FATAL)
    try:
        yield
    finally:
        ort.set_default_logger_severity(_LOG_WARNING)


def gpu_present() -> bool:
    """Return whether the machine shows an NVIDIA GPU to this process; True where that cannot be told.

    Linux: the device files of the driver, of WSL, or of a Jetson. ``CUDA_VISIBLE_DEVICES`` may hide all GPUs.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return False
    if sys.platform == "darwin":
        return False
    if sys.platform != "linux":
        return True
    return any(Path("/dev", name).exists() for name in _GPU_FILES)


def cuda_absence() -> str | None:
    """Return why CUDA is unavailable, as far as known before a session is created; None if nothing is missing."""
    if find_spec("onnxruntime") is None:
        return _NOT_INSTALLED
    import onnxruntime as ort

    if CUDA not in ort.get_available_providers():
        return "the installed ONNX Runtime has no CUDA support"
    return None


def tensorrt_absence() -> str | None:
    """Return why TensorRT is unavailable, with a fix; None if nothing is missing."""
    if find_spec("onnxruntime") is None:
        return _NOT_INSTALLED
    import onnxruntime as ort

    if TENSORRT not in ort.get_available_providers():
        return "the installed ONNX Runtime has no TensorRT support (onnxruntime-gpu has it)"
    for name in _TENSORRT_LIBRARIES:
        try:
            ctypes.CDLL(_library(name), mode=ctypes.RTLD_GLOBAL)
        except OSError:
            return f"TensorRT's library {name} cannot be loaded (the package tensorrt-cu12-libs has it)"
    return None


def _library(name: str) -> str:
    """Return the path of the library in the wheel ``tensorrt-*-libs``, or its name for the system loader."""
    wheel = find_spec("tensorrt_libs")
    for folder in (wheel.submodule_search_locations or []) if wheel else []:
        if (Path(folder) / name).is_file():
            return str(Path(folder) / name)
    return name


def usable_cores() -> int:
    """Return the number of processor cores available to this process: CPU affinity limited by the cgroup quota."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        cores = min(cores, max(1, round(int(quota) / int(period))))
    return cores
