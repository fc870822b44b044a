"""Pictures and arrays to files, with one sentence where that fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import TddfaError


def write_image(path: Path, image: NDArray[Any]) -> Path:
    """Write a picture, gray or BGR, and make its folder; the suffix chooses the format.

    Raises:
        TddfaError: the suffix is of no format that can be written, or the file cannot be.
    """
    try:
        done, encoded = cv2.imencode(path.suffix, image)
    except cv2.error:
        done = False
    if not done:
        raise TddfaError(f"cannot write {path}: '{path.suffix}' is no format for this picture")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded.tobytes())
    except OSError as error:
        raise _failure(path, error) from error
    return path


def write_array(path: Path, array: NDArray[Any]) -> Path:
    """Write an ``.npy`` file.

    Raises:
        TddfaError: that fails.
    """
    try:
        np.save(path, array)
    except OSError as error:
        raise _failure(path, error) from error
    return path


def _failure(path: Path, error: OSError) -> TddfaError:
    return TddfaError(f"cannot write {path}: {error.strerror or error}")
