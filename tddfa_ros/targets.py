"""Where a command may write: never onto its input, onto an existing file only when asked.

Every command checks its output files here before it computes anything, and writes them with :mod:`tddfa_ros.files`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tddfa_ros.errors import ConfigError, TddfaError
from tddfa_ros.files import is_stream


def same_file(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> bool:
    """Return whether two paths lead to one file: through links, by hard links, or by names that differ in case only.

    Two existing files are compared by inode; a path without a file is compared by its name, whatever the case, because the file system
    may ignore it.
    """
    try:
        return os.path.samefile(first, second)
    except OSError:
        real = (os.path.realpath(path).casefold() for path in (first, second))
        return next(real) == next(real)


def check_targets(
    targets: Iterable[str | os.PathLike[str]],
    inputs: Sequence[str | os.PathLike[str]] = (),
    *,
    overwrite: bool = False,
    known: Callable[[Path], bool] = lambda _: False,
) -> None:
    """Check files that are about to be written; nothing is created.

    Args:
        targets: files to write. Pipes and devices may exist.
        inputs: files that are read; folders stand for the data files in them.
        overwrite: whether existing files may be replaced. Inputs never are.
        known: returns whether an existing file is an earlier output of the same command, which may be replaced.

    Raises:
        ConfigError: a target is an input, exists, is a folder, or is named twice.
        TddfaError: its folder cannot be written to.
    """
    named: list[Path] = []
    for target in map(Path, targets):
        if any(_reads(source, target) for source in inputs):
            raise ConfigError(f"{target} is an input; choose another output name")
        if any(same_file(target, other) for other in named) and not is_stream(target):
            raise ConfigError(f"{target} is the name of two outputs")
        named.append(target)
        if target.is_dir():
            raise ConfigError(f"{target} is a folder; name a file in it")
        if is_stream(target):
            continue
        if os.path.lexists(target) and not overwrite and not known(target):
            raise ConfigError(f"{target} exists; --overwrite replaces it")
        check_writable(target.parent, str(target))


def check_writable(folder: Path, what: str | None = None) -> None:
    """Check that files can be created in a folder, or the folder itself, without creating it.

    Args:
        folder: the folder.
        what: what is to be written, for the error; None = the folder.

    Raises:
        TddfaError: an existing part of the path is a file, or the user has no permission.
    """
    what = what or str(folder)
    existing = folder
    while not os.path.lexists(existing) and existing != existing.parent:
        existing = existing.parent
    try:
        mode = existing.stat().st_mode
    except OSError as error:
        raise TddfaError(f"cannot write {what}: {error.strerror or error}") from error
    if not stat.S_ISDIR(mode):
        raise TddfaError(f"cannot write {what}: {existing} is not a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise TddfaError(f"cannot write {what}: no permission to create files in {existing}")


def check_folder(
    folder: Path,
    patterns: Iterable[str],
    inputs: Sequence[str | os.PathLike[str]] = (),
    *,
    overwrite: bool = False,
    own: Callable[[Path], bool] = lambda _: False,
) -> None:
    """Check a folder that is about to be filled; nothing is created.

    Args:
        folder: the folder.
        patterns: names of the files that may be written to it, as for :meth:`pathlib.Path.glob`.
        inputs: files and folders that are read.
        overwrite: whether existing files of these names may be replaced.
        own: returns whether the folder was filled by the same command, whose outputs may be replaced.

    Raises:
        ConfigError: the folder is an input or a file, or holds other files of these names.
        TddfaError: it cannot be written to.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; name a folder")
    if any(same_file(folder, source) for source in inputs):
        raise ConfigError(f"{folder} is an input; choose another folder to write to")
    check_writable(folder)
    if not folder.is_dir():
        return
    found = [path for pattern in patterns for path in folder.glob(pattern)]
    foreign = overwrite or own(folder)
    for path in found:
        if any(same_file(path, source) for source in inputs):
            raise ConfigError(f"{path} is an input; choose another folder to write to")
        if not foreign:
            raise ConfigError(
                f"{path} exists and was not written by this command; --overwrite replaces it"
            )


_DATA = (
    *(".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"),
    *(".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".webm"),
    *(".db3", ".mcap", ".yaml", ".mat", ".npy", ".npz", ".pt", ".pth", ".pkl", ".list", ".txt"),
)


def _reads(source: str | os.PathLike[str], target: Path) -> bool:
    """Return whether writing to the target could change an input: the file itself, or a data file in a folder."""
    if same_file(source, target):
        return True
    if not os.path.isdir(source) or not target.exists() or target.suffix.lower() not in _DATA:
        return False
    return Path(os.path.realpath(target)).is_relative_to(os.path.realpath(source))
