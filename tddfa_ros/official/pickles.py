"""Reader of pickled NumPy arrays that never executes code of the pickle.

A pickle can import and call any callable. Numeric arrays need only the names in :data:`ALLOWED`; all others are refused
before they are looked up.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tddfa_ros.errors import ModelError

ALLOWED: dict[tuple[str, str], Any] = {}
"""Allowed names in a pickle -> their replacement. ``numpy.core`` is NumPy 1's name of ``numpy._core``."""


def read_pickle(path: Path) -> Any:
    """Load a pickle of numeric NumPy arrays, numbers, strings and builtin containers.

    Raises:
        ModelError: the file cannot be read, is truncated, or refers to anything else; none of it has been executed then.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    try:
        # latin1 preserves the bytes of arrays that Python 2 pickled.
        value = _NumbersOnly(io.BytesIO(content), encoding="latin1").load()
    except _RefusedError as error:
        raise ModelError(
            f"{path} is refused: as a pickle it asks for {error}, and only arrays of numbers are read"
        ) from error
    except Exception as error:  # a damaged pickle can fail in any way
        raise ModelError(f"{path} is not a readable pickle, or is truncated") from error
    _check(path, value)
    return value


_NDARRAY = object()
"""Replaces ``numpy.ndarray``, which a pickle may name but not call."""


class _RefusedError(pickle.UnpicklingError):
    """A pickle refers to a forbidden name, which is the message."""


class _NumbersOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return ALLOWED[(module, name)]
        except KeyError:
            raise _RefusedError(f"{module}.{name}") from None

    def persistent_load(self, pid: Any) -> Any:
        raise _RefusedError("an object kept elsewhere")


def _dtype(spec: Any, *arguments: Any) -> np.dtype[Any]:
    """Create a ``numpy.dtype`` of numbers or booleans only."""
    if not isinstance(spec, str):
        raise _RefusedError("a compound array type")
    found = np.dtype(spec)
    if found.kind not in "biuf":
        raise _RefusedError(f"an array of type {found}")
    return found


def _reconstruct(kind: Any, shape: Any, code: Any) -> np.ndarray[Any, Any]:
    """Create an empty array, which the pickled state fills (format of ``numpy``)."""
    if kind is not _NDARRAY:
        raise _RefusedError("another class in the place of an array's")
    return np.ndarray((0,), np.dtype("b"))


def _encode(text: str, encoding: str) -> bytes:
    """Replace ``_codecs.encode``, with which protocol 2 writes bytes."""
    if encoding != "latin1":
        raise _RefusedError(f"the encoding {encoding}")
    return text.encode("latin1")


def _from_buffer(buffer: Any, dtype: Any, shape: Any, order: str) -> np.ndarray[Any, Any]:
    """Create an array from its bytes (protocol 5)."""
    if not isinstance(dtype, np.dtype) or dtype.hasobject:
        raise _RefusedError("an array of objects")
    return np.frombuffer(buffer, dtype=dtype).reshape(shape, order=order)  # type: ignore[call-overload]


def _scalar(dtype: Any, content: bytes) -> Any:
    return _from_buffer(content, dtype, (1,), "C")[0]


for _package in ("numpy.core", "numpy._core"):
    ALLOWED |= {
        (f"{_package}.multiarray", "_reconstruct"): _reconstruct,
        (f"{_package}.multiarray", "scalar"): _scalar,
        (f"{_package}.numeric", "_frombuffer"): _from_buffer,
    }
for _builtins in ("builtins", "__builtin__"):  # Python 2's name, which protocols 0 to 2 write
    ALLOWED |= {(_builtins, kind.__name__): kind for kind in (set, frozenset, bytes)}
ALLOWED |= {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): dict,
}


def _check(path: Path, value: Any) -> None:
    """Refuse objects that the allowed names cannot build."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return
    if isinstance(value, (bool, int, float, str, bytes, np.number, np.bool_)) or value is None:
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check(path, key)
            _check(path, item)
        return
    if isinstance(value, Sequence | set | frozenset):
        for item in value:
            _check(path, item)
        return
    raise ModelError(f"{path} holds a {type(value).__name__}, and only arrays of numbers are read")
