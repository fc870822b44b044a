"""Let the process keep the memory that a training step frees: the next step asks for the same again."""

from __future__ import annotations

import ctypes
import sys

# malloc.h of glibc
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_LARGEST = 2**31 - 1
_GROW_BY = 200_000_000  # bytes


def keep_freed_memory() -> bool:
    """Stop glibc from returning large freed blocks to the system; True where that took effect (Linux with glibc), else nothing changes.

    Every block over 32 MB, and by default over 128 kB, comes fresh from the kernel and goes back to it, and filling its pages with
    zeros takes a third of the time of a training step on a CPU. The settings are those of mallopt(3).
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _LARGEST), (_TOP_PAD, _GROW_BY))
    return all([bool(mallopt(name, value)) for name, value in settings])
