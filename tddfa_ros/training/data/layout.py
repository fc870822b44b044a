"""Layout of a user's dataset: paths of its files, and list files of its items.

A dataset is the folder of its list file::

    data/train.list             one name a line, such as 0001 or sub/0001.jpg; '#' begins a comment
    data/images/0001.jpg        the image
    data/params/0001.npy        (P,) float32, pose in the 120-px crop frame of the item's ROI
    data/rois/0001.npy          (4,) x0, y0, x1, y1 px of the image; without this folder the whole image is the ROI
    data/seg_maps/0001.png      uint8 class ids (tddfa_ros/rendering/parsing.py), 255 = ignore
    data/uv_maps/0001.npz|png   UV position map (tddfa_ros/training/data/uv_map.py)

Only images and params are required. Each of the other folders, if it exists, must contain every item of the list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tddfa_ros.errors import ConfigError
from tddfa_ros.files import write_atomically

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
UV_SUFFIXES = (".npz", ".png")
_FOLDERS = ("images", "params", "rois", "seg_maps", "uv_maps", "landmarks")
_COMMENT = re.compile(r"(^|\s)#.*")


class ItemError(Exception):
    """An item is not usable; the message is the reason, without the name of the item."""


@dataclass(frozen=True)
class BadItem:
    """An unusable item: its name in the list, and the reason."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


@dataclass(frozen=True)
class Entry:
    """One item of a list.

    Attributes:
        root: folder of the dataset.
        name: as listed, without ``images/`` and suffix.
        suffix: of the image, "" if not listed.
        source: name of the list without suffix.
    """

    root: Path
    name: str
    suffix: str
    source: str

    @property
    def params(self) -> Path:
        return self.root / "params" / f"{self.name}.npy"

    @property
    def roi(self) -> Path:
        return self.root / "rois" / f"{self.name}.npy"

    @property
    def seg_map(self) -> Path:
        return self.root / "seg_maps" / f"{self.name}.png"

    @property
    def uv_maps(self) -> tuple[Path, ...]:
        return tuple(self.root / "uv_maps" / f"{self.name}{suffix}" for suffix in UV_SUFFIXES)


@dataclass
class ImageFolder:
    """Find images in a folder by their names without suffix; each folder is read once."""

    root: Path
    _folders: dict[Path, dict[str, list[Path]]] = field(default_factory=dict, repr=False)

    def find(self, name: str, suffix: str = "") -> Path:
        """Return the path of the image of an item.

        Raises:
            ItemError: there is none, or more than one.
        """
        folder = (self.root / name).parent
        if folder not in self._folders:
            self._folders[folder] = _by_stem(folder)
        stem = PurePosixPath(name).name
        found = self._folders[folder].get(stem, [])
        if suffix:
            found = [path for path in found if path.suffix == suffix]
        if len(found) > 1:
            raise ItemError(f"the image is ambiguous: {' and '.join(path.name for path in found)}")
        if not found:
            raise ItemError(f"there is no image {self.root.name}/{name}{suffix}")
        return found[0]


def _by_stem(folder: Path) -> dict[str, list[Path]]:
    stems: dict[str, list[Path]] = {}
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in IMAGE_SUFFIXES:
                stems.setdefault(path.stem, []).append(path)
    return stems


def as_paths(lists: Path | Sequence[Path]) -> list[Path]:
    """Return one or several list files as a list."""
    return [lists] if isinstance(lists, Path) else list(lists)


def read_entries(lists: Path | Sequence[Path]) -> list[Entry]:
    """Read all items of one or several list files; the folder of each file is the root of its items.

    Raises:
        ConfigError: a list is missing, not text, or empty.
    """
    entries = []
    for path in as_paths(lists):
        for line in read_list(path):
            name, suffix = split_name(line)
            entries.append(Entry(path.parent, name, suffix, path.stem))
    return entries


def read_list(path: Path) -> list[str]:
    """Read the lines of a list file, without comments and empty lines.

    Raises:
        ConfigError: the list is missing, not text, or empty.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the list {path}: {error}") from error
    lines = [_COMMENT.sub("", line).strip() for line in text.splitlines()]
    names = [line for line in lines if line]
    if not names:
        raise ConfigError(f"the list {path} contains no items")
    return names


def write_list(path: Path, names: Iterable[str], comment: str) -> None:
    """Write a list file with a comment line at the top."""
    lines = "".join(f"{line}\n" for line in (f"# {comment}", *names))
    write_atomically(path, lines.encode())


def split_name(line: str) -> tuple[str, str]:
    """Split a line of a list into name and suffix of the image: ``images/a/1.jpg`` is ``a/1`` and ``.jpg``, ``a/1`` is ``a/1`` and ``""``."""
    path = PurePosixPath(line.replace("\\", "/"))
    if len(path.parts) > 1 and path.parts[0] == "images":
        path = path.relative_to("images")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return str(path.with_suffix("")), path.suffix
    return str(path), ""


def shown(path: Path) -> str:
    """Return the path of a file for messages, relative to its dataset."""
    parts = path.parts
    start = next((i for i in range(len(parts) - 2, -1, -1) if parts[i] in _FOLDERS), -2)
    return "/".join(parts[start:])


def check_name(name: str) -> None:
    """Raise ItemError if a name points outside the dataset."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ItemError("the name must be relative to images/, without '..'")
