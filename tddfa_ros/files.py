"""Hash files, and write them so that nobody ever sees half of one."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Iterator
from pathlib import Path


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a path to write to in place of ``path``; it takes that name when the block ends without an error.

    Other processes see the old file or the whole new one, never a part. After an error the old file is still there and
    nothing is left beside it. The yielded path ends in the suffix of ``path``, for writers that choose a format by it.
    The folder is created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(6)}.part{path.suffix}")
    temporary.touch(exist_ok=False)
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that other processes see either the old one or the whole new one."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
