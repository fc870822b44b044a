"""Network targets of avatar frames, and opening their receivers."""

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
    """Network targets of avatar frames.

    Attributes:
        osc: VMC receiver, ``HOST:PORT``; empty = none.
        livelink: Live Link Face receiver, ``HOST:PORT``; empty = none.
        subject: see :class:`LiveLinkSender`.
        web_port: port of the web page; None = no page.
        web_host: interface of the web page.
        three: folder of three.js; see :class:`AvatarServer`.
        rig: GLB file of the avatar on the page; None = the mean head.
    """

    osc: str = ""
    livelink: str = ""
    subject: str = ""
    web_port: int | None = None
    web_host: str = "127.0.0.1"
    three: Path | None = None
    rig: Path | None = None


def open_receivers(
    targets: Targets, model: MorphableModel, on_message: Callable[[str], None]
) -> list[Receiver]:
    """Open the receivers of all targets; ``on_message`` is called with the URL of the page.

    Raises:
        ConfigError, TddfaError: a target cannot be opened.
    """
    receivers: list[Receiver] = []
    if targets.osc:
        receivers.append(VmcSender(targets.osc))
    if targets.livelink:
        receivers.append(LiveLinkSender(targets.livelink, targets.subject))
    if targets.web_port is not None:
        server = AvatarServer(model, targets.web_port, targets.web_host, targets.three, targets.rig)
        on_message(f"open {server.url} in a browser")
        receivers.append(server)
    return receivers
