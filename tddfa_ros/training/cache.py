"""Training cache: all crops of a dataset in one memory-mapped array, decoded and resampled once.

Decoding and warping cost as much time as the network. Each face is stored as a square of ``CACHE_SIDE`` px whose central ``CROP_FRAME`` px
are the ROI; the rest is margin for augmentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ConfigError, ImageError
from tddfa_ros.files import create_array
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.sources.image_file import read_image
from tddfa_ros.types import CROP_FRAME, FloatArray, ImageBGR

CACHE_SIDE = 192
MARGIN = (CACHE_SIDE - int(CROP_FRAME)) // 2
HOLD_OUT_EVERY = 47
"""Every so many-th row is held out for validation."""
_BLACK = 10  # gray levels: darker pixels may be padding
_FEW_PIXELS = 0.03  # share of brighter pixels in a row or column of padding
_NARROW = 36  # px: widest margin that is filled by reflection


@dataclass(frozen=True, eq=False)
class FaceCache:
    """Crops with their labels.

    Attributes:
        images: (n, 192, 192, 3) uint8 BGR; the central 120 px are the ROI.
        params: (n, P), 0 where there is no face.
        yaw_deg: (n,) degrees, sign of 3DDFA_V2.
        source: (n,) name of the source.
        error: (n,) of the fit, % of the face size.
        face: (n,) False: a crop without a face, for the confidence head.
        weight: (n,) sampling weight, relative to other crops with, or without, a face.
        held_out: (n,) True: for validation and calibration, never trained on.
        parsing: (n, 192, 192) uint8 class ids, or None.
        uv_position: (n, u, u, 3), or None.
    """

    images: NDArray[np.uint8]
    params: FloatArray
    yaw_deg: FloatArray
    source: NDArray[np.str_]
    error: FloatArray
    face: NDArray[np.bool_]
    weight: FloatArray
    held_out: NDArray[np.bool_]
    parsing: NDArray[np.uint8] | None = None
    uv_position: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.params)


def create_images(folder: Path, count: int) -> np.memmap[tuple[int, ...], np.dtype[np.uint8]]:
    """Create the memory-mapped array of crops (count, 192, 192, 3) of a new cache, and remove the files of an older one in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("labels.npz", "parsing.npy", "uv_position.npy"):
        (folder / name).unlink(missing_ok=True)
    shape = (count, CACHE_SIDE, CACHE_SIDE, 3)
    return create_array(folder / "images.npy", shape, np.uint8)


def open_cache(folder: Path, model: MorphableModel) -> FaceCache:
    """Open a cache: ``images.npy``, ``labels.npz`` and, where there are any, ``parsing.npy`` and ``uv_position.npy``.

    Raises:
        ConfigError: there is no cache, it was made with another morphable model, or its arrays differ in length.
    """
    labels = folder / "labels.npz"
    if not labels.is_file():
        raise ConfigError(f"{folder} holds no training cache: run 'tddfa dataset cache' first")
    with np.load(labels) as file:
        if str(file["topology_id"]) != model.topology_id:
            raise ConfigError(
                f"the training cache {folder} was made with model {file['topology_id']}, not {model.topology_id}"
            )
        known = {key: file[key] for key in file.files if key != "topology_id"}
    count = len(known["params"])
    known.setdefault("face", np.ones(count, dtype=np.bool_))
    known.setdefault("weight", np.ones(count, dtype=np.float32))
    known.setdefault("held_out", np.arange(count) % HOLD_OUT_EVERY == 0)
    for name in ("images", "parsing", "uv_position"):
        known[name] = _open_array(folder / f"{name}.npy", count)
    if known["images"] is None:
        raise ConfigError(f"{folder} has no images.npy: make the training cache again")
    if known["images"].shape[1] != CACHE_SIDE:
        raise ConfigError(
            f"the training cache {folder} holds crops of {known['images'].shape[1]} px, not {CACHE_SIDE}: make it again"
        )
    return FaceCache(**known)


def _open_array(path: Path, count: int) -> NDArray[np.generic] | None:
    if not path.is_file():
        return None
    try:
        array: NDArray[np.generic] = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if len(array) != count:
        raise ConfigError(
            f"{path} holds {len(array)} rows, labels.npz {count}: make the training cache again"
        )
    return array


def cut(path: str, roi: FloatArray) -> NDArray[np.uint8]:
    """Cut the stored crop (192, 192, 3) of an image file around the ROI ``roi`` (4,) px.

    Raises:
        ConfigError: the image cannot be read.
    """
    try:
        image = read_image(path)
    except ImageError as error:
        raise ConfigError(str(error)) from error
    scale = (roi[2] - roi[0]) / CROP_FRAME
    start = roi[:2] - MARGIN * scale
    matrix = np.array([[scale, 0, start[0]], [0, scale, start[1]]])
    return np.asarray(
        cv2.warpAffine(
            image,
            matrix,
            (CACHE_SIDE, CACHE_SIDE),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        ),
        dtype=np.uint8,
    )


def fill_margin(image: ImageBGR, row: int) -> ImageBGR:
    """Fill the padding of a crop that reaches beyond its image (black rows and columns at the borders).

    Most crops are filled by reflection, some by repeating the edge, some stay black, so that padding is no cue for the network. ``row`` selects
    the method.
    """
    bright = image.max(axis=2) > _BLACK
    rows, columns = (np.flatnonzero(bright.mean(axis=axis) > _FEW_PIXELS) for axis in (1, 0))
    if len(rows) < 2 or len(columns) < 2:
        return image
    # interpolation has mixed the outermost pixels with the padding
    top, bottom = rows[0] + (rows[0] > 0), rows[-1] + (rows[-1] == len(image) - 1)
    left, right = columns[0] + (columns[0] > 0), columns[-1] + (columns[-1] == len(image) - 1)
    inner = image[top:bottom, left:right]
    height, width = image.shape[:2]
    pads = (int(top), int(height - bottom), int(left), int(width - right))
    kind = row % 20
    if max(pads) == 0 or kind < 3:
        return image
    narrow = max(pads) <= _NARROW  # a wide reflection would show a second face
    mode = cv2.BORDER_REFLECT_101 if kind < 15 and narrow else cv2.BORDER_REPLICATE
    return np.asarray(cv2.copyMakeBorder(inner, *pads, mode), dtype=np.uint8)
