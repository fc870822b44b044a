"""Hash files, and write them atomically."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any


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


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a path to write to in place of ``path``; it takes that name when the block ends without an error.

    Other processes see the old file or the whole new one, never a part. After an error the old file is still there and
    nothing is left beside it. The yielded path ends in the suffix of ``path``, for writers that choose a format by it.
    The folder is created. A link is followed, permissions of a replaced file are kept; pipes and devices are yielded as they are.
    """
    if is_stream(path):
        yield path
        return
    if path.is_symlink():
        path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(6)}.part{path.suffix}")
    temporary.touch(exist_ok=False)
    try:
        yield temporary
        with contextlib.suppress(OSError):
            shutil.copymode(path, temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def save_arrays(path: Path, **arrays: Any) -> None:
    """Write arrays by name to an uncompressed ``.npz`` file, atomically."""
    import numpy as np

    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that other processes see either the old one or the whole new one."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
