"""Track IDs: unique in a run, with a prefix that keeps the faces of several cameras apart."""

from __future__ import annotations

import re

from tddfa_ros.errors import ConfigError

FROM_NAMESPACE = "auto"
"""Value of the parameter ``id_prefix`` that derives the prefix from the namespace of the node."""

_PREFIX = re.compile(r"([A-Za-z][A-Za-z0-9_]*)?")


def check_prefix(prefix: str) -> None:
    """Raise ConfigError unless IDs with this prefix are valid in topic and frame names (REP-155)."""
    if not _PREFIX.fullmatch(prefix):
        raise ConfigError(
            f"id_prefix must start with a letter and consist of letters, digits and _, not {prefix!r}"
        )


def resolve_prefix(prefix: str, namespace: str) -> str:
    """Return the prefix of all IDs: the given one, or for ``auto`` the namespace, such as ``left_`` in ``/left``."""
    if prefix != FROM_NAMESPACE:
        return prefix
    name = "_".join(part for part in namespace.split("/") if part).lstrip("_")
    return f"{name}_" if name else ""


class TrackIds:
    """Numbers the faces of a run: "f1", "f2" ... after a prefix.

    A node that replaces its tracker keeps this object, so that no ID is used twice.

    Args:
        prefix: start of every ID.
    """

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._last = 0

    def next(self) -> str:
        """Return an ID that has not been used."""
        self._last += 1
        return f"{self._prefix}f{self._last}"
