"""Read the files of a dataset strictly: missing, truncated, damaged or non-finite files raise an error with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ImageError
from tddfa_ros.files import write_atomically
from tddfa_ros.sources.image_data import decode
from tddfa_ros.training.data.layout import ItemError, shown
from tddfa_ros.types import FloatArray, ImageBGR


def read_image(path: Path) -> ImageBGR:
    """Read an image as (H, W, 3) uint8 BGR.

    Raises:
        ItemError: the file is missing, truncated, or not an image.
    """
    return np.asarray(_decode(path, cv2.IMREAD_COLOR), dtype=np.uint8)


def read_map(path: Path) -> NDArray[Any]:
    """Read an image with the channels and the bit depth of its file.

    Raises:
        ItemError: the file is missing, truncated, or not an image.
    """
    return _decode(path, cv2.IMREAD_UNCHANGED)


def read_numbers(path: Path) -> FloatArray:
    """Read an ``.npy`` file of finite numbers as float32.

    Raises:
        ItemError: the file is missing or damaged, or contains NaN, infinity or other types.
    """
    name = shown(path)
    if not path.is_file():
        raise ItemError(f"there is no {name}")
    try:
        values = np.load(path, allow_pickle=False)
    except Exception as error:  # ValueError, EOFError, OSError: depends on the damage
        raise ItemError(f"{name} is damaged") from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
        raise ItemError(f"{name} is not an array of numbers")
    if not np.isfinite(values).all():
        raise ItemError(f"{name} contains NaN or infinity")
    return values.astype(np.float32)


def write_image(path: Path, image: NDArray[Any]) -> None:
    """Write an image and create its folder.

    Raises:
        OSError: it cannot be written.
    """
    done, data = cv2.imencode(path.suffix, image)
    assert done, path.suffix
    write_atomically(path, data.tobytes())


def _decode(path: Path, flags: int) -> NDArray[Any]:
    name = shown(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ItemError(f"there is no {name}") from error
    except OSError as error:
        raise ItemError(f"cannot read {name}: {error.strerror or 'unknown'}") from error
    if not data:
        raise ItemError(f"{name} is empty")
    try:
        return decode(data, flags)
    except ImageError as error:
        raise ItemError(f"{name} {error}") from error
