"""Reader of GLB files, implemented from the glTF 2.0 specification only."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TYPE = {5121: "<u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTH = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


class Glb:
    """A GLB file: ``json`` and the arrays of its accessors."""

    def __init__(self, path: Path) -> None:
        content = path.read_bytes()
        magic, version, length = struct.unpack_from("<4sII", content)
        assert (magic, version, length) == (b"glTF", 2, len(content))
        chunks, at = {}, 12
        while at < length:
            size, kind = struct.unpack_from("<I4s", content, at)
            assert size % 4 == 0
            chunks[kind] = content[at + 8 : at + 8 + size]
            at += 8 + size
        self.json: dict[str, Any] = json.loads(chunks[b"JSON"])
        self._binary = chunks.get(b"BIN\0", b"")
        (buffer,) = self.json["buffers"]
        assert 0 <= len(self._binary) - buffer["byteLength"] < 4

    def bytes_of(self, view: int) -> bytes:
        """Return the content of a buffer view."""
        described = self.json["bufferViews"][view]
        start = described.get("byteOffset", 0)
        assert start % 4 == 0
        content = self._binary[start : start + described["byteLength"]]
        assert len(content) == described["byteLength"]
        return content

    def array(self, accessor: int) -> NDArray[Any]:
        """Return the values (count, width) of an accessor, dense or sparse, and check its bounds."""
        described = self.json["accessors"][accessor]
        kind, width = _TYPE[described["componentType"]], _WIDTH[described["type"]]
        values = np.zeros((described["count"], width), kind)
        if "bufferView" in described:
            flat = np.frombuffer(self.bytes_of(described["bufferView"]), kind, values.size)
            values[:] = flat.reshape(values.shape)
        if sparse := described.get("sparse"):
            index = np.frombuffer(
                self.bytes_of(sparse["indices"]["bufferView"]),
                _TYPE[sparse["indices"]["componentType"]],
                sparse["count"],
            )
            assert (np.diff(index.astype(int)) > 0).all()
            other = np.frombuffer(
                self.bytes_of(sparse["values"]["bufferView"]), kind, sparse["count"] * width
            )
            values[index] = other.reshape(-1, width)
        for bound, reduce in (("min", np.min), ("max", np.max)):
            if bound in described:
                stated = np.array(described[bound], kind)
                np.testing.assert_array_equal(stated, reduce(values, axis=0))
        return values

    @property
    def primitive(self) -> dict[str, Any]:
        """The only primitive of the only mesh."""
        (mesh,) = self.json["meshes"]
        (primitive,) = mesh["primitives"]
        return primitive
