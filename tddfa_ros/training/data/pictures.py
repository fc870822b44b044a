"""Reading files of a dataset strictly: what is missing, truncated, NaN or of the wrong size is an error with a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.training.data.layout import ItemError, shown
from tddfa_ros.types import FloatArray, ImageBGR

_JPEG_START, _JPEG_SCAN, _JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
_PNG_START, _PNG_END = b"\x89PNG", b"IEND\xaeB`\x82"


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
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(path.suffix, image)
    assert done, path.suffix
    path.write_bytes(data.tobytes())


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
    if _is_truncated(data):
        raise ItemError(f"{name} is truncated")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise ItemError(f"{name} is not a readable picture")
    return np.asarray(image)


def _is_truncated(data: bytes) -> bool:
    """Whether the end is missing: decoders fill what is missing with grey and only mutter."""
    if data.startswith(_JPEG_START):
        # Neither marker occurs inside JPEG's entropy-coded data; an EXIF thumbnail ends before the last scan starts.
        return data.rfind(_JPEG_END) <= data.rfind(_JPEG_SCAN)
    if data.startswith(_PNG_START):
        return _PNG_END not in data[-4096:]
    if data[:4] == b"RIFF":
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    return False
