"""The receivers that a program or a node is asked for, opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tddfa_ros.avatar.livelink import LiveLinkSender
from tddfa_ros.avatar.osc import VmcSender
from tddfa_ros.avatar.receiver import Receiver
from tddfa_ros.avatar.server import AvatarServer
from tddfa_ros.morphable.model import MorphableModel


@dataclass(frozen=True)
class Targets:
    """Where faces are sent over the network.

    Attributes:
        osc, livelink: ``HOST:PORT``; empty = none. subject: see `LiveLinkSender`.
        web_port, web_host, three: see `AvatarServer`; web_port None = no page.
    """

    osc: str = ""
    livelink: str = ""
    subject: str = ""
    web_port: int | None = None
    web_host: str = "127.0.0.1"
    three: Path | None = None


def open_receivers(
    targets: Targets, model: MorphableModel, say: Callable[[str], None]
) -> list[Receiver]:
    """Open what is asked for; ``say`` is told where the page is.

    Raises:
        ConfigError, TddfaError: one of them cannot be opened.
    """
    receivers: list[Receiver] = []
    if targets.osc:
        receivers.append(VmcSender(targets.osc))
    if targets.livelink:
        receivers.append(LiveLinkSender(targets.livelink, targets.subject))
    if targets.web_port is not None:
        server = AvatarServer(model, targets.web_port, targets.web_host, targets.three)
        say(f"open {server.url} in a browser")
        receivers.append(server)
    return receivers
