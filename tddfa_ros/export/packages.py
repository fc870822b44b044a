"""Libraries of file formats, loaded when a file is written."""

from __future__ import annotations

import importlib
from typing import Any

from tddfa_ros.errors import TddfaError


def package(name: str, purpose: str) -> Any:
    """Import a package of the extra ``export``.

    Raises:
        TddfaError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise TddfaError(
            f"{purpose} need the package {name}: pip install 'tddfa_ros[export]'"
        ) from error
