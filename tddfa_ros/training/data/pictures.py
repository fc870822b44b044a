"""Reading files of a dataset strictly: what is missing, truncated, NaN or of the wrong size is an error with a reason."""

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


def read_picture(path: Path) -> ImageBGR:
    """A photograph as (H, W, 3) uint8 BGR.

    Raises:
        ItemError: the file is missing, truncated, or no picture.
    """
    return np.asarray(_decode(path, cv2.IMREAD_COLOR), dtype=np.uint8)


def read_map(path: Path) -> NDArray[Any]:
    """A picture with the channels and the depth that its file has.

    Raises:
        ItemError: the file is missing, truncated, or no picture.
    """
    return _decode(path, cv2.IMREAD_UNCHANGED)


def read_numbers(path: Path) -> FloatArray:
    """The numbers of an ``.npy`` file as float32, all of them finite.

    Raises:
        ItemError: the file is missing, damaged, or holds NaN or something else than numbers.
    """
    name = shown(path)
    if not path.is_file():
        raise ItemError(f"there is no {name}")
    try:
        values = np.load(path, allow_pickle=False)
    except (
        Exception
    ) as error:  # NumPy raises ValueError, EOFError, OSError, by how the file is damaged
        raise ItemError(f"{name} is damaged") from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
        raise ItemError(f"{name} holds no numbers")
    if not np.isfinite(values).all():
        raise ItemError(f"{name} holds NaN or infinity")
    return values.astype(np.float32)


def write_picture(path: Path, image: NDArray[Any]) -> None:
    """Write a picture, making its folder.

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
