"""Hash files, and write them atomically."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tddfa_ros.errors import TddfaError

if TYPE_CHECKING:
    import numpy as np


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def is_stream(path: Path) -> bool:
    """Return whether a path is standard output (``-``), a pipe, a socket or a device: written as it comes, never replaced."""
    return str(path) == "-" or (path.exists() and not path.is_file() and not path.is_dir())


def write_error(path: Path, error: OSError, temporary: Path | None = None) -> TddfaError:
    """Return the error of a file that cannot be written, such as ``cannot write out.mp4: No space left on device``.

    Args:
        path: the file, as the user named it.
        error: what the operating system or a library reports; another file that it names is named too.
        temporary: file that was written in place of ``path``.
    """
    reason = error.strerror or str(error) or type(error).__name__
    other = error.filename
    if isinstance(other, (str, bytes, os.PathLike)) and Path(os.fsdecode(other)) not in (
        path,
        temporary,
    ):
        reason += f": {os.fsdecode(other)}"
    return TddfaError(f"cannot write {path}: {reason}")


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a path to write to in place of ``path``; it takes that name when the block ends without an error.

    Other processes see the old file or the whole new one, never a part. After an error the old file is still there and
    nothing is left beside it. The yielded path ends in the suffix of ``path``, for writers that choose a format by it.
    The folder is created. A link is followed, permissions of a replaced file are kept; pipes and devices are yielded as they are.

    Raises:
        TddfaError: the file cannot be written, because the block or one of these steps raised an OSError.
    """
    temporary = path
    try:
        if is_stream(path):
            yield path
            return
        real = Path(os.path.realpath(path)) if path.is_symlink() else path
        real.parent.mkdir(parents=True, exist_ok=True)
        temporary = real.with_name(f".{secrets.token_hex(6)}.part{path.suffix}")
        temporary.touch(exist_ok=False)
        try:
            yield temporary
            with contextlib.suppress(OSError):
                shutil.copymode(real, temporary)
            temporary.replace(real)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except ConnectionError:  # of a pipe or socket that the block uses
        raise
    except OSError as error:
        raise write_error(path, error, temporary) from error


def save_arrays(path: Path, **arrays: Any) -> None:
    """Write arrays by name to an uncompressed ``.npz`` file, atomically."""
    import numpy as np

    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def link_or_copy(source: Path, target: Path) -> None:
    """Make ``target`` a hard link to ``source``, or a copy where the file system allows no link; an existing file is replaced.

    Raises:
        TddfaError: the file cannot be written.
    """
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)


def create_array(path: Path, shape: tuple[int, ...], dtype: Any) -> np.memmap[Any, np.dtype[Any]]:
    """Create an ``.npy`` file of zeros, mapped into memory, with all of its space reserved on the disk.

    A file with holes would end the process with SIGBUS when the disk is full.

    Raises:
        TddfaError: the file cannot be written.
    """
    import numpy as np

    try:
        array: Any = np.lib.format.open_memmap(path, "w+", dtype, shape)
        with path.open("r+b") as file:
            _reserve(file.fileno(), path.stat().st_size)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise write_error(path, error) from error
    return array  # type: ignore[no-any-return]


def _reserve(descriptor: int, size: int) -> None:
    if not hasattr(os, "posix_fallocate"):  # macOS
        return
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # not on this file system
            raise


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that other processes see either the old one or the whole new one."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
