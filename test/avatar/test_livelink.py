"""Live Link packets byte by byte, and over a real socket."""

from __future__ import annotations

import socket
import struct

import numpy as np
import pytest

from tddfa_ros.avatar import ARKIT_NAMES, AvatarFrame, LiveLinkSender
from tddfa_ros.avatar.livelink import decode, encode
from tddfa_ros.errors import ConfigError


def test_packet_matches_recorded_bytes(frame: AvatarFrame) -> None:
    packet = encode(frame, subject="Ada", device="dev")
    assert packet[0] == 6
    assert packet[1:8] == b"\x00\x00\x00\x03dev"
    assert packet[8:15] == b"\x00\x00\x00\x03Ada"
    # 3725.5 s since midnight at 60 per second
    assert packet[15:31] == struct.pack(">ifii", 223530, 0.0, 60, 1)
    assert packet[31] == 61 and len(packet) == 32 + 4 * 61
    assert packet[32:36] == struct.pack(">f", 1.0), "eyeBlinkLeft is the first"
    jaw = 32 + 4 * 17
    assert packet[jaw : jaw + 4] == struct.pack(">f", frame.blendshapes[17])
    head = struct.unpack(">3f", packet[32 + 4 * 52 : 32 + 4 * 55])
    np.testing.assert_allclose(np.degrees(head), [20, 10, 5], rtol=1e-5)


def test_eye_rotation_follows_blend_shapes(frame: AvatarFrame) -> None:
    shapes = np.zeros(52, np.float32)
    # gaze to the person's left, and down
    for name in ("eyeLookOutLeft", "eyeLookInRight"):
        shapes[ARKIT_NAMES.index(name)] = 0.5
    shapes[ARKIT_NAMES.index("eyeLookDownLeft")] = 1
    looking = AvatarFrame(0.0, "f1", shapes, frame.rotation, frame.position, np.zeros(3))
    angles = np.degrees(decode(encode(looking)).angles)
    np.testing.assert_allclose(angles, [0, 0, 0, 15, 30, 0, 15, 0, 0], atol=1e-4)


def test_socket_receives_packets(frame: AvatarFrame) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(20)
        sender = LiveLinkSender(f"127.0.0.1:{receiver.getsockname()[1]}")
        sender.send([frame])
        packet = decode(receiver.recv(4096))
        sender.close()
    assert (packet.device, packet.subject) == ("tddfa_ros", "f3")
    assert packet.seconds == pytest.approx(3725.5)
    np.testing.assert_array_equal(packet.blendshapes, frame.blendshapes)


def test_non_ascii_names(frame: AvatarFrame) -> None:
    assert decode(encode(frame, subject="Müller 顔")).subject == "Müller 顔"


def test_rejects_invalid_packets(frame: AvatarFrame) -> None:
    whole = encode(frame)
    for broken in (b"", whole[:1], whole[:20], whole[:-1], whole + b"x", b"\x05" + whole[1:]):
        with pytest.raises(ConfigError, match="Live Link Face packet"):
            decode(broken)
    with pytest.raises(ConfigError, match="not a complete Live Link Face packet"):
        decode(whole[:1] + b"\xff\xff\xff\xff" + whole[5:])


def test_sends_without_receiver(frame: AvatarFrame) -> None:
    sender = LiveLinkSender("9")
    for _ in range(3):
        sender.send([frame])
    sender.close()


def test_tracks_are_subjects(frame: AvatarFrame) -> None:
    other = AvatarFrame(1.0, "f9", frame.blendshapes, frame.rotation, frame.position, frame.yaw_pitch_roll)  # fmt: skip
    for subject, wanted in (("", ["f3", "f9"]), ("Ada", ["Ada"])):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("127.0.0.1", 0))
            receiver.settimeout(20)
            sender = LiveLinkSender(f"127.0.0.1:{receiver.getsockname()[1]}", subject)
            sender.send([frame, other])
            heard = [decode(receiver.recv(4096)).subject for _ in wanted]
            receiver.settimeout(0.2)
            with pytest.raises(TimeoutError):
                receiver.recv(4096)
            sender.close()
        assert heard == wanted
