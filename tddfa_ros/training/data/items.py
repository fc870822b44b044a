"""Read the items of a user's dataset strictly, in the format of the training cache."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from os import cpu_count
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tddfa_ros.errors import ConfigError, ImageError
from tddfa_ros.geometry.roi import crop
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.rendering.parsing import CLASSES
from tddfa_ros.training.cache import CACHE_SIDE, MARGIN
from tddfa_ros.training.data.files import read_image, read_map, read_numbers
from tddfa_ros.training.data.frames import IGNORE, map_frame, outside_image
from tddfa_ros.training.data.layout import (
    BadItem,
    Entry,
    ImageFolder,
    ItemError,
    as_paths,
    check_name,
    read_entries,
    shown,
)
from tddfa_ros.training.data.uv_map import read_uv_map
from tddfa_ros.types import CROP_FRAME, POSE_SIZE, DoubleArray, FloatArray, ImageBGR

LEAST_SIDE = 4.0  # px of an ROI in the image
_THREADS = min(8, cpu_count() or 1)
_AHEAD = 8 * _THREADS  # largest number of results that wait for the consumer
_A = TypeVar("_A")
_B = TypeVar("_B")

Report = Callable[[str], None]
"""Receives one line of text."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One face as the training cache stores it.

    Attributes:
        image: (192, 192, 3) uint8 BGR; the central 120 px are the ROI.
        params: (P,) float32, pose in the 120-px crop frame of the ROI.
        parsing: (192, 192) uint8 class ids, or None.
        uv_position: (u, u, 3) float32, or None.
    """

    image: ImageBGR
    params: FloatArray
    parsing: NDArray[np.uint8] | None
    uv_position: FloatArray | None


@dataclass(frozen=True, eq=False)
class Items:
    """Result of :func:`read_items`.

    Attributes:
        model: morphable model of the params.
        entries: usable items.
        bad: unusable items.
        has_parsing: whether the dataset has seg maps.
        uv_size: side of the UV position maps, px; 0: the dataset has none.
    """

    model: MorphableModel
    entries: tuple[Entry, ...]
    bad: tuple[BadItem, ...]
    has_parsing: bool
    uv_size: int

    def __len__(self) -> int:
        return len(self.entries)


class ItemReader:
    """Read the items of some lists; raises ItemError with the reason if an item is not usable."""

    def __init__(self, entries: Sequence[Entry], model: MorphableModel) -> None:
        self._size = model.layout.size
        roots = {entry.root for entry in entries}
        self._images = {root: ImageFolder(root / "images") for root in roots}
        self._has = {(root, "rois"): (root / "rois").is_dir() for root in roots}
        # maps are optional per list: another list in the same folder may have them
        for root in roots:
            own = [entry for entry in entries if entry.root == root]
            self._has[root, "seg_maps"] = any(entry.seg_map.is_file() for entry in own)
            self._has[root, "uv_maps"] = any(p.is_file() for e in own for p in e.uv_maps)

    def has(self, folder: str) -> bool:
        """Return whether any dataset has this folder with maps of the listed items."""
        return any(there for (_, name), there in self._has.items() if name == folder)

    def image_path(self, entry: Entry) -> Path:
        """Return the path of the image of an item."""
        check_name(entry.name)
        return self._images[entry.root].find(entry.name, entry.suffix)

    def uv_path(self, entry: Entry) -> Path:
        """Return the path of the UV position map of an item."""
        found = [path for path in entry.uv_maps if path.is_file()]
        if not found:
            raise ItemError(f"there is no uv_maps/{entry.name}.npz or .png")
        return found[0]

    def params(self, entry: Entry) -> FloatArray:
        """Read the parameters (P,) of an item."""
        values = read_numbers(entry.params)
        if values.shape != (self._size,):
            raise ItemError(
                f"params have the shape {values.shape}, the model needs ({self._size},)"
            )
        rows = values[:POSE_SIZE].reshape(3, 4)[:2, :3].astype(np.float64)
        if np.linalg.norm(np.cross(rows[0], rows[1])) < 1e-6:
            raise ItemError("the pose in params is degenerate")
        return values

    def roi(self, entry: Entry, image_shape: tuple[int, int]) -> DoubleArray:
        """Read the ROI (4,) of an item, px of its image (h, w); the whole image if the dataset has no ROIs."""
        height, width = image_shape
        if not self._has[entry.root, "rois"]:
            return np.array([0.0, 0.0, width, height])
        roi = read_numbers(entry.roi).astype(np.float64)
        if roi.shape != (4,):
            raise ItemError(f"the ROI has the shape {roi.shape}, not (4,)")
        if (roi[2:] - roi[:2]).min() < LEAST_SIDE:
            raise ItemError(f"the ROI {np.round(roi, 1).tolist()} is degenerate")
        if (roi[:2] >= [width, height]).any() or (roi[2:] <= 0).any():
            raise ItemError(f"the ROI {np.round(roi, 1).tolist()} lies outside the image")
        return roi

    def __call__(self, entry: Entry) -> Sample:
        """Read one item."""
        image = read_image(self.image_path(entry))
        params = self.params(entry)
        shape = (image.shape[0], image.shape[1])
        roi = self.roi(entry, shape)
        parsing = uv_position = None
        if self._has[entry.root, "seg_maps"]:
            ids = _class_ids(entry.seg_map)
            parsing = map_frame((ids.shape[0], ids.shape[1]), shape, roi).to_cache(ids)
            parsing[outside_image(shape, roi)] = IGNORE
        if self._has[entry.root, "uv_maps"]:
            uv_position = read_uv_map(self.uv_path(entry))
        return Sample(_cut(image, roi), params, parsing, uv_position)


class FolderDataset(Sequence[Sample]):
    """The usable items of some lists, read on access."""

    def __init__(self, items: Items) -> None:
        self._entries = items.entries
        self._read = ItemReader(items.entries, items.model)

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, row: int) -> Sample:  # type: ignore[override]
        entry = self._entries[row]
        try:
            return self._read(entry)
        except ItemError as error:
            raise ConfigError(f"{entry.name} has changed since it was checked: {error}") from error


def read_items(
    lists: Path | Sequence[Path],
    model: MorphableModel,
    strict: bool = False,
    report: Report | None = None,
) -> Items:
    """Read all items of one or several list files once, and separate usable from unusable ones.

    Args:
        lists: list files.
        model: morphable model of the params.
        strict: raise if any item is not usable, after all of them were reported.
        report: receives one line per unusable item, and one with their number; by default they are logged as warnings.

    Raises:
        ConfigError: a list is missing or empty, no item is usable, or ``strict`` and one is not.
    """
    entries = read_entries(lists)
    read = ItemReader(entries, model)

    def check(entry: Entry) -> tuple[Entry, str, int]:
        try:
            sample = read(entry)
        except ItemError as error:
            return entry, str(error), 0
        return entry, "", 0 if sample.uv_position is None else len(sample.uv_position)

    checked = list(in_threads(check, entries, "check items"))
    sizes = Counter(size for _, reason, size in checked if not reason and size)
    usual = sizes.most_common(1)[0][0] if sizes else 0
    good, bad = [], []
    for entry, reason, size in checked:
        if not reason and size not in (0, usual):
            reason = f"the UV map has {size}x{size} px, the others have {usual}x{usual}"
        if reason:
            bad.append(BadItem(entry.name, reason))
        else:
            good.append(entry)
    report_bad(bad, len(entries), names_of(lists), strict, report)
    return Items(model, tuple(good), tuple(bad), read.has("seg_maps"), usual)


def report_bad(
    bad: Sequence[BadItem],
    total: int,
    where: str,
    strict: bool = False,
    report: Report | None = None,
) -> None:
    """Report unusable items, one line each, and their number.

    Raises:
        ConfigError: there is one and ``strict``, or no usable item is left.
    """
    report = report or logging.getLogger(__name__).warning
    for item in bad:
        report(str(item))
    if not bad:
        return
    count = f"{len(bad)} of {total} items of {where}"
    if len(bad) == total:
        raise ConfigError(
            f"none of the {total} items of {where} can be used, the first is {bad[0]}"
        )
    if strict:
        raise ConfigError(f"{count} cannot be used, the first is {bad[0]}")
    report(f"{count} are excluded")


def names_of(lists: Path | Sequence[Path]) -> str:
    """Return the names of list files, for messages."""
    return ", ".join(path.name for path in as_paths(lists))


def in_threads(work: Callable[[_A], _B], rows: Sequence[_A], what: str) -> Iterator[_B]:
    """Yield ``work`` of all rows in order, computed in threads (OpenCV decodes without the GIL), with a progress bar."""
    waiting: deque[Future[_B]] = deque()
    left = iter(rows)
    with (
        ThreadPoolExecutor(_THREADS) as pool,
        tqdm(total=len(rows), desc=what, unit="item", disable=None) as progress,
    ):
        try:
            while True:
                for row in islice(left, _AHEAD - len(waiting)):
                    waiting.append(pool.submit(work, row))
                if not waiting:
                    return
                yield waiting.popleft().result()
                progress.update()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _cut(image: ImageBGR, roi: DoubleArray) -> ImageBGR:
    """Cut the ROI with its margin: (192, 192, 3), the ROI in the central 120 px."""
    margin = (roi[2:] - roi[:2]) * (MARGIN / CROP_FRAME)
    try:
        return crop(image, np.concatenate([roi[:2] - margin, roi[2:] + margin]), CACHE_SIDE)
    except ImageError as error:
        raise ItemError(str(error)) from error


def _class_ids(path: Path) -> NDArray[np.uint8]:
    ids = read_map(path)
    if ids.ndim != 2 or ids.dtype != np.uint8:
        raise ItemError(f"{shown(path)} is not a gray image with 8 bits per pixel")
    unknown = (ids >= len(CLASSES)) & (ids != IGNORE)
    if unknown.any():
        raise ItemError(
            f"{shown(path)} has the class {ids[unknown][0]}, there are 0 to {len(CLASSES) - 1}"
        )
    return np.asarray(ids, dtype=np.uint8)
