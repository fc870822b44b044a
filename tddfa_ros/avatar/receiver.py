"""Who is told about faces: one protocol for files, sockets and pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tddfa_ros.avatar.frame import AvatarFrame
from tddfa_ros.errors import ConfigError

_LARGEST_PORT = 65535


class Receiver(Protocol):
    """Takes the faces of image after image."""

    def send(self, frames: Sequence[AvatarFrame]) -> None:
        """Pass on all faces of an image, the oldest track first; returns soon, also where nobody listens."""
        ...

    def close(self) -> None:
        """End; nothing is sent afterwards."""
        ...


def address(text: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT``, or of ``PORT`` alone on this machine.

    Raises:
        ConfigError: it is something else.
    """
    host, _, port = text.rpartition(":")
    if not port.isdigit() or not 0 < int(port) <= _LARGEST_PORT:
        raise ConfigError(f"an address is HOST:PORT, such as 192.168.0.20:39539, not '{text}'")
    return host.strip("[]") or "127.0.0.1", int(port)
