"""Protocol of avatar receivers: files, sockets and web pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tddfa_ros.avatar.frame import AvatarFrame
from tddfa_ros.errors import ConfigError

_LARGEST_PORT = 65535


class Receiver(Protocol):
    """A consumer of avatar frames."""

    def send(self, frames: Sequence[AvatarFrame]) -> None:
        """Send all faces of an image, the oldest track first; does not block."""
        ...

    def close(self) -> None:
        """Close the receiver; no frame is sent afterwards."""
        ...


def address(text: str) -> tuple[str, int]:
    """Parse ``HOST:PORT``, or ``PORT`` on this machine.

    Raises:
        ConfigError: it is not an address.
    """
    host, _, port = text.rpartition(":")
    if not port.isdigit() or not 0 < int(port) <= _LARGEST_PORT:
        raise ConfigError(f"an address must be HOST:PORT, such as 192.168.0.20:39539, not '{text}'")
    return host.strip("[]") or "127.0.0.1", int(port)
