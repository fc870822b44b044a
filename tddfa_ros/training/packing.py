"""Pack a training cache into one small file, to copy it to another machine: fewer faces, smaller crops, WebP."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ConfigError, ImageError
from tddfa_ros.files import atomic_path, save_arrays
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.sources.image_data import decode
from tddfa_ros.training.cache import CACHE_SIDE, FaceCache, create_images, open_cache
from tddfa_ros.training.data.items import in_threads
from tddfa_ros.types import POSE_SIZE, ImageBGR

_RESERVE = 65_536  # bytes for headers
_LABEL_BYTES = 40  # per row, without params
_HELD_OUT = 0.05  # largest share of the budget for held-out rows
_LABELS = ("yaw_deg", "source", "error", "face", "weight", "held_out")


def pack_cache(
    cache: FaceCache,
    model: MorphableModel,
    path: Path,
    *,
    max_bytes: int = 60_000_000,
    side: int = 128,
    quality: int = 75,
    seed: int = 0,
) -> int:
    """Write as many rows of a cache as fit into ``max_bytes``, and return their number.

    Rows are drawn without replacement by their sampling weight; held-out rows take at most 5 % of the file. Seg maps and UV maps are not packed.

    Args:
        cache: to pack.
        model: morphable model of its labels.
        path: of the ``.npz`` file.
        max_bytes: largest size of the file.
        side: side of the packed crops, px; unpacking enlarges them to 192 px.
        quality: of the WebP encoder, 1 to 100.
        seed: of the selection.

    Raises:
        ConfigError: an option is out of range, or not one row fits.
    """
    if not 32 <= side <= CACHE_SIDE or not 1 <= quality <= 100:
        raise ConfigError(
            f"side must be 32 to {CACHE_SIDE} px and quality 1 to 100, not {side} and {quality}"
        )
    per_row = POSE_SIZE * 4 + (cache.params.shape[1] - POSE_SIZE) * 2 + _LABEL_BYTES
    rng = np.random.default_rng(seed)
    # weighted sampling without replacement (Efraimidis and Spirakis, 2006)
    with np.errstate(divide="ignore"):
        key = np.log(rng.random(len(cache))) / cache.weight
    order = np.argsort(-np.where(cache.weight > 0, key, -np.inf), kind="stable")
    order = order[cache.weight[order] > 0]

    def encode(row: int) -> tuple[int, bytes]:
        crop = np.asarray(cache.images[row])
        small = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
        done, data = cv2.imencode(".webp", small, (cv2.IMWRITE_WEBP_QUALITY, quality))
        assert done
        return row, data.tobytes()

    rows: list[int] = []
    images: list[bytes] = []
    held_out = order[cache.held_out[order]]
    left = max_bytes - _RESERVE
    for candidates, budget in (
        (held_out, int(_HELD_OUT * left)),
        (order[~cache.held_out[order]], left),
    ):
        for row, data in in_threads(encode, candidates.tolist(), "pack crops"):
            budget -= len(data) + per_row
            if budget < 0:
                break
            left -= len(data) + per_row
            rows.append(row)
            images.append(data)
    if not rows:
        raise ConfigError(f"not one crop fits into {max_bytes} bytes")
    chosen = np.array(rows)
    with atomic_path(path) as temporary:
        np.savez_compressed(
            temporary,
            images=np.frombuffer(b"".join(images), dtype=np.uint8),
            ends=np.cumsum([len(data) for data in images]),
            pose=cache.params[chosen, :POSE_SIZE],
            coefficients=cache.params[chosen, POSE_SIZE:].astype(np.float16),
            topology_id=model.topology_id,
            **{name: getattr(cache, name)[chosen] for name in _LABELS},
        )
    return len(rows)


def unpack_cache(path: Path, model: MorphableModel, folder: Path) -> FaceCache:
    """Write the training cache of a packed file to ``folder``, and open it.

    Raises:
        ConfigError: the file is not a packed cache, or was made with another morphable model.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        ends, data = arrays["ends"], arrays["images"]
        params = np.concatenate([arrays["pose"], arrays["coefficients"]], axis=1)
        labels = {name: arrays[name] for name in _LABELS}
        topology = str(arrays["topology_id"])
    except (OSError, KeyError, ValueError, BadZipFile) as error:
        raise ConfigError(f"{path} is not a packed training cache: {error}") from error
    if topology != model.topology_id:
        raise ConfigError(
            f"the packed cache {path} was made with model {topology}, not {model.topology_id}"
        )
    images = create_images(folder, len(ends))

    def restore(row: int) -> None:
        images[row] = _decoded(data[ends[row - 1] if row else 0 : ends[row]], path)

    for _ in in_threads(restore, range(len(ends)), "unpack crops"):
        pass
    images.flush()
    save_arrays(
        folder / "labels.npz", params=params.astype(np.float32), topology_id=topology, **labels
    )
    return open_cache(folder, model)


def _decoded(data: NDArray[np.uint8], path: Path) -> ImageBGR:
    try:
        image = decode(data.tobytes(), cv2.IMREAD_COLOR)
    except ImageError as error:
        raise ConfigError(f"{path} is damaged: a crop {error}") from error
    enlarged = cv2.resize(image, (CACHE_SIDE, CACHE_SIDE), interpolation=cv2.INTER_CUBIC)
    return np.asarray(enlarged, dtype=np.uint8)
