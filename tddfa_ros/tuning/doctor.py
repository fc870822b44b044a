"""Diagnosis of the machine: software, execution providers, libraries, programs and models."""

from __future__ import annotations

import ctypes.util
import importlib
import importlib.metadata
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec

from tddfa_ros.errors import DeviceError, ModelError, ModelHashError
from tddfa_ros.model_store.manifest import FileSource
from tddfa_ros.model_store.store import ModelStore
from tddfa_ros.runtime import devices

OK, ABSENT, BROKEN = "ok", "absent", "broken"
"""States of a finding; absent items are optional or fetched on demand."""

_GPU_LIBRARIES = {
    "CUDA driver": "cuda",
    "CUDA runtime": "cudart",
    "cuBLAS": "cublas",
    "cuDNN": "cudnn",
    "TensorRT": "nvinfer",
}

_ONNX_RUNTIMES = ("onnxruntime", "onnxruntime-gpu")
"""Distributions of ONNX Runtime for the devices of this package."""


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Attributes:
        group: heading it belongs to.
        name: what it is.
        state: :data:`OK`, :data:`ABSENT` or :data:`BROKEN`.
        detail: version or place; where it is not ok, the reason and a fix.
    """

    group: str
    name: str
    state: str
    detail: str


def examine(store: ModelStore) -> Iterator[Finding]:
    """Check the machine, the software and the models of a store, without loading networks or downloading."""
    yield from _machine()
    yield from _packages()
    yield from _providers()
    yield from _libraries()
    yield _ros()
    yield from _models(store)


def _machine() -> Iterator[Finding]:
    yield Finding("machine", "system", OK, platform.platform())
    yield Finding("machine", "Python", OK, platform.python_version())
    cores, usable = os.cpu_count() or 1, devices.usable_cores()
    detail = f"{usable} usable of {cores}; models use regression.threads of them, 1 by default"
    yield Finding("machine", "cores", OK, detail)


def _packages() -> Iterator[Finding]:
    for name, module in (("NumPy", "numpy"), ("SciPy", "scipy"), ("ONNX", "onnx")):
        yield _package(name, module)
    yield from _opencv()
    pyav = _installed("av")
    why = "not installed; videos have a constant frame rate and no audio without it: pip install av"
    yield Finding("software", "PyAV", OK if pyav else ABSENT, pyav or why)
    ray = _installed("ray")  # to import it takes seconds
    why = "not installed; tddfa batch --ray needs it: pip install ray"
    yield Finding("software", "Ray", OK if ray else ABSENT, ray or why)


def _installed(distribution: str) -> str | None:
    """Return the version of an installed distribution; None if it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _package(name: str, module: str) -> Finding:
    if find_spec(module) is None:
        return Finding("software", name, BROKEN, "not installed, but needed")
    try:
        version = str(getattr(importlib.import_module(module), "__version__", "installed"))
    except Exception as error:
        return Finding("software", name, BROKEN, f"cannot be imported: {devices.sentence(error)}")
    return Finding("software", name, OK, version)


def _opencv() -> Iterator[Finding]:
    found = _package("OpenCV", "cv2")
    yield found
    if found.state != OK:
        return
    import cv2

    toolkit = _build_value(cv2.getBuildInformation(), "GUI:")
    if toolkit in ("", "NONE"):
        why = "this build has no windows (opencv-python has, opencv-python-headless has not)"
        yield Finding("software", "OpenCV windows (highgui)", ABSENT, why)
    elif platform.system() == "Linux" and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        why = f"{toolkit}, but there is no display: neither DISPLAY nor WAYLAND_DISPLAY is set"
        yield Finding("software", "OpenCV windows (highgui)", ABSENT, why)
    else:
        yield Finding("software", "OpenCV windows (highgui)", OK, toolkit)
    registry = cv2.videoio_registry
    names = [registry.getBackendName(backend) for backend in registry.getStreamBackends()]
    state, detail = (OK, ", ".join(names)) if names else (ABSENT, "this build reads no videos")
    yield Finding("software", "OpenCV video (videoio)", state, detail)


def _build_value(information: str, key: str) -> str:
    """Return the value of a line of OpenCV's build information; empty if there is no such line."""
    lines = (line.strip() for line in information.splitlines())
    return next((line.removeprefix(key).strip() for line in lines if line.startswith(key)), "")


def _providers() -> Iterator[Finding]:
    try:
        devices.require_onnxruntime()
    except DeviceError as error:
        yield Finding("ONNX Runtime", "version", BROKEN, str(error))
        return
    import onnxruntime as ort

    builds = [name for name in _ONNX_RUNTIMES if _installed(name)]
    if len(builds) > 1:
        why = (
            f"{' and '.join(builds)} overwrite each other's files; keep one: "
            f"pip uninstall {' '.join(builds)}, then install that one again"
        )
        yield Finding("ONNX Runtime", "version", BROKEN, why)
    else:
        yield Finding("ONNX Runtime", "version", OK, ort.__version__)
    available = ort.get_available_providers()
    absences = {
        devices.CPU: None,
        devices.CUDA: devices.cuda_absence(),
        devices.TENSORRT: devices.tensorrt_absence(),
    }
    for provider, absence in absences.items():
        state = OK if absence is None else ABSENT
        detail = absence or "offered; the timings below show whether it works"
        yield Finding("ONNX Runtime", devices.SHORT_NAMES[provider], state, detail)
    for provider in available:
        if provider not in absences:
            detail = "offered by this ONNX Runtime; this package does not use it"
            yield Finding(
                "ONNX Runtime", provider.removesuffix("ExecutionProvider"), ABSENT, detail
            )


def _libraries() -> Iterator[Finding]:
    for name, library in _GPU_LIBRARIES.items():
        path = ctypes.util.find_library(library)
        if path is not None:
            yield Finding("GPU libraries", name, OK, path)
        elif find_spec("nvidia") is not None and library != "cuda":
            detail = "not among the system's libraries; pip's nvidia packages may have it"
            yield Finding("GPU libraries", name, ABSENT, detail)
        else:
            yield Finding("GPU libraries", name, ABSENT, "not found")


def _ros() -> Finding:
    distribution = os.environ.get("ROS_DISTRO")
    if find_spec("rclpy") is not None:
        wheels = _installed("ros-rclpy") is not None
        origin = f"{distribution or 'unnamed'}, {'from wheels' if wheels else 'sourced'}"
        return Finding("programs", "ROS 2", OK, origin)
    if distribution:
        why = f"{distribution} is sourced, but its rclpy is made for another Python than this one"
        return Finding("programs", "ROS 2", BROKEN, why)
    return Finding("programs", "ROS 2", ABSENT, "neither sourced nor installed from wheels")


def _models(store: ModelStore) -> Iterator[Finding]:
    for name, entry in store.entries.items():
        try:
            path = store.verify(name)
            yield Finding("models", name, OK, f"{path}, sha256 {entry.sha256[:12]}")
        except ModelHashError as error:
            yield Finding("models", name, BROKEN, str(error))
        except ModelError as error:
            ours = any(isinstance(source, FileSource) for source in entry.sources)
            yield Finding("models", name, BROKEN if ours else ABSENT, str(error))
