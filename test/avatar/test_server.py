"""Web server of the avatar page: content, origins, and slow clients."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("aiohttp", reason="aiohttp is not installed")
pytest.importorskip("pygltflib", reason="pygltflib is not installed")

import aiohttp
import numpy as np
from support.synthetic_model import synthetic_model

from tddfa_ros.avatar import ARKIT_NAMES, AvatarFrame, AvatarServer, to_line
from tddfa_ros.errors import ConfigError, TddfaError


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """A folder that looks like three.js."""
    (tmp_path / "three" / "build").mkdir(parents=True)
    (tmp_path / "three" / "build" / "three.module.js").write_text("// three")
    return tmp_path / "three"


@pytest.fixture
def server(three: Path) -> Iterator[AvatarServer]:
    running = AvatarServer(synthetic_model(), three=three)
    yield running
    running.close()


def fetch(url: str) -> tuple[int, str, bytes]:
    async def get() -> tuple[int, str, bytes]:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status, answer.content_type, await answer.read()

    return asyncio.run(get())


def test_serves_the_page_and_its_files(server: AvatarServer) -> None:
    assert server.url.startswith("http://127.0.0.1:")
    status, kind, page = fetch(server.url)
    assert (status, kind) == (200, "text/html") and b"/avatar.js" in page
    for path, wanted in (("avatar.js", "javascript"), ("style.css", "css"), ("three/build/three.module.js", "javascript")):  # fmt: skip
        status, kind, _ = fetch(server.url + path)
        assert status == 200 and wanted in kind, path
    status, kind, glb = fetch(server.url + "head.glb")
    assert (status, kind, glb[:4]) == (200, "model/gltf-binary", b"glTF")
    (length,) = struct.unpack_from("<I", glb, 12)
    document = json.loads(glb[20 : 20 + length])
    assert document["meshes"][0]["extras"]["targetNames"] == list(synthetic_model().expression_names)  # fmt: skip
    assert fetch(server.url + "../__init__.py")[0] == 404
    assert fetch(server.url + "three/../../secret")[0] == 404


def test_frames_arrive_as_json(server: AvatarServer, frame: AvatarFrame) -> None:
    async def listen() -> list:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(server.url + "frames") as connection,
        ):
            while not server.clients:
                await asyncio.sleep(0.01)
            server.send([frame])
            return await connection.receive_json(timeout=20)

    record = asyncio.run(listen())
    assert record == [json.loads(to_line(frame))]
    assert set(record[0]["blendshapes"]) == set(ARKIT_NAMES)


@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
def test_rejects_other_origins(server: AvatarServer, origin: str) -> None:
    async def listen(name: str) -> None:
        async with aiohttp.ClientSession() as session:
            await session.ws_connect(server.url + "frames", headers={"Origin": name})

    with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
        asyncio.run(listen(origin))
    asyncio.run(listen(server.url.rstrip("/")))


def test_slow_page_drops_frames_without_delay(server: AvatarServer, frame: AvatarFrame) -> None:
    port = int(server.url.rstrip("/").rpartition(":")[2])
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect(("127.0.0.1", port))
        key = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"  # fmt: skip
        lazy.sendall(f"GET /frames HTTP/1.1\r\nHost: x\r\n{key}\r\n".encode())
        wait_for(server, 1)

        async def listen() -> int:
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(server.url + "frames") as connection,
            ):
                while server.clients < 2:
                    await asyncio.sleep(0.01)
                for _ in range(3000):  # far more than the socket buffers hold
                    server.send([frame])
                last = AvatarFrame(9.0, "last", frame.blendshapes, frame.rotation, frame.position, frame.yaw_pitch_roll)  # fmt: skip
                server.send([last])
                count = 1
                while (await connection.receive_json(timeout=60))[0]["id"] != "last":
                    count += 1
                return count

        assert 0 < asyncio.run(listen()) <= 3001
    server.close()  # despite the slow page


def test_pages_connect_and_disconnect(server: AvatarServer, frame: AvatarFrame) -> None:
    async def visit() -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(server.url + "frames"),
        ):
            while not server.clients:
                await asyncio.sleep(0.01)

    for _ in range(3):
        asyncio.run(visit())
        wait_for(server, 0)
    server.send([frame])


def wait_for(server: AvatarServer, clients: int) -> None:
    end = time.monotonic() + 30
    while server.clients != clients:
        assert time.monotonic() < end, f"{server.clients} pages are connected, not {clients}"
        time.sleep(0.01)


def test_rejects_port_in_use(three: Path, server: AvatarServer) -> None:
    port = int(server.url.rstrip("/").rpartition(":")[2])
    with pytest.raises(ConfigError, match=f"port {port} of 127.0.0.1 cannot be used"):
        AvatarServer(synthetic_model(), port, three=three)


def test_missing_three_js_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TDDFA_NODE_MODULES", raising=False)
    with pytest.raises(TddfaError, match="npm install three"):
        AvatarServer(synthetic_model())


def test_head_eyes_face_forward() -> None:
    from tddfa_ros.avatar.head import vertex_colors
    from tddfa_ros.model_store.store import default_store
    from tddfa_ros.morphable import MorphableModel

    model = MorphableModel.load(default_store().path("tddfa-head"))
    colors = vertex_colors(model)
    for eye in ("left_eye", "right_eye"):
        ball = model.regions == model.region_names.index(eye)
        dark = ball & (colors.max(axis=1) < 0.5)
        assert 0.02 < dark.sum() / ball.sum() < 0.3
        assert model.mean[dark, 2].min() > np.percentile(model.mean[ball, 2], 70)
