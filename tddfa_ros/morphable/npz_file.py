"""Reader of this project's ``.npz`` files, which store the name of their format."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ModelError


def read_npz(
    path: Path, what: str, file_format: str, needed: Iterable[str]
) -> dict[str, NDArray[Any]]:
    """Read all arrays of a file by name, without unpickling.

    Args:
        path: existing file.
        what: kind of file for error messages, such as ``a morphable model``.
        file_format: required value of the entry ``format``.
        needed: names of required arrays.

    Raises:
        ModelError: the file cannot be read, has another format, or lacks an array.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            stored = {key: file[key] for key in file.files}
    except Exception as error:  # zip, zlib and NumPy each have their own
        raise ModelError(f"{path} is not a readable .npz file: {error}") from error
    if "licence" in stored:  # the key of files written before version 0.2
        stored.setdefault("license", stored.pop("licence"))
    if str(stored.get("format", "")) != file_format:
        raise ModelError(f"{path} is not {what} of format {file_format}")
    missing = [key for key in needed if key not in stored]
    if missing:
        raise ModelError(f"{path} lacks {', '.join(missing)}")
    return stored
