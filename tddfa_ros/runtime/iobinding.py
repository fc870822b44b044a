"""IO binding: inputs in device memory through ONNX Runtime's own arrays, without torch or CuPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int64)": np.int64,
}


class BoundSession:
    """A session with IO binding: inputs go to buffers on the device, outputs come back as NumPy arrays.

    Buffers are reused while shape and type stay the same, so that a stream of equal batches allocates no device memory.

    Args:
        session: an ``onnxruntime.InferenceSession``.
        place: device of the inputs, as ONNX Runtime names it: ``cuda`` or ``cpu``.
    """

    def __init__(self, session: Any, place: str) -> None:
        self._session = session
        self._place = place
        self._inputs = {value.name: value for value in session.get_inputs()}
        self._outputs = [value.name for value in session.get_outputs()]
        self._buffers: dict[str, tuple[tuple[Any, ...], Any]] = {}

    def run(
        self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None, options: Any
    ) -> list[NDArray[np.float32]]:
        """Run the model.

        Args:
            feeds: one array per input.
            outputs: names of the outputs to compute; None for all.
            options: an ``onnxruntime.RunOptions``.

        Raises:
            ValueError: an input is missing, unknown or of another type or shape. Errors of ONNX Runtime are passed on.
        """
        self._check(feeds)
        binding = self._session.io_binding()
        for name, array in feeds.items():
            binding.bind_ortvalue_input(name, self._on_device(name, array))
        for name in outputs if outputs is not None else self._outputs:
            binding.bind_output(name, "cpu")
        binding.synchronize_inputs()
        self._session.run_with_iobinding(binding, options)
        binding.synchronize_outputs()
        return list(binding.copy_outputs_to_cpu())

    def _check(self, feeds: Mapping[str, NDArray[Any]]) -> None:
        """Check inputs: with IO binding, ONNX Runtime raises the same error for wrong inputs as for a failing GPU."""
        if set(feeds) != set(self._inputs):
            raise ValueError(f"the inputs are {sorted(self._inputs)}, not {sorted(feeds)}")
        for name, array in feeds.items():
            wanted = self._inputs[name]
            fits = len(wanted.shape) == array.ndim and all(
                not isinstance(side, int) or side == found
                for side, found in zip(wanted.shape, array.shape, strict=True)
            )
            if not fits or array.dtype != _TYPES.get(wanted.type, array.dtype):
                raise ValueError(
                    f"{name} is {wanted.type} {wanted.shape}, not {array.dtype} {list(array.shape)}"
                )

    def _on_device(self, name: str, array: NDArray[Any]) -> Any:
        """Copy an input to its buffer. ``ortvalue_from_numpy`` would share the caller's memory on the CPU."""
        import onnxruntime as ort

        kind = (array.shape, array.dtype)
        if name not in self._buffers or self._buffers[name][0] != kind:
            made = ort.OrtValue.ortvalue_from_shape_and_type(
                array.shape, array.dtype.type, self._place, 0
            )
            self._buffers[name] = (kind, made)
        buffer = self._buffers[name][1]
        buffer.update_inplace(np.ascontiguousarray(array))
        return buffer


def can_hold_inputs(place: str) -> bool:
    """Return whether ONNX Runtime can allocate memory there, which not every GPU build supports."""
    import onnxruntime as ort

    try:
        ort.OrtValue.ortvalue_from_shape_and_type((1,), np.float32, place, 0)
    except Exception:
        return False
    return True
