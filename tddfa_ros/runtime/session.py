"""ONNX Runtime sessions that pick a device honestly and leave the processor alone while they wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ConfigError, DeviceError, ModelError

DEVICES = ("auto", "cpu", "cuda")

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"

_CUDA_OPTIONS = {
    # The default, EXHAUSTIVE, benchmarks every convolution again for each new batch size.
    "cudnn_conv_algo_search": "HEURISTIC",
    "arena_extend_strategy": "kSameAsRequested",
}
_LOG_WARNING, _LOG_ERROR, _LOG_FATAL = 2, 3, 4


class OnnxSession:
    """One model, loaded on the best device that really works.

    Args:
        path: an ``.onnx`` file.
        device: ``auto`` and ``cuda`` use CUDA when a session can be created on it, else the CPU; ``cpu`` never looks.
        threads: intra-op threads on the CPU; 0 lets ONNX Runtime choose (all cores).

    Attributes:
        provider: the execution provider in use, as the session itself reports it.
        fallback_reason: one sentence that says why CUDA is not used although ``device`` allows it; else None.
        metadata: the model file's custom metadata.
        input_names, output_names: in the model file's order.

    Raises:
        ConfigError: ``device`` or ``threads`` is out of range.
        ModelError: the file is missing or not a model that ONNX Runtime can load.
    """

    def __init__(self, path: str | Path, device: str = "auto", threads: int = 1) -> None:
        if device not in DEVICES:
            raise ConfigError(f"device must be one of {', '.join(DEVICES)}, not {device!r}")
        if threads < 0:
            raise ConfigError(f"threads must be 0 or more, not {threads}")
        self.path = Path(path)
        self.threads = threads
        self.fallback_reason: str | None = None
        if not self.path.is_file():
            raise ModelError(f"the model file {self.path} does not exist")
        self._session = self._open(wants_cuda=device != "cpu")
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self.input_names = tuple(value.name for value in self._session.get_inputs())
        self.output_names = tuple(value.name for value in self._session.get_outputs())

    @property
    def provider(self) -> str:
        """The execution provider that runs the model now."""
        return str(self._session.get_providers()[0])

    def run(
        self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None = None
    ) -> list[NDArray[np.float32]]:
        """Run the model; a GPU that fails at this point (out of memory, lost) is left for the CPU, once and for good.

        Args:
            feeds: one array per model input.
            outputs: names of the outputs to compute, and nothing that only others need; None for all.

        Raises:
            ModelError: the arrays do not fit the model.
            DeviceError: the computation failed on the CPU.
        """
        import onnxruntime as ort
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        options = ort.RunOptions()
        options.only_execute_path_to_fetches = outputs is not None
        options.log_severity_level = _LOG_FATAL  # what goes wrong is raised, and told once
        try:
            return list(self._session.run(outputs, dict(feeds), options))
        except (state.InvalidArgument, ValueError) as error:
            raise ModelError(
                f"{self.path.name} cannot take this input: {_sentence(error)}"
            ) from error
        except Exception as error:
            if self.provider == CPU:
                raise DeviceError(
                    f"{self.path.name} failed on the CPU: {_sentence(error)}"
                ) from error
            self.fallback_reason = (
                f"CUDA failed ({_sentence(error)}), so {self.path.name} now runs on the CPU"
            )
            self._session = self._create([CPU])
            return self.run(feeds, outputs)

    def _open(self, wants_cuda: bool) -> Any:
        import onnxruntime as ort

        if not wants_cuda:
            return self._create([CPU])
        if CUDA not in ort.get_available_providers():
            self.fallback_reason = (
                "the installed ONNX Runtime has no CUDA support, so models run on the CPU"
            )
            return self._create([CPU])
        ort.set_default_logger_severity(
            _LOG_FATAL
        )  # missing CUDA libraries are reported by us, once
        try:
            session = self._create([(CUDA, _CUDA_OPTIONS), CPU])
        except ModelError as error:
            session = self._create([CPU])  # the file's own fault is raised again here
            self.fallback_reason = (
                f"CUDA could not be used ({_sentence(error)}), so models run on the CPU"
            )
            return session
        finally:
            ort.set_default_logger_severity(_LOG_WARNING)
        if session.get_providers()[0] != CUDA:
            self.fallback_reason = (
                "CUDA or one of its libraries could not be loaded, so models run on the CPU"
            )
        return session

    def _create(self, providers: list[Any]) -> Any:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _LOG_ERROR
        # Spinning threads take the cores that other nodes need: on 2 busy cores a 35 ms model took 113 ms.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = ort.InferenceSession(str(self.path), options, providers=providers)
            session.disable_fallback()  # its own retry prints to the terminal and hides the reason
        except Exception as error:
            raise ModelError(f"ONNX Runtime cannot load {self.path}: {_sentence(error)}") from error
        return session


def _sentence(error: BaseException) -> str:
    """Condense ONNX Runtime's multi-line messages to their first line, without its prefix."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rpartition(" : ")[2].strip().rstrip(".")[:200]
