"""Render seg maps and UV position maps of a dataset from its params."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ConfigError
from tddfa_ros.files import create_array, link_or_copy
from tddfa_ros.geometry.pose import to_crop
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.rendering.parsing import render_parsing
from tddfa_ros.training.cache import CACHE_SIDE, MARGIN, open_cache
from tddfa_ros.training.data.files import read_image, write_image
from tddfa_ros.training.data.frames import MAP_SIDES, map_frame
from tddfa_ros.training.data.items import ItemReader, Report, in_threads, names_of, report_bad
from tddfa_ros.training.data.layout import BadItem, Entry, ItemError, read_entries
from tddfa_ros.training.data.uv_map import posed_vertices, uv_surface, write_uv_map
from tddfa_ros.types import POSE_SIZE, FloatArray

IMAGE_SIZE = "image"
SIZES = (*(str(side) for side in MAP_SIDES), IMAGE_SIZE)
UV_FORMATS = ("npz", "png")


@dataclass(frozen=True)
class RenderOptions:
    """What to render.

    Attributes:
        size: of seg maps, one of :data:`SIZES`: side of a crop with the 120 px of the ROI in its center, or ``image``: size of the image.
        uv_size: side of UV position maps, px; 0: none.
        uv_format: one of :data:`UV_FORMATS`.
        parsing: whether to render seg maps.
    """

    size: str = "192"
    uv_size: int = 32
    uv_format: str = "png"
    parsing: bool = True


class MapRenderer:
    """Render the maps of one morphable model."""

    def __init__(self, model: MorphableModel, options: RenderOptions) -> None:
        self.options = options
        self._model = model
        self._surface = uv_surface(model, options.uv_size) if options.uv_size else None

    def parsing(
        self, params: FloatArray, image_shape: tuple[int, int], roi: NDArray[np.float64]
    ) -> NDArray[np.uint8]:
        """Render the class ids of an item, from the size (h, w) of its image and its ROI (4,)."""
        shape = image_shape
        if self.options.size != IMAGE_SIZE:
            shape = (int(self.options.size), int(self.options.size))
        frame = map_frame(shape, image_shape, roi)
        vertices = to_crop(self._model.head(params), params[:POSE_SIZE].reshape(3, 4))
        return render_parsing(self._model, frame.from_crop(vertices), shape)

    def write(self, entry: Entry, reader: ItemReader, output: Path) -> None:
        """Render and write the maps of one item.

        Raises:
            ItemError: its image, params or ROI cannot be used.
        """
        image = read_image(reader.image_path(entry))
        params = reader.params(entry)
        shape = (image.shape[0], image.shape[1])
        roi = reader.roi(entry, shape)
        target = Entry(output, entry.name, entry.suffix, entry.source)
        if self.options.parsing:
            write_image(target.seg_map, self.parsing(params, shape, roi))
        if self._surface is None:
            return
        for path in target.uv_maps:
            if path.suffix == f".{self.options.uv_format}":
                position = self._surface.unroll(self._model, posed_vertices(self._model, params))
                write_uv_map(path, position, self._surface.mask)
            else:
                path.unlink(missing_ok=True)


def render_cache(source: Path, folder: Path, model: MorphableModel) -> int:
    """Copy a training cache to another folder and add the seg maps of its faces, with a progress bar; return the number of faces.

    Crops without a face become background. Images are hard links if the file system allows it.

    Raises:
        ConfigError: there is no cache, it was made with another morphable model, or both folders are the same.
    """
    if folder.resolve() == source.resolve():
        raise ConfigError("write the seg maps to another folder than that of the cache")
    cache = open_cache(source, model)
    folder.mkdir(parents=True, exist_ok=True)
    parsing = create_array(folder / "parsing.npy", (len(cache), CACHE_SIDE, CACHE_SIDE), np.uint8)
    faces = np.flatnonzero(cache.face)

    def work(row: int) -> None:
        params = cache.params[row]
        vertices = to_crop(model.head(params), params[:POSE_SIZE].reshape(3, 4))
        vertices[:, :2] += MARGIN
        parsing[row] = render_parsing(model, vertices, (CACHE_SIDE, CACHE_SIDE))

    for _ in in_threads(work, faces.tolist(), "render seg maps"):
        pass
    parsing.flush()
    for name in ("images.npy", "uv_position.npy", "labels.npz"):  # with labels.npz it is a cache
        (folder / name).unlink(missing_ok=True)
        if (source / name).is_file():
            link_or_copy(source / name, folder / name)
    return len(faces)


def render_lists(
    lists: Path | Sequence[Path],
    model: MorphableModel,
    output: Path,
    options: RenderOptions | None = None,
    strict: bool = False,
    report: Report | None = None,
) -> int:
    """Render the maps of all items of some lists to ``output``, and return the number of items.

    Raises:
        ConfigError: a list or an option is invalid, no item is usable, or ``strict`` and one is not.
    """
    entries = read_entries(lists)
    reader = ItemReader(entries, model)
    renderer = MapRenderer(model, options or RenderOptions())

    def work(entry: Entry) -> BadItem | None:
        try:
            renderer.write(entry, reader, output)
        except ItemError as error:
            return BadItem(entry.name, str(error))
        return None

    bad = [item for item in in_threads(work, entries, "render") if item is not None]
    report_bad(bad, len(entries), names_of(lists), strict, report)
    return len(entries) - len(bad)
