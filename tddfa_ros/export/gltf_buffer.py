"""Binary buffer of a glTF file and its accessors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.types import FloatArray, IntArray

_FLOAT, _UINT16, _UINT32 = 5126, 5123, 5125
_VERTICES, _INDICES = 34962, 34963
_KIND = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}


class GltfBuffer:
    """Collect arrays; each method returns the index of a new accessor (:meth:`add`: of a buffer view).

    Args:
        lib: module pygltflib.
    """

    def __init__(self, lib: Any) -> None:
        self._lib = lib
        self._bytes = bytearray()
        self._views: list[Any] = []
        self._accessors: list[Any] = []

    def add(self, content: bytes, target: int | None = None) -> int:
        """Append bytes with the 4-byte alignment of the format."""
        self._bytes.extend(b"\0" * (-len(self._bytes) % 4))
        view = self._lib.BufferView(
            buffer=0, byteOffset=len(self._bytes), byteLength=len(content), target=target
        )
        self._bytes.extend(content)
        self._views.append(view)
        return len(self._views) - 1

    def vectors(self, values: FloatArray, *, bounds: bool = False) -> int:
        """Add vectors (n, 2 to 4) float32."""
        target = _VERTICES if values.shape[1] < 4 else None
        return self._accessor(values, _KIND[values.shape[1]], bounds, target)

    def scalars(self, values: FloatArray, *, bounds: bool = False) -> int:
        """Add numbers (n,) float32."""
        return self._accessor(values[:, None], "SCALAR", bounds, None)

    def triangles(self, triangles: IntArray) -> int:
        """Add triangle indices (t, 3)."""
        content = np.ascontiguousarray(triangles.ravel(), dtype="<u4").tobytes()
        view = self.add(content, _INDICES)
        return self._append(
            bufferView=view, componentType=_UINT32, count=triangles.size, type="SCALAR"
        )

    def sparse_vectors(self, values: FloatArray) -> int:
        """Add vectors (n, 3) of which only non-zero ones are stored."""
        moved = np.flatnonzero(values.any(axis=1))
        if len(moved) == 0:
            moved = np.zeros(1, dtype=np.intp)  # the format requires at least one
        small = len(values) <= 1 << 16
        index = self.add(moved.astype("<u2" if small else "<u4").tobytes())
        content = self.add(_little_endian(values[moved]).tobytes())
        lib = self._lib
        sparse = lib.Sparse(
            count=len(moved),
            indices=lib.AccessorSparseIndices(
                bufferView=index, byteOffset=0, componentType=_UINT16 if small else _UINT32
            ),
            values=lib.AccessorSparseValues(bufferView=content, byteOffset=0),
        )
        return self._append(
            componentType=_FLOAT,
            count=len(values),
            type="VEC3",
            sparse=sparse,
            **_bounds(values),
        )

    def finish(self, gltf: Any) -> None:
        """Write all into the file."""
        self._bytes.extend(b"\0" * (-len(self._bytes) % 4))
        gltf.buffers = [self._lib.Buffer(byteLength=len(self._bytes))]
        gltf.bufferViews, gltf.accessors = self._views, self._accessors
        gltf.set_binary_blob(bytes(self._bytes))

    def _accessor(self, values: FloatArray, kind: str, bounds: bool, target: int | None) -> int:
        view = self.add(_little_endian(values).tobytes(), target)
        extent = _bounds(values) if bounds else {}
        return self._append(
            bufferView=view, componentType=_FLOAT, count=len(values), type=kind, **extent
        )

    def _append(self, **fields: Any) -> int:
        self._accessors.append(self._lib.Accessor(**fields))
        return len(self._accessors) - 1


def _little_endian(values: FloatArray) -> NDArray[Any]:
    return np.ascontiguousarray(values, dtype="<f4")


def _bounds(values: FloatArray) -> dict[str, list[float]]:
    exact = np.asarray(values, dtype=np.float32)
    return {
        "min": exact.min(axis=0).astype(float).tolist(),
        "max": exact.max(axis=0).astype(float).tolist(),
    }
