"""Make the CMake files of the ``ros-*`` wheels point at this interpreter.

The wheels keep the include directories of the machine on which they were built. Run with the environment's own
Python; running it again changes nothing.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

import numpy as np

BUILT_NUMPY = re.compile(
    r"/opt/python/cp\d+-cp\d+/lib/python[\d.]+/site-packages/numpy/(?:_core|core)/include"
)
BUILT_PYTHON = re.compile(r"/opt/python/cp\d+-cp\d+/include/python[\d.]+")


def main() -> int:
    """Rewrite the files under ``<prefix>/share``; print how many changed."""
    changed = 0
    for path in Path(sys.prefix, "share").glob("*/cmake/*.cmake"):
        text = path.read_text(encoding="utf-8")
        patched = BUILT_NUMPY.sub(np.get_include(), text)
        patched = BUILT_PYTHON.sub(sysconfig.get_path("include"), patched)
        if patched != text:
            path.write_text(patched, encoding="utf-8")
            changed += 1
    print(f"{changed} CMake files of the ROS wheels now name this interpreter")
    return 0


if __name__ == "__main__":
    sys.exit(main())
