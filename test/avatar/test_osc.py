"""OSC packets as received by the server of python-osc."""

from __future__ import annotations

import threading
from collections import defaultdict

import numpy as np
import pytest

pytest.importorskip("pythonosc", reason="python-osc is not installed")

from pythonosc.dispatcher import Dispatcher
from pythonosc.osc_server import BlockingOSCUDPServer

from tddfa_ros.avatar import ARKIT_NAMES, AvatarFrame, VmcSender
from tddfa_ros.errors import ConfigError
from tddfa_ros.geometry.rotation import rotation_from_quaternion


def test_vmc_receiver_decodes_messages(frame: AvatarFrame) -> None:
    heard: dict[str, list[tuple]] = defaultdict(list)
    order: list[str] = []
    done = threading.Event()

    def listen(path: str, *values: object) -> None:
        order.append(path)
        heard[path].append(values)
        if path == "/VMC/Ext/Bone/Pos":
            done.set()

    dispatcher = Dispatcher()
    dispatcher.set_default_handler(listen)
    with BlockingOSCUDPServer(("127.0.0.1", 0), dispatcher) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sender = VmcSender(f"127.0.0.1:{server.server_address[1]}")
        sender.send([frame])
        assert done.wait(20)
        sender.close()
        server.shutdown()
    values = dict(heard["/VMC/Ext/Blend/Val"])
    assert len(values) == 52 and values["EyeBlinkLeft"] == 1
    for name, value in zip(ARKIT_NAMES, frame.blendshapes, strict=True):
        assert values[name[0].upper() + name[1:]] == pytest.approx(value)
    assert order.index("/VMC/Ext/Blend/Apply") > max(i for i, p in enumerate(order) if p.endswith("Val"))  # fmt: skip
    assert heard["/VMC/Ext/OK"] == [(1,)]
    assert heard["/VMC/Ext/T"][0][0] == pytest.approx(3725.5)
    (bone,) = heard["/VMC/Ext/Bone/Pos"]
    assert bone[0] == "Head"
    np.testing.assert_allclose(bone[1:4], [-0.1, -0.05, -0.5], rtol=1e-6)
    # the same rotation in axes with x inverted
    flip = np.diag([-1.0, 1, 1])
    wanted = flip @ rotation_from_quaternion(frame.rotation) @ flip
    np.testing.assert_allclose(rotation_from_quaternion(np.array(bone[4:])), wanted, atol=1e-6)


def test_sends_without_receiver(frame: AvatarFrame) -> None:
    sender = VmcSender("127.0.0.1:9")
    for _ in range(3):
        sender.send([frame])
    sender.close()


@pytest.mark.parametrize("target", ["here", "127.0.0.1:", "127.0.0.1:port", "127.0.0.1:99999"])
def test_rejects_invalid_addresses(target: str) -> None:
    with pytest.raises(ConfigError, match="HOST:PORT"):
        VmcSender(target)
