"""Locations and readers of the evaluation sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ConfigError, ImageError
from tddfa_ros.sources import image_file
from tddfa_ros.types import CROP_FRAME, DoubleArray, ImageBGR

Arrays = dict[str, NDArray[Any]]
WHOLE_CROP = np.array([[0.0, 0.0, CROP_FRAME, CROP_FRAME]])
"""The ROI (1, 4) of a stored crop of 120 px."""


@dataclass(frozen=True)
class Sets:
    """A folder of evaluation sets.

    Attributes:
        root: holds ``eval/`` (with ``aflw2000/``, ``helen/``, ``ytf/``, ``detection/``, ``video/``) and ``faces/``; or is ``eval/``
            itself, with ``faces/`` in it or beside it.
        limit: maximum number of faces, images or seconds of each set, evenly spread; None = all.
    """

    root: Path
    limit: int | None = None

    def folder(self, name: str) -> Path:
        """Return the folder of a set; raise ConfigError if there is none."""
        found = self._find(name)
        if found is None:
            raise ConfigError(f"the evaluation set {name} is not in {self.root}")
        return found

    def has(self, name: str) -> bool:
        """Return whether the folder of a set exists."""
        return self._find(name) is not None

    def some(self, rows: Arrays) -> Arrays:
        """Return at most :attr:`limit` evenly spread rows of arrays (n, ...) of equal length."""
        count = len(next(iter(rows.values())))
        if self.limit is None or count <= self.limit:
            return rows
        keep = np.linspace(0, count - 1, self.limit).round().astype(int)
        return {name: column[keep] for name, column in rows.items()}

    def _find(self, name: str) -> Path | None:
        places = [self.root / "eval" / name, self.root / name]
        if name == "faces":
            places.append(self.root.resolve().parent / name)
        return next((place for place in places if place.is_dir()), None)


def arrays(path: Path, *names: str) -> Arrays:
    """Read arrays (n, ...) of an ``.npz`` by name; raise ConfigError if it is missing, damaged, or lacks one of them."""
    if not path.is_file():
        raise ConfigError(f"the evaluation set {path} does not exist")
    try:
        with np.load(path) as file:
            rows = {name: file[name] for name in names}
    except KeyError as error:
        raise ConfigError(f"{path} holds no array {error.args[0].split()[0]!r}") from error
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if len({len(column) for column in rows.values()}) != 1:
        raise ConfigError(f"the arrays {', '.join(names)} of {path} differ in length")
    return rows


def chosen(rows: Arrays, keep: NDArray[np.bool_]) -> Arrays:
    """Return the rows of arrays (n, ...) where ``keep`` (n,) is true."""
    return {name: column[keep] for name, column in rows.items()}


def kept_faces(sets: Sets, source: str, *names: str) -> Arrays:
    """Read ``name``, ``roi`` and other arrays of the held-out faces of a source of the collection."""
    rows = arrays(sets.folder("faces") / f"{source}.npz", "name", "roi", "split", *names)
    return chosen(rows, rows.pop("split") == "eval")


STANDARDS = ("pts68", "pts68_reannotated")
"""Arrays of the two sets of labels of AFLW2000-3D: (n, 3, 68) as distributed and (n, 2, 68) reannotated, px."""


def standards(truth: Arrays) -> dict[str, DoubleArray]:
    """Return the landmarks (n, 68, 2), px, of both sets of labels of AFLW2000-3D by the name of the set in a report."""
    return {
        name: np.asarray(truth[array].transpose(0, 2, 1)[..., :2], dtype=np.float64)
        for name, array in zip(("standard", "reannotated"), STANDARDS, strict=True)
    }


def read_image(path: Path) -> ImageBGR:
    """Read an image (H, W, 3) uint8 BGR; raise ConfigError if it cannot be read."""
    try:
        return image_file.read_image(path)
    except ImageError as error:
        raise ConfigError(str(error)) from error
