"""OSC over UDP in the Virtual Motion Capture (VMC) protocol: VSeeFace, Warudo, Unity, Godot, Blender add-ons.

Messages of https://protocol.vmc.info: ``/VMC/Ext/Blend/Val`` name value (52 times), ``/VMC/Ext/Blend/Apply``, ``/VMC/Ext/Bone/Pos`` "Head" with position
and quaternion, ``/VMC/Ext/OK`` 1 and ``/VMC/Ext/T`` seconds; all of a frame in one bundle. Blend shapes are named as VRM models for "perfect sync"
name them: ``EyeBlinkLeft``.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from tddfa_ros.arkit import ARKIT_NAMES
from tddfa_ros.avatar.frame import AvatarFrame
from tddfa_ros.avatar.receiver import address
from tddfa_ros.errors import ConfigError, TddfaError

_NAMES = tuple(name[0].upper() + name[1:] for name in ARKIT_NAMES)


class VmcSender:
    """Send the oldest track to a VMC receiver; the protocol has one person.

    Args:
        target: ``HOST:PORT``; receivers of faces listen on 39540 or 39539 by default.

    Raises:
        ConfigError: the address is invalid. TddfaError: python-osc is not installed, or the host is unknown.
    """

    def __init__(self, target: str) -> None:
        try:
            from pythonosc.udp_client import UDPClient
        except ImportError as error:
            raise TddfaError(
                "OSC needs python-osc: install the extra 'avatar' (pip install python-osc)"
            ) from error
        host, port = address(target)
        try:
            self._client = UDPClient(host, port)
        except (socket.gaierror, UnicodeError) as error:
            raise ConfigError(f"unknown host '{host}'") from error

    def send(self, frames: Sequence[AvatarFrame]) -> None:
        """See :class:`Receiver`; frames that cannot be sent are dropped."""
        if not frames:
            return
        bundle = _bundle(frames[0])
        try:
            self._client.send(bundle)
        except OSError:  # no receiver, or the network is down: UDP is best effort
            return

    def close(self) -> None:
        """See :class:`Receiver`."""
        self._client._sock.close()


def _bundle(frame: AvatarFrame):  # type: ignore[no-untyped-def]
    from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder

    builder = OscBundleBuilder(IMMEDIATELY)
    builder.add_content(_message("/VMC/Ext/OK", 1))
    builder.add_content(_message("/VMC/Ext/T", float(frame.stamp)))
    for name, value in zip(_NAMES, frame.blendshapes.tolist(), strict=True):
        builder.add_content(_message("/VMC/Ext/Blend/Val", name, value))
    builder.add_content(_message("/VMC/Ext/Blend/Apply"))
    builder.add_content(_message("/VMC/Ext/Bone/Pos", "Head", *_unity(frame)))
    return builder.build()


def _message(path: str, *values: str | float):  # type: ignore[no-untyped-def]
    from pythonosc.osc_message_builder import OscMessageBuilder

    builder = OscMessageBuilder(path)
    for value in values:
        builder.add_arg(value)
    return builder.build()


def _unity(frame: AvatarFrame) -> tuple[float, ...]:
    """Convert position and quaternion to Unity's left-handed axes: glTF's with x negated."""
    x, y, z = frame.position.tolist()
    qx, qy, qz, qw = frame.rotation.tolist()
    return (-x, y, z, qx, -qy, -qz, qw)
