"""Inputs of a run over many images: files, folders, patterns and ROS bags, of which one may be damaged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from tddfa_ros.errors import DamagedSourceError, ImageError, SourceError
from tddfa_ros.types import ImageBGR

if TYPE_CHECKING:
    from tddfa_ros.sources.bag import BagImage, BagImages


@dataclass(frozen=True)
class UnreadableInput:
    """The rest of an input that cannot be read to its end, such as a damaged bag: an image that always fails.

    Attributes:
        path: the input.
        reason: one sentence that says why.
    """

    path: Path
    reason: str

    def __str__(self) -> str:
        return str(self.path)

    def image(self, max_pixels: int = 0) -> ImageBGR:
        """Raise ImageError with the reason."""
        raise ImageError(self.reason)


Part: TypeAlias = "Sequence[Path] | Sequence[UnreadableInput] | BagImages"
"""One or more inputs of a run, with a length."""


def find_inputs(inputs: Iterable[str | Path], topic: str = "") -> list[Part]:
    """Resolve images, folders, patterns and ROS bags to sequences of items for :func:`detect_faces_parallel`, in input order.

    Args:
        inputs: images, folders and patterns as for :func:`tddfa_ros.outputs.find_images`, and ROS bags.
        topic: image topic of the bags; empty if each bag has only one.

    Raises:
        SourceError: an input is none of these, or a bag lacks the topic. A damaged bag becomes an item that fails.
    """
    from tddfa_ros.outputs.files import find_images
    from tddfa_ros.sources.bag import BagImages, is_bag

    parts: list[Part] = []
    for of_bags, group in groupby(inputs, key=is_bag):
        if not of_bags:
            parts.append(find_images(group))
            continue
        for path in (Path(text).expanduser() for text in group):
            try:
                parts.append(BagImages(path, topic))
            except DamagedSourceError as error:
                parts.append([UnreadableInput(path, str(error))])
    return parts


def all_images(
    parts: Iterable[Part],
) -> Iterator[Path | BagImage | UnreadableInput]:
    """Yield the images of all parts of :func:`find_inputs`; what cannot be read ends its part, not the run."""
    for part in parts:
        try:
            yield from part
        except SourceError as error:
            where = Path() if isinstance(part, Sequence) else part.path
            yield UnreadableInput(where, str(error))
