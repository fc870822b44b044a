"""Find input images, and name the output files of each."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, count
from pathlib import Path

from tddfa_ros.errors import SourceError
from tddfa_ros.sources.folder import image_files, natural_order


def find_images(inputs: Iterable[str | Path]) -> list[Path]:
    """Expand files, folders and glob patterns to image files.

    Args:
        inputs: files (with any suffix), folders (their images, not those of subfolders), or patterns with ``*``, ``?``, ``[...]`` or
            ``**``.

    Returns:
        Files in the order of ``inputs``, those of a folder or pattern in natural order, without duplicates.

    Raises:
        SourceError: an input does not exist, a folder or pattern has no image, or there is no input.
    """
    found = [file for text in inputs for file in _expand(str(text))]
    if not found:
        raise SourceError("no image is given")
    once: dict[Path, Path] = {}
    for file in found:
        once.setdefault(file.resolve(), file)
    return list(once.values())


def output_names(images: Sequence[Path]) -> list[str]:
    """Return a unique base name for the output files of each image: its stem, extended where several images share one.

    The suffix is added first (``a_jpg`` and ``a_png``), then folders (``left_a_jpg``), then a number. Names are compared without case,
    as some file systems do.
    """
    resolved = [image.resolve() for image in images]
    names = [image.stem for image in resolved]
    deepest = max((len(image.parts) for image in resolved), default=1)
    for level in range(1, deepest):
        longer = [
            "_".join((*image.parts[-level:-1], image.stem, image.suffix[1:])) for image in resolved
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
        raise SourceError(f"there is no image or folder '{text}'")
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
