"""Auxiliary arrays of an import (whitening, triangles, texture coordinates), cached beside the user's manifest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tddfa_ros.errors import ModelError
from tddfa_ros.files import atomic_path
from tddfa_ros.official.basel import Basel
from tddfa_ros.official.recognize import Piece, Triangles, UvTable, VertexSubset
from tddfa_ros.official.whitening import Whitening
from tddfa_ros.types import FloatArray, IntArray

FILE = "helpers.npz"
_WHITENING_FILES = {1: "param_whitening.pkl", 2: "param_mean_std_62d_120x120.pkl"}


@dataclass(eq=False)
class Helpers:
    """Arrays by name: ``mean<version>``, ``std<version>``, ``triangles``, ``uv``, ``subset<vertices>``."""

    arrays: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path) -> Helpers:
        """Load the arrays of earlier imports; empty if the file is missing or damaged."""
        try:
            with np.load(folder / FILE, allow_pickle=False) as file:
                return cls({key: file[key] for key in file.files})
        except Exception:  # zip, zlib and NumPy each have their own; what is lost is imported again
            return cls()

    def save(self, folder: Path) -> None:
        """Save the arrays for later imports; raise TddfaError if the file cannot be written."""
        if not self.arrays:
            return
        with atomic_path(folder / FILE) as path:
            np.savez_compressed(path, **dict[str, Any](self.arrays))

    def add(self, piece: Piece) -> None:
        """Add the arrays of a piece; ignore models."""
        self.arrays |= _arrays(piece)

    def add_missing(self, pieces: Iterable[Piece]) -> None:
        """Add those arrays of pieces that are not known yet."""
        for piece in pieces:
            self.arrays = {**_arrays(piece), **self.arrays}

    def whitening(self, version: int, needed_by: str) -> Whitening:
        """Return the whitening of 3DDFA ``version``; raise ModelError naming the missing file."""
        if f"mean{version}" not in self.arrays:
            raise ModelError(
                f"{needed_by} needs {_WHITENING_FILES[version]}, which lies in the repository of 3DDFA{'_V2' * (version - 1)}: import it "
                "first, or import the whole checkout"
            )
        return Whitening(self.arrays[f"mean{version}"], self.arrays[f"std{version}"], version)

    def triangles_of(self, basel: Basel, needed_by: str) -> IntArray:
        """Return the triangles of ``tri.pkl``, which 3DDFA_V2 corrected, if they fit the mesh; else those of the model file."""
        count = len(basel.mean)
        for triangles in (self.arrays.get("triangles"), basel.triangles):
            if triangles is None:
                continue
            first, last = int(triangles.min()), int(triangles.max())
            if first in (0, 1) and last == count - 1 + first:
                return (triangles - first).astype(np.int32)
        raise ModelError(
            f"{needed_by} needs the triangles of its {count} vertices: import 3DDFA_V2's tri.pkl first, or the whole checkout"
        )

    def uv_of(self, count: int) -> FloatArray | None:
        """Return the texture coordinates of a mesh with ``count`` vertices; None if a file for them is missing."""
        uv, subset = self.arrays.get("uv"), self.arrays.get(f"subset{count}")
        if uv is None:
            return None
        if len(uv) == count:
            return uv
        return None if subset is None else uv[subset]


def _arrays(piece: Piece) -> dict[str, np.ndarray[Any, Any]]:
    if isinstance(piece, Whitening):
        return {f"mean{piece.version}": piece.mean, f"std{piece.version}": piece.std}
    if isinstance(piece, Triangles):
        return {"triangles": piece.indices}
    if isinstance(piece, UvTable):
        return {"uv": piece.uv}
    if isinstance(piece, VertexSubset):
        return {f"subset{len(piece.indices)}": piece.indices}
    return {}
