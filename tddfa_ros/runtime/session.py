"""ONNX Runtime sessions with device selection, fallback to the CPU, and threads that do not spin while waiting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.config import DEVICES
from tddfa_ros.errors import ConfigError, DeviceError, ModelError
from tddfa_ros.runtime.devices import (
    CPU,
    CUDA,
    CUDA_OPTIONS,
    SHORT_NAMES,
    TENSORRT,
    cuda_absence,
    gpu_present,
    preload_cuda,
    quiet_logger,
    ran_out_of_memory,
    require_onnxruntime,
    sentence,
    tensorrt_absence,
)
from tddfa_ros.runtime.iobinding import BoundSession, can_hold_inputs
from tddfa_ros.runtime.tensorrt import EngineFolder

BINDING_PLACES = {CUDA: "cuda", TENSORRT: "cuda"}
"""Where inputs lie, by provider; a provider that is not here reads them from NumPy's memory."""

_LOG_ERROR, _LOG_FATAL = 3, 4


class OnnxSession:
    """One model on the best usable device.

    Args:
        path: an ``.onnx`` file; one in a folder of `EngineFolder` runs on TensorRT if available.
        device: ``auto`` and ``cuda`` use the GPU if a session can be created on it, else the CPU; ``cpu`` uses the CPU.
        threads: intra-op threads on the CPU; 0 lets ONNX Runtime choose (all cores).

    Attributes:
        provider: the execution provider in use, as the session itself reports it.
        batch_limit: larger batches are split into parts of this size; None = no limit.
        fallback_reason: why a GPU is not used although ``device`` allows it, or not for whole batches, one sentence; else None. A machine
            without a GPU needs no reason under ``auto``.
        metadata: the model file's custom metadata.
        input_names, output_names: in the model file's order.

    Raises:
        ConfigError: ``device`` or ``threads`` is out of range.
        ModelError: the file is missing or not a model that ONNX Runtime can load.
        DeviceError: ONNX Runtime is not installed.
    """

    _session: Any
    _bound: BoundSession | None

    def __init__(self, path: str | Path, device: str = "auto", threads: int = 1) -> None:
        if device not in DEVICES:
            raise ConfigError(f"device must be one of {', '.join(DEVICES)}, not {device!r}")
        if threads < 0:
            raise ConfigError(f"threads must be 0 or more, not {threads}")
        require_onnxruntime()
        self.path = Path(path)
        self.threads = threads
        self.batch_limit: int | None = None
        self.fallback_reason: str | None = None
        if not self.path.is_file():
            raise ModelError(f"the model file {self.path} does not exist")
        self._rebuilt = False
        self._engine = None if device == "cpu" else EngineFolder.around(self.path)
        self._use(self._create([CPU]) if device == "cpu" else self._open())
        if device == "auto" and self._engine is None and not gpu_present():
            self.fallback_reason = None  # a machine without a GPU lacks nothing
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self.input_names = tuple(value.name for value in self._session.get_inputs())
        self.output_names = tuple(value.name for value in self._session.get_outputs())

    @property
    def provider(self) -> str:
        """The execution provider that runs the model now."""
        return str(self._session.get_providers()[0])

    @property
    def native(self) -> Any:
        """The ``onnxruntime.InferenceSession`` in use, for IO binding; :meth:`run` may replace it."""
        return self._session

    @property
    def input_shapes(self) -> dict[str, tuple[int | str | None, ...]]:
        """Shape by input; a side of variable size is a name or None."""
        return {value.name: tuple(value.shape) for value in self._session.get_inputs()}

    def run(
        self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None = None
    ) -> list[NDArray[np.float32]]:
        """Run the model.

        If a GPU runs out of memory, the batch limit is halved; if it fails with a single item or in another way, the session
        switches to the CPU permanently.

        Args:
            feeds: one array per model input; the first axis is the batch, also of every output.
            outputs: names of the outputs to compute; None for all.

        Raises:
            ModelError: the arrays do not fit the model.
            DeviceError: the computation failed on the CPU.
        """
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        while True:
            count = _batch_size(feeds)
            at_once = min(count, self.batch_limit or count)
            try:
                return self._run_in_parts(feeds, outputs, count, at_once)
            except (state.InvalidArgument, ValueError) as error:
                raise ModelError(
                    f"{self.path.name} cannot take this input: {sentence(error)}"
                ) from error
            except Exception as error:
                self._recover(error, at_once)

    def _run_in_parts(
        self,
        feeds: Mapping[str, NDArray[Any]],
        outputs: Sequence[str] | None,
        count: int,
        at_once: int,
    ) -> list[NDArray[np.float32]]:
        if at_once == count:
            return self._run_once(feeds, outputs)
        parts = [
            self._run_once({k: v[i : i + at_once] for k, v in feeds.items()}, outputs)
            for i in range(0, count, at_once)
        ]
        return [np.concatenate(part) for part in zip(*parts, strict=True)]

    def _run_once(
        self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None
    ) -> list[NDArray[np.float32]]:
        import onnxruntime as ort

        options = ort.RunOptions()
        options.only_execute_path_to_fetches = outputs is not None
        options.log_severity_level = _LOG_FATAL  # errors are raised and reported once
        if self._bound is not None:
            return self._bound.run(feeds, outputs, options)
        return list(self._session.run(outputs, dict(feeds), options))

    def _recover(self, error: Exception, at_once: int) -> None:
        """Prepare a retry with a smaller batch, a new engine or the CPU; raise DeviceError if none is left."""
        name, device = self.path.name, SHORT_NAMES.get(self.provider, self.provider)
        if self.provider == CPU:
            raise DeviceError(f"{name} failed on the CPU: {sentence(error)}") from error
        if ran_out_of_memory(error) and at_once > 1:
            self.batch_limit = at_once // 2
            self.fallback_reason = (
                f"{device} ran out of memory with {at_once} items at once, so {name} takes at most {self.batch_limit} "
                "at a time"
            )
            return
        if self.provider == TENSORRT and not ran_out_of_memory(error):
            session = self._rebuild(error)
            if session is not None:
                self._use(session)
                return
        self.fallback_reason = f"{device} failed ({sentence(error)}), so {name} now runs on the CPU"
        self._use(self._create([CPU]))

    def _use(self, session: Any) -> None:
        self._session, self._bound, self.batch_limit = session, None, None
        place = BINDING_PLACES.get(self.provider)
        if place is not None and can_hold_inputs(place):
            self._bound = BoundSession(session, place)
        if self.provider == TENSORRT and self._engine is not None:
            self.batch_limit = self._engine.max_batch

    def _open(self) -> Any:
        session = self._open_tensorrt() if self._engine is not None else None
        return session if session is not None else self._open_cuda()

    def _open_cuda(self) -> Any:
        absence = cuda_absence()
        if absence is not None:
            self._note(f"{absence}, so models run on the CPU")
            return self._create([CPU])
        preload_cuda()
        try:
            session = self._create([(CUDA, CUDA_OPTIONS), CPU])
        except ModelError as error:
            session = self._create([CPU])  # an error in the file itself is raised again here
            self._note(
                f"CUDA could not be used ({sentence(error.__cause__ or error)}), so models run on the CPU"
            )
            return session
        if session.get_providers()[0] != CUDA:
            self._note("CUDA or one of its libraries could not be loaded, so models run on the CPU")
        return session

    def _open_tensorrt(self) -> Any | None:
        """Create a session on TensorRT, building the engine if there is none; return None if TensorRT is unavailable."""
        assert self._engine is not None
        preload_cuda()
        absence = tensorrt_absence()
        if absence is not None:
            self._note(f"TensorRT is not used: {absence}")
            return None
        if self._engine.is_stale():
            self._rebuilt = self._engine.clear()
            self._note(f"the TensorRT engine in {self._engine.folder} was stale and was rebuilt")
        try:
            return self._create_tensorrt()
        except ModelError as error:
            session = self._rebuild(error)
            if session is None:
                self._note(f"TensorRT could not be used ({sentence(error.__cause__ or error)})")
            return session

    def _rebuild(self, error: Exception) -> Any | None:
        """Create a session on a new engine in place of a failed one; return None if there was none or the new one fails too.

        An engine built by this session is not rebuilt.
        """
        engine, reason = self._engine, sentence(error.__cause__ or error)
        if engine is None or self._rebuilt or not engine.clear():
            return None
        self._rebuilt = True
        try:
            session = self._create_tensorrt()
        except ModelError:
            return None
        self._note(
            f"the TensorRT engine in {engine.folder} could not be used ({reason}) and was rebuilt"
        )
        return session

    def _create_tensorrt(self) -> Any:
        assert self._engine is not None
        options = self._engine.provider_options()
        session = self._create([(TENSORRT, options), (CUDA, CUDA_OPTIONS), CPU])
        if session.get_providers()[0] != TENSORRT:
            raise ModelError("TensorRT or one of its libraries could not be loaded")
        return session

    def _note(self, reason: str) -> None:
        known = self.fallback_reason
        self.fallback_reason = reason if known is None else f"{known}; {reason}"

    def _create(self, providers: list[Any]) -> Any:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _LOG_ERROR
        # Spinning threads take the cores that other nodes need: on 2 busy cores a 35 ms model took 113 ms.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            with nullcontext() if providers == [CPU] else quiet_logger():
                session = ort.InferenceSession(str(self.path), options, providers=providers)
            session.disable_fallback()  # its own retry prints to the terminal and hides the reason
        except Exception as error:
            raise ModelError(f"ONNX Runtime cannot load {self.path}: {sentence(error)}") from error
        return session


def _batch_size(feeds: Mapping[str, NDArray[Any]]) -> int:
    """Return the common length of the first axis of all inputs; 1 if they differ, so that they are not split."""
    lengths = {len(array) if np.ndim(array) else 1 for array in feeds.values()}
    return lengths.pop() if len(lengths) == 1 else 1
