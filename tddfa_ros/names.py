"""File names in any encoding, and text from outside, for log lines, terminals and libraries that take UTF-8 only."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

_UNPRINTABLE = re.compile(
    # C0 and C1 controls, DEL, line and paragraph separators, marks and overrides of the writing direction, surrogates.
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_BYTE = range(0xDC80, 0xDD00)  # a byte that is not UTF-8, as os.fsdecode returns it (PEP 383)


def printable(text: object, limit: int | None = None) -> str:
    r"""Return text as one line without control characters.

    Escape sequences of terminals, line breaks and changes of the writing direction become ``\x1b``, ``\n`` or ``\u202e``; a byte of
    a file name that is not UTF-8 becomes ``\xf6``.

    Args:
        text: text from a message, a file name or an error.
        limit: maximum number of characters; longer text ends in ``...``. None = no limit.
    """
    line = str(text)
    if limit is None:
        return _UNPRINTABLE.sub(_escaped, line)
    line = _UNPRINTABLE.sub(
        _escaped, line[: limit + 1]
    )  # escapes are longer than what they replace
    return line if len(line) <= limit else line[: max(limit - 3, 0)] + "..."


@contextlib.contextmanager
def utf8_path(path: str | os.PathLike[str]) -> Iterator[str]:
    """Yield a path to the same file that is valid UTF-8, for libraries that crash on other file names (OpenCV, FFmpeg).

    A path that is UTF-8 is yielded as it is, any other as a temporary link to its folder (for a name in UTF-8, also of a file that
    does not exist yet) or to the file.
    """
    full = os.fspath(path)
    if _is_utf8(full):
        yield full
        return
    folder, name = os.path.split(os.path.abspath(full))
    with tempfile.TemporaryDirectory(prefix="tddfa_") as place:
        if _is_utf8(name):
            os.symlink(folder, os.path.join(place, "folder"))
            yield os.path.join(place, "folder", name)
        else:
            link = os.path.join(
                place, f"file{Path(name).suffix if _is_utf8(Path(name).suffix) else ''}"
            )
            os.symlink(os.path.join(folder, name), link)
            yield link


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code in _BYTE:
        return f"\\x{code - 0xDC00:02x}"
    return {9: "\\t", 10: "\\n", 13: "\\r"}.get(code) or (
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    )
