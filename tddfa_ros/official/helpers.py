"""Files that are no models but that models are made with; kept between imports beside the user's manifest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tddfa_ros.errors import ModelError
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
        """Those of earlier imports; none if there is no file, or a damaged one."""
        try:
            with np.load(folder / FILE, allow_pickle=False) as file:
                return cls({key: file[key] for key in file.files})
        except Exception:  # zip, zlib and NumPy each have their own; what is lost is imported again
            return cls()

    def save(self, folder: Path) -> None:
        """Keep them for later; ModelError where that is not possible."""
        if not self.arrays:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / FILE).open("wb") as stream:
                np.savez_compressed(stream, **dict[str, Any](self.arrays))
        except OSError as error:
            raise ModelError(f"{folder / FILE} cannot be written: {error.strerror}") from error

    def add(self, piece: Piece) -> None:
        """Take what a piece has; models are left alone."""
        self.arrays |= _arrays(piece)

    def add_missing(self, pieces: Iterable[Piece]) -> None:
        """Take of pieces only what is not there yet."""
        for piece in pieces:
            self.arrays = {**_arrays(piece), **self.arrays}

    def whitening(self, version: int, needed_by: str) -> Whitening:
        """Of 3DDFA ``version``; ModelError that names the file."""
        if f"mean{version}" not in self.arrays:
            raise ModelError(
                f"{needed_by} needs {_WHITENING_FILES[version]}, which lies in the repository of 3DDFA{'_V2' * (version - 1)}: import it "
                "first, or import the whole checkout"
            )
        return Whitening(self.arrays[f"mean{version}"], self.arrays[f"std{version}"], version)

    def triangles_of(self, basel: Basel, needed_by: str) -> IntArray:
        """``tri.pkl``'s if they are this mesh's, for 3DDFA_V2 mended them; else those of the file itself."""
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
        """Texture coordinates of a mesh of so many vertices, where both files for it are there."""
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
