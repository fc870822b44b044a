"""Live Link Face: UDP packets for Unreal Engine's ARKit source and other programs (port 11111).

One packet per frame, big-endian, as Unreal's AppleARKitFaceSupport reads it: version (uint8, 6), device (length as int32, UTF-8), subject (the same), frame
time (int32 frame, float32 part of a frame, int32 numerator and int32 denominator of the rate), count (uint8, 61) and as many float32: ARKit's 52
blend shapes, then yaw, pitch and roll of the head and of both eyes, radians.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tddfa_ros.arkit import ARKIT_NAMES
from tddfa_ros.avatar.frame import AvatarFrame
from tddfa_ros.avatar.receiver import address
from tddfa_ros.errors import ConfigError
from tddfa_ros.gaze.direction import FULL_LOOK
from tddfa_ros.types import DoubleArray, FloatArray

VERSION = 6
RATE = 60
"""Frame rate of the frame time, Hz."""

_ANGLES = 9
_VALUES = len(ARKIT_NAMES) + _ANGLES
_DAY = 24 * 60 * 60
_EYE_REACH = np.radians(FULL_LOOK)


@dataclass(frozen=True, eq=False)
class Packet:
    """One decoded packet.

    Attributes:
        device: name of the sender.
        subject: name of the subject.
        seconds: since midnight.
        blendshapes: (52,) float32 in the order of ``ARKIT_NAMES``.
        angles: (9,) float32 radians: yaw, pitch, roll of the head, the left and the right eye.
    """

    device: str
    subject: str
    seconds: float
    blendshapes: FloatArray
    angles: FloatArray


def encode(frame: AvatarFrame, subject: str = "", device: str = "tddfa_ros") -> bytes:
    """Encode a frame as a packet; the subject defaults to the track ID."""
    whole, part = divmod((frame.stamp % _DAY) * RATE, 1.0)
    values = [*frame.blendshapes.tolist(), *_angles(frame).tolist()]
    return b"".join(
        [
            struct.pack(">B", VERSION),
            _text(device),
            _text(subject or frame.id),
            struct.pack(">ifii", int(whole), part, RATE, 1),
            struct.pack(f">B{_VALUES}f", _VALUES, *values),
        ]
    )


def decode(packet: bytes) -> Packet:
    """Decode a packet.

    Raises:
        ConfigError: not a packet, or of another version.
    """
    try:
        if packet[0] != VERSION:
            raise ConfigError(f"not a Live Link Face packet of version {VERSION}")
        device, offset = _read_text(packet, 1)
        subject, offset = _read_text(packet, offset)
        whole, part, rate, per, count = struct.unpack_from(">ifiiB", packet, offset)
        values = struct.unpack_from(f">{_VALUES}f", packet, offset + 17)
        seconds = (whole + part) * per / rate
        if count != _VALUES or len(packet) != offset + 17 + 4 * _VALUES:
            raise ConfigError(f"a Live Link Face packet has {_VALUES} values, not {count}")
    except (struct.error, IndexError, UnicodeDecodeError, ZeroDivisionError) as error:
        raise ConfigError("not a complete Live Link Face packet") from error
    numbers = np.array(values, dtype=np.float32)
    return Packet(device, subject, seconds, numbers[:-_ANGLES], numbers[-_ANGLES:])


class LiveLinkSender:
    """Send frames to a Live Link Face receiver.

    Args:
        target: ``HOST:PORT``; Unreal listens on 11111.
        subject: name of the oldest track at the receiver; empty = every track is a subject named by its ID.

    Raises:
        ConfigError: the address is invalid, or the host is unknown.
    """

    def __init__(self, target: str, subject: str = "") -> None:
        host, port = address(target)
        try:
            known = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        except (socket.gaierror, UnicodeError) as error:
            raise ConfigError(f"unknown host '{host}'") from error
        family, kind, _, _, place = known[0]
        self._target: Any = place
        self._subject = subject
        self._socket = socket.socket(family, kind)
        self._socket.setblocking(False)

    def send(self, frames: Sequence[AvatarFrame]) -> None:
        """See :class:`Receiver`; frames that cannot be sent are dropped."""
        for frame in frames[:1] if self._subject else frames:
            # No receiver, or the network is down: UDP is best effort.
            with contextlib.suppress(OSError):
                self._socket.sendto(encode(frame, self._subject), self._target)

    def close(self) -> None:
        """See :class:`Receiver`."""
        self._socket.close()


def _angles(frame: AvatarFrame) -> DoubleArray:
    """Return the angles of the head, and of the eyes from their blend shapes, outward and down positive as for a left eye."""
    shape = dict(zip(ARKIT_NAMES, frame.blendshapes.astype(float), strict=True))
    eyes = []
    for side, left in (("Left", 1.0), ("Right", -1.0)):
        yaw = left * (shape[f"eyeLookOut{side}"] - shape[f"eyeLookIn{side}"])
        pitch = shape[f"eyeLookDown{side}"] - shape[f"eyeLookUp{side}"]
        eyes += [yaw * _EYE_REACH, pitch * _EYE_REACH, 0.0]
    return np.array([*np.radians(frame.yaw_pitch_roll), *eyes])


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">i", len(data)) + data


def _read_text(packet: bytes, offset: int) -> tuple[str, int]:
    (length,) = struct.unpack_from(">i", packet, offset)
    end = offset + 4 + length
    if length < 0 or end > len(packet):
        raise ConfigError("not a complete Live Link Face packet")
    return packet[offset + 4 : end].decode(), end
