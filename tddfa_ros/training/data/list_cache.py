"""Convert a user's dataset to a training cache: lists -> items -> cache -> batches.

Besides the files of :mod:`tddfa_ros.training.cache`, the folder contains ``parsing.npy`` (n, 192, 192) uint8 and ``uv_position.npy`` (n, u, u, 3)
float32, if the dataset has such maps, and ``items.json`` with a fingerprint of the dataset, so that an unchanged dataset is not converted again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tddfa_ros.errors import ConfigError
from tddfa_ros.files import create_array, save_arrays, write_atomically
from tddfa_ros.geometry.pose import angles_3ddfa_v2, decompose
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.cache import CACHE_SIDE, FaceCache, create_images, fill_margin, open_cache
from tddfa_ros.training.data.frames import IGNORE
from tddfa_ros.training.data.items import (
    FolderDataset,
    ItemReader,
    Items,
    Report,
    in_threads,
    names_of,
    read_items,
    report_bad,
)
from tddfa_ros.training.data.layout import BadItem, Entry, ItemError, read_entries
from tddfa_ros.training.data.uv_map import posed_vertices, uv_surface
from tddfa_ros.types import POSE_SIZE, FloatArray

_MARK = "items.json"
_VERSION = 2


def cache_lists(
    lists: Path | Sequence[Path],
    model: MorphableModel,
    folder: Path,
    strict: bool = False,
    report: Report | None = None,
) -> FaceCache:
    """Make the cache of some lists in ``folder``, or open it if it was made from the same files.

    Raises:
        ConfigError: as :func:`~tddfa_ros.training.data.items.read_items`.
    """
    entries = read_entries(lists)
    state = fingerprint(entries, model)
    mark = folder / _MARK
    known = _known(mark)
    if known.get("state") == state and (folder / "labels.npz").is_file():
        bad = [BadItem(**item) for item in known["bad"]]
        report_bad(bad, len(entries), names_of(lists), strict, report)
        return open_cache(folder, model)
    items = read_items(lists, model, strict, report)
    write_atomically(mark, b"{}\n")  # unfinished, but made here
    cache = build_cache_from_items(items, folder)
    text = json.dumps({"state": state, "bad": [asdict(item) for item in items.bad]}, indent=1)
    write_atomically(mark, f"{text}\n".encode())
    return cache


def build_cache_from_items(items: Items, folder: Path) -> FaceCache:
    """Write images, params and maps of all usable items to ``folder``.

    Items without a seg map get :data:`IGNORE`, items without a UV map that of their params. ``error`` is 0: params of a user count as ground
    truth.

    Raises:
        ConfigError: there is no item, or an item has changed since it was checked.
    """
    if len(items) == 0:
        raise ConfigError("the lists have no usable item")
    count = len(items)
    images = create_images(folder, count)
    parsing = uv_position = None
    for name in ("parsing.npy", "uv_position.npy"):
        (folder / name).unlink(missing_ok=True)
    if items.has_parsing:
        parsing = create_array(folder / "parsing.npy", (count, CACHE_SIDE, CACHE_SIDE), np.uint8)
    if items.uv_size:
        side = items.uv_size
        uv_position = create_array(folder / "uv_position.npy", (count, side, side, 3), np.float32)
        surface = uv_surface(items.model, side)
    params = np.empty((count, items.model.layout.size), dtype=np.float32)
    dataset = FolderDataset(items)
    for row, sample in enumerate(in_threads(dataset.__getitem__, range(count), "cache items")):
        images[row] = fill_margin(sample.image, row)
        params[row] = sample.params
        if parsing is not None:
            parsing[row] = IGNORE if sample.parsing is None else sample.parsing
        if uv_position is not None:
            position = sample.uv_position
            if position is None:
                vertices = posed_vertices(items.model, sample.params)
                position = surface.unroll(items.model, vertices)
            uv_position[row] = position
    for array in (images, parsing, uv_position):
        if array is not None:
            array.flush()
    save_arrays(
        folder / "labels.npz",
        params=params,
        yaw_deg=_yaw(params),
        source=np.array([entry.source for entry in items.entries]),
        error=np.zeros(count, dtype=np.float32),
        topology_id=items.model.topology_id,
    )
    return open_cache(folder, items.model)


def fingerprint(entries: Sequence[Entry], model: MorphableModel) -> str:
    """Return a hash of the model, the lists, and size and modification time of all files of the items."""
    digest = hashlib.sha256(f"{_VERSION} {model.topology_id}".encode())
    reader = ItemReader(entries, model)
    for entry in entries:
        try:
            image = reader.image_path(entry)
        except ItemError:
            image = entry.root / "images" / entry.name
        files = (image, entry.params, entry.roi, entry.seg_map, *entry.uv_maps)
        digest.update(f"{entry.source}\0{entry.name}\0".encode())
        for file in files:
            digest.update(_stamp(file).encode())
    return digest.hexdigest()


def _known(mark: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(mark.read_text(encoding="utf-8")))
    except (OSError, ValueError):  # missing or incomplete
        return {}


def _stamp(path: Path) -> str:
    try:
        state = path.stat()
    except OSError:
        return "-\0"
    return f"{path.name} {state.st_size} {state.st_mtime_ns}\0"


def _yaw(params: FloatArray) -> FloatArray:
    """Return yaw (n,) in degrees with the sign of 3DDFA_V2, as in a face collection."""
    _, rotation, _ = decompose(params[:, :POSE_SIZE].reshape(-1, 3, 4))
    return angles_3ddfa_v2(rotation)[:, 0].astype(np.float32)
