"""PyTorch as an optional dependency: its devices, page-locked host buffers, and networks that run on its tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.config import DEVICES
from tddfa_ros.errors import ConfigError, DeviceError, ModelError
from tddfa_ros.runtime.devices import CPU, cuda_absence, preload_cuda, ran_out_of_memory, sentence
from tddfa_ros.runtime.session import OnnxSession

if TYPE_CHECKING:
    from torch import Tensor

_TYPES: dict[str, type[Any]] = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_LEAST_BYTES = 1 << 16


def torch_device(name: str) -> Any:
    """Return the ``torch.device`` of ``auto``, ``cpu`` or ``cuda``; ``auto`` is the GPU if both libraries can use one.

    Raises:
        ConfigError: another name.
        DeviceError: PyTorch is not installed, or ``cuda`` is asked for and PyTorch or ONNX Runtime cannot use it.
    """
    if name not in DEVICES:
        raise ConfigError(f"device must be one of {', '.join(DEVICES)}, not {name!r}")
    if find_spec("torch") is None:
        raise DeviceError(
            "batches on a device need PyTorch, which is not installed: pip install torch"
        )
    import torch

    if name == "cpu":
        return torch.device("cpu")
    absence = cuda_absence()
    if absence is None and not torch.cuda.is_available():
        absence = "PyTorch finds no CUDA GPU"
    if absence is None:
        preload_cuda()
        return torch.device("cuda", 0)  # where sessions of ONNX Runtime compute
    if name == "cuda":
        raise DeviceError(f"CUDA cannot be used: {absence}")
    return torch.device("cpu")


@contextmanager
def needs_memory(what: str) -> Iterator[None]:
    """Report that the GPU has too little memory for something.

    Raises:
        DeviceError: it has.
    """
    import torch

    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise DeviceError(f"the GPU is out of memory for {what}: take fewer at once") from error


class _Slot:
    """A host buffer, its counterpart on the device, and the event that ends the last copy between them."""

    def __init__(self) -> None:
        self.host: Tensor | None = None
        self.device: Tensor | None = None
        self.event: Any = None


class StagingBuffers:
    """Two pairs of a host buffer and a device buffer, used in turn: one is filled while the other is still being copied.

    The buffers grow by factors of two and never shrink, so that batches of varying size allocate nothing once the largest has
    passed. With a GPU the host side is page-locked, which makes copies asynchronous; without one both sides are the same memory.

    Args:
        device: a ``torch.device``.

    Attributes:
        device: as given.
        allocations: how many times memory was allocated.
    """

    def __init__(self, device: Any) -> None:
        self.allocations = 0
        self.device = device
        self._slots = (_Slot(), _Slot())
        self._turn = 0

    def upload(self, arrays: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Copy arrays one after another to the device.

        Returns:
            (total bytes,) uint8 on the device, valid until the second next call.
        """
        total = sum(array.size for array in arrays)
        slot = self._ready(total, both=True)
        assert slot.host is not None and slot.device is not None
        at, view = 0, slot.host.numpy()
        for array in arrays:
            np.copyto(view[at : at + array.size].reshape(array.shape), array)
            at += array.size
        if slot.device is not slot.host:
            slot.device[:total].copy_(slot.host[:total], non_blocking=True)
            self._record(slot)
        return slot.device[:total]

    def download(self, tensors: Sequence[Tensor]) -> Download:
        """Start copying tensors to the host; see `Download`."""
        sizes = [-(-tensor.nbytes // 16) * 16 for tensor in tensors]
        slot = self._ready(sum(sizes), both=False)
        assert slot.host is not None
        arrays, at = [], 0
        for tensor, size in zip(tensors, sizes, strict=True):
            part = slot.host[at : at + tensor.nbytes].view(tensor.dtype).view(tensor.shape)
            part.copy_(tensor, non_blocking=True)
            arrays.append(part.numpy())
            at += size
        self._record(slot)
        return Download(arrays, slot.event)

    def _ready(self, size: int, both: bool) -> _Slot:
        """Return the next slot, whose last copy has ended, with at least ``size`` bytes."""
        import torch

        slot = self._slots[self._turn]
        self._turn = 1 - self._turn
        if slot.event is not None:
            slot.event.synchronize()
        if slot.host is None or len(slot.host) < size:
            capacity = max(_LEAST_BYTES, 1 << max(0, size - 1).bit_length())
            gpu = self.device.type != "cpu"
            slot.host = torch.empty(capacity, dtype=torch.uint8, pin_memory=gpu)
            slot.device = slot.host
            if both and gpu:
                slot.device = torch.empty(capacity, dtype=torch.uint8, device=self.device)
            self.allocations += 1
        return slot

    def _record(self, slot: _Slot) -> None:
        if self.device.type == "cpu":
            return
        import torch

        slot.event = slot.event or torch.cuda.Event()
        slot.event.record(torch.cuda.current_stream(self.device))


class Download(NamedTuple):
    """Tensors on their way to the host.

    Attributes:
        views: one array per tensor, whose content is defined after :meth:`arrays`.
        event: ends the copy; None on the CPU.
    """

    views: Sequence[NDArray[Any]]
    event: Any

    def arrays(self) -> Sequence[NDArray[Any]]:
        """Wait for the copy and return one array per tensor: views of a buffer that the second next download overwrites."""
        if self.event is not None:
            self.event.synchronize()
        return self.views


class TensorSession:
    """Runs a network on tensors of PyTorch by IO binding: its inputs and outputs do not leave the device.

    The tensors are allocated once, for the largest batch; smaller batches use their first rows.

    Args:
        session: the network; its provider decides where the tensors are.
        device: the ``torch.device`` of that provider.
        max_batch: largest batch.

    Raises:
        DeviceError: the provider computes on another device.
        ModelError: the network has an input or an output of variable size, or of a type other than float32 and float16.
    """

    def __init__(self, session: OnnxSession, device: Any, max_batch: int) -> None:
        import torch

        self.name, self._device, self._session = session.path.name, device, session.native
        if (session.provider == CPU) != (device.type == "cpu"):
            reason = session.fallback_reason or f"it runs on {session.provider}"
            raise DeviceError(f"{self.name} cannot run on {device.type}: {reason}")
        self.max_batch = min(max_batch, session.batch_limit or max_batch)
        self._tensors: dict[str, Tensor] = {}
        self._kinds: dict[str, type[Any]] = {}
        for value in (*self._session.get_inputs(), *self._session.get_outputs()):
            sides = value.shape[1:]
            if value.type not in _TYPES or not all(isinstance(side, int) for side in sides):
                raise ModelError(
                    f"{self.name} cannot run on tensors: {value.name} is {value.type} {value.shape}"
                )
            if isinstance(value.shape[0], int):
                raise ModelError(
                    f"{self.name} cannot run on tensors: its batch size is fixed to {value.shape[0]}"
                )
            self._kinds[value.name] = _TYPES[value.type]
            dtype = torch.float16 if _TYPES[value.type] is np.float16 else torch.float32
            shape = (self.max_batch, *sides)
            self._tensors[value.name] = torch.zeros(shape, dtype=dtype, device=device)
        self._inputs = [value.name for value in self._session.get_inputs()]
        self._binding = self._session.io_binding()

    def input(self, name: str, count: int) -> Tensor:
        """Return the rows (count, ...) of an input, to be filled before :meth:`run`."""
        return self._tensors[name][:count]

    def run(self, outputs: Sequence[str], count: int) -> list[Tensor]:
        """Compute outputs (count, ...) of the first ``count`` rows of the inputs; the next call overwrites them.

        Raises:
            MemoryError: the GPU is out of memory.
            DeviceError: the computation failed.
        """
        import torch

        if not count:
            return [self._tensors[name][:0] for name in outputs]
        for names, bind in (
            (self._inputs, self._binding.bind_input),
            (outputs, self._binding.bind_output),
        ):
            for name in names:
                rows = self._tensors[name][:count]
                index = self._device.index or 0
                kind, shape = self._kinds[name], tuple(rows.shape)
                bind(name, self._device.type, index, kind, shape, rows.data_ptr())
        if self._device.type == "cuda":
            # ONNX Runtime has a stream of its own, and ends its run before it returns.
            torch.cuda.current_stream(self._device).synchronize()
        try:
            self._session.run_with_iobinding(self._binding)
            self._binding.synchronize_outputs()
        except Exception as error:
            if ran_out_of_memory(error):
                raise MemoryError(sentence(error)) from error
            raise DeviceError(
                f"{self.name} failed on {self._device.type}: {sentence(error)}"
            ) from error
        return [self._tensors[name][:count] for name in outputs]
