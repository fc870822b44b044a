"""Locations of installed data files (``models/``, ``config/``, ``launch/``) and of the cache."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tddfa_ros.errors import ModelError

PACKAGE = "tddfa_ros"
_LANDMARK = Path("models") / "manifest.yaml"


def resource_dir() -> Path:
    """Return the directory that holds ``models/``, ``config/`` and ``launch/``.

    That is the root of a source tree, or ``share/tddfa_ros`` below the prefix the package was installed to (colcon's
    install space, a virtual environment, ``~/.local``).

    Raises:
        ModelError: the installation is incomplete.
    """
    here = Path(__file__).resolve()
    prefixes = [*here.parents, Path(sys.prefix)]
    prefixes += [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    source_tree = here.parents[2]
    for candidate in (source_tree, *(prefix / "share" / PACKAGE for prefix in prefixes)):
        if (candidate / _LANDMARK).is_file():
            return candidate
    raise ModelError(
        f"the installation of {PACKAGE} is incomplete: {_LANDMARK} is nowhere below {sys.prefix}"
    )


def cache_dir() -> Path:
    """Return where fetched files are kept: ``TDDFA_CACHE``, else ``tddfa_ros`` in the user's cache directory."""
    own = os.environ.get("TDDFA_CACHE")
    if own:
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / PACKAGE
