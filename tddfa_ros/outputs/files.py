"""Which pictures are meant, and what the files made from each of them are called."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, count
from pathlib import Path

from tddfa_ros.errors import SourceError
from tddfa_ros.sources.folder import image_files, natural_order


def find_images(inputs: Iterable[str | Path]) -> list[Path]:
    """Turn files, folders and globs into a list of files.

    Args:
        inputs: a file (of whatever name), a folder (its pictures, not those of folders below it), or a pattern with ``*``, ``?``,
            ``[...]`` or ``**``.

    Returns:
        In the order of ``inputs``, those of a folder or pattern in natural order; a file that is named twice comes once.

    Raises:
        SourceError: an input is neither, a folder or pattern holds no picture, or nothing is given.
    """
    found = [file for text in inputs for file in _expand(str(text))]
    if not found:
        raise SourceError("no picture is given")
    once: dict[Path, Path] = {}
    for file in found:
        once.setdefault(file.resolve(), file)
    return list(once.values())


def output_names(pictures: Sequence[Path]) -> list[str]:
    """A name for the files made from each picture: its stem, made longer where several share one.

    First by the suffix (``a_jpg`` and ``a_png``), then by the folders (``left_a_jpg``), at last by a number. Upper and lower case count
    as the same, because some file systems think so.
    """
    resolved = [picture.resolve() for picture in pictures]
    names = [picture.stem for picture in resolved]
    deepest = max((len(picture.parts) for picture in resolved), default=1)
    for level in range(1, deepest):
        longer = [
            "_".join((*picture.parts[-level:-1], picture.stem, picture.suffix[1:]))
            for picture in resolved
        ]
        names = _unless_unique(names, longer)
    taken: set[str] = set()
    for i, name in enumerate(names):
        choices = chain([name], (f"{name}_{number}" for number in count(2)))
        names[i] = next(choice for choice in choices if choice.casefold() not in taken)
        taken.add(names[i].casefold())
    return names


def _expand(text: str) -> list[Path]:
    path = Path(text).expanduser()
    if path.is_dir():
        return image_files(path)
    if path.exists():
        return [path]
    if not glob.has_magic(text):
        raise SourceError(f"there is no picture or folder '{text}'")
    matches = [Path(match) for match in glob.glob(str(path), recursive=True)]
    files = sorted(
        (match for match in matches if match.is_file()),
        key=lambda file: (str(file.parent), natural_order(file)),
    )
    if not files:
        raise SourceError(f"no file matches '{text}'")
    return files


def _unless_unique(names: Sequence[str], longer: Sequence[str]) -> list[str]:
    times = Counter(name.casefold() for name in names)
    return [
        name if times[name.casefold()] == 1 else other
        for name, other in zip(names, longer, strict=True)
    ]
