"""Mocks of ONNX Runtime sessions on a GPU: they compute on the CPU and reproduce the failures of GPUs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime as ort

from tddfa_ros.runtime.devices import CPU, CUDA, TENSORRT

REAL_SESSION = ort.InferenceSession
OUT_OF_MEMORY = (
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : out of memory\nat line 1 of a long story"
)


class FakeGpuSession:
    """A mock of a CUDA session whose memory holds ``capacity`` items.

    Attributes:
        batches: sizes of the batches that all sessions of this class ran on the GPU.
        opened: the providers that were requested, in order.
    """

    capacity = 0
    batches: list[int] = []
    opened: list[list[str]] = []

    def __init__(self, path: str, options: object, providers: list[Any]) -> None:
        self.names = [p if isinstance(p, str) else p[0] for p in providers]
        type(self).opened.append(self.names)
        self._real = REAL_SESSION(path, options, providers=[CPU])

    def get_providers(self) -> list[str]:
        return self.names

    def run(self, outputs: Any, feeds: dict[str, Any], options: Any = None) -> Any:
        if self.names[0] != CPU:
            self._compute(len(next(iter(feeds.values()))))
        return self._real.run(outputs, feeds, options)

    def run_with_iobinding(self, binding: Any, options: Any = None) -> None:
        name = self._real.get_inputs()[0].name
        self._compute(binding.sizes[name])
        self._real.run_with_iobinding(binding.real, options)

    def io_binding(self) -> Any:
        return _Binding(self._real.io_binding())

    def _compute(self, count: int) -> None:
        type(self).batches.append(count)
        if count > self.capacity:
            raise RuntimeError(OUT_OF_MEMORY)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class _Binding:
    """A mock of an IO binding that records the batch size of every input."""

    def __init__(self, real: Any) -> None:
        self.real = real
        self.sizes: dict[str, int] = {}

    def bind_ortvalue_input(self, name: str, value: Any) -> None:
        self.sizes[name] = value.shape()[0]
        self.real.bind_ortvalue_input(name, value)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class FakeTensorrtSession(FakeGpuSession):
    """A mock of a TensorRT session that stores an engine in the folder of its options, and fails on a damaged one.

    Attributes:
        built: number of compiled engines.
        broken: whether newly compiled engines fail, too.
    """

    capacity = 1_000
    built = 0
    broken = False
    ENGINE = b"an engine"

    def __init__(self, path: str, options: object, providers: list[Any]) -> None:
        super().__init__(path, options, providers)
        if self.names[0] != TENSORRT:
            return
        file = Path(providers[0][1]["trt_engine_cache_path"]) / "graph_sm90.engine"
        if not file.exists():
            file.write_bytes(self.ENGINE)
            type(self).built += 1
        if self.broken or file.read_bytes() != self.ENGINE:
            raise RuntimeError(
                "[ONNXRuntimeError] : 11 : EP_FAIL : could not deserialize engine from cache\nat 1"
            )


GPU_PROVIDERS = [TENSORRT, CUDA, CPU]
