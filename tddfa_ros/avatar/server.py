"""Web server with a page that shows the avatar; frames are sent over web sockets."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tddfa_ros.avatar.frame import AvatarFrame
from tddfa_ros.avatar.head import head_glb
from tddfa_ros.avatar.jsonl import to_line
from tddfa_ros.avatar.rig import read_rig
from tddfa_ros.errors import ConfigError, TddfaError
from tddfa_ros.morphable.model import MorphableModel

PAGE = Path(__file__).with_name("web")
_SECONDS_TO_START = 10.0


class AvatarServer:
    """Serves the page, the avatar (``/head.glb``), and the faces of each
    image as a JSON array (``/frames``, a web socket for this page alone).

    Runs in its own thread. A slow browser drops frames and delays neither other browsers nor the caller.

    Args:
        model: morphable model whose mean head is shown without ``rig``.
        port: TCP port; 0 = any free one.
        host: interface; this machine only by default, ``0.0.0.0`` for all.
        three: folder of three.js; see :func:`find_three`.
        rig: GLB file of the avatar to show, with morph targets named like ARKit's blend shapes.

    Attributes:
        url: URL of the page.

    Raises:
        TddfaError: aiohttp or pygltflib is not installed, or three.js is missing.
        ConfigError: the port or the GLB file cannot be used.
    """

    def __init__(
        self,
        model: MorphableModel,
        port: int = 0,
        host: str = "127.0.0.1",
        three: Path | None = None,
        rig: Path | None = None,
    ) -> None:
        if find_spec("aiohttp") is None:
            raise TddfaError(
                "the page needs aiohttp: install the extra 'avatar' (pip install aiohttp)"
            )
        self._folders: Mapping[str, Path] = {"/three": find_three(three), "/": PAGE}
        self._head = head_glb(model) if rig is None else read_rig(rig)
        self._host, self._port = host, port
        self._clients: set[_Client] = set()
        self._loop = asyncio.new_event_loop()
        self._runner: Any = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="avatar", daemon=True)
        self._thread.start()
        started = asyncio.run_coroutine_threadsafe(self._start(), self._loop)
        try:
            self._port = started.result(_SECONDS_TO_START)
        except OSError as error:
            self._end_thread()
            raise ConfigError(f"port {port} of {host} cannot be used: {error.strerror}") from error

    @property
    def url(self) -> str:
        """URL of the page."""
        return f"http://{self._host}:{self._port}/"

    @property
    def clients(self) -> int:
        """Number of connected pages."""
        return len(self._clients)

    def send(self, frames: Sequence[AvatarFrame]) -> None:
        """See :class:`Receiver`."""
        if not self._clients:
            return
        text = f"[{', '.join(map(to_line, frames))}]"
        self._loop.call_soon_threadsafe(self._spread, text)

    def close(self) -> None:
        """See :class:`Receiver`."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(_SECONDS_TO_START)
            self._end_thread()

    def _spread(self, text: str) -> None:
        for client in self._clients:
            client.offer(text)

    async def _start(self) -> int:
        from aiohttp import web

        application = web.Application()
        application.router.add_get("/frames", self._serve_frames)
        application.router.add_get("/head.glb", self._serve_head)
        application.router.add_get("/", self._serve_page)
        for prefix, folder in self._folders.items():
            application.router.add_static(prefix, folder)
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        return int(self._runner.addresses[0][1])

    async def _stop(self) -> None:
        for client in list(self._clients):
            await client.close()
        await self._runner.cleanup()

    def _end_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve_page(self, _: Any) -> Any:
        from aiohttp import web

        return web.FileResponse(PAGE / "index.html")

    async def _serve_head(self, _: Any) -> Any:
        from aiohttp import web

        return web.Response(body=self._head, content_type="model/gltf-binary")

    async def _serve_frames(self, request: Any) -> Any:
        from aiohttp import web

        origin = request.headers.get("Origin", "")
        if origin and urlsplit(origin).netloc != request.host:
            # Any page open in a browser can send requests; faces are only for pages of this server.
            raise web.HTTPForbidden
        socket = web.WebSocketResponse(heartbeat=20.0)
        await socket.prepare(request)
        client = _Client(socket)
        self._clients.add(client)
        sending = asyncio.ensure_future(client.run())
        try:
            async for _ in socket:  # until the page disconnects
                pass
        finally:
            self._clients.discard(client)
            sending.cancel()
        return socket


class _Client:
    """One connected page: the newest faces not sent yet."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._newest = ""
        self._fresh = asyncio.Event()

    def offer(self, text: str) -> None:
        self._newest = text
        self._fresh.set()

    async def run(self) -> None:
        while not self._socket.closed:
            await self._fresh.wait()
            self._fresh.clear()
            try:
                await self._socket.send_str(self._newest)
            except (ConnectionError, RuntimeError):  # disconnected meanwhile
                return

    async def close(self) -> None:
        await self._socket.close()


def find_three(folder: Path | None = None) -> Path:
    """Find the folder of three.js from ``npm install three``: the given one, in ``$TDDFA_NODE_MODULES``, or in ``node_modules`` here.

    Raises:
        TddfaError: it is not found.
    """
    modules = Path(os.environ.get("TDDFA_NODE_MODULES", "node_modules"))
    chosen = folder if folder is not None else modules / "three"
    if not (chosen / "build" / "three.module.js").is_file():
        raise TddfaError(
            f"the page needs three.js, which is not in {chosen}: run 'npm install three' here, or say where it is"
        )
    return chosen.resolve()
