"""Drive headless Chromium over the DevTools protocol; show GLB files in three.js."""

from __future__ import annotations

import asyncio
import base64
import http.server
import json
import os
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-first-run"),
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--remote-debugging-port=0"),
)
TIMEOUT = float(os.environ.get("TDDFA_BROWSER_TIMEOUT", "180"))


def chromium() -> str:
    """Return the path of Chromium; skip the test if it is not installed."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        pytest.skip("there is no Chromium")
    return found


def three_folder(root: Path) -> Path:
    """Return the folder of three.js in ``node_modules`` or ``$TDDFA_NODE_MODULES``; skip the test if it is not installed."""
    folder = Path(os.environ.get("TDDFA_NODE_MODULES", root / "node_modules")) / "three"
    if not (folder / "build" / "three.module.js").is_file():
        pytest.skip("three is not installed: npm install three")
    return folder


class Page:
    """An open page; a context manager that stops the browser."""

    def __init__(self, url: str, profile: Path, size: tuple[int, int] = (640, 480)) -> None:
        profile = profile.resolve()
        window = f"--window-size={size[0]},{size[1]}"
        command = [chromium(), *FLAGS, window, f"--user-data-dir={profile}", url]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        self._port_file = profile / "DevToolsActivePort"
        self._url = url
        self._target = ""

    def __enter__(self) -> Page:
        try:
            self.until(lambda: self._find_target(), "the browser did not open the page")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)

    def evaluate(self, expression: str) -> Any:
        """Evaluate a JavaScript expression in the page; return None if it throws."""
        answer = self._ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)  # fmt: skip
        return answer["result"].get("value") if "exceptionDetails" not in answer else None

    def screenshot(self) -> np.ndarray:
        """Take a screenshot, (H, W, 3) BGR."""
        data = base64.b64decode(self._ask("Page.captureScreenshot", format="png")["data"])
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait until a condition is true, and return its value."""
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            time.sleep(0.2)
        raise AssertionError(f"{what} within {TIMEOUT:.0f} s")

    def _find_target(self) -> bool:
        if not self._port_file.is_file() or not (lines := self._port_file.read_text().split()):
            return False
        with urllib.request.urlopen(f"http://127.0.0.1:{lines[0]}/json/list", timeout=20) as answer:
            targets = json.load(answer)
        pages = [t for t in targets if t["type"] == "page" and t["url"].startswith(self._url)]
        self._target = pages[0]["webSocketDebuggerUrl"] if pages else ""
        return bool(pages)

    def _ask(self, method: str, **parameters: Any) -> Any:
        return asyncio.run(_ask(self._target, method, parameters))


async def _ask(target: str, method: str, parameters: dict[str, Any]) -> Any:
    import aiohttp

    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(target, max_msg_size=0) as socket,
    ):
        await socket.send_json({"id": 1, "method": method, "params": parameters})
        while True:
            answer = await socket.receive_json(timeout=60)
            if answer.get("id") == 1:
                assert "error" not in answer, answer
                return answer["result"]


# -- a GLB -----------------------------------------------------------------------------------------------------------

VIEWER = Path(__file__).with_name("viewer.html")


def show_glb(three: Path, folder: Path, query: str = "") -> tuple[dict[str, Any], np.ndarray]:
    """Show ``face.glb`` of a folder; return the report of :data:`VIEWER` and a screenshot (480, 480, 3) BGR. ``query``: ``jawOpen=1&...``."""
    shutil.copy(VIEWER, folder / "index.html")
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(_Handler, directory=str(folder))
    )
    server.three, server.reports, server.done = three, {}, threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/?{query}"
    command = [chromium(), *FLAGS, "--window-size=480,480", f"--user-data-dir={folder / 'profile'}", address]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert server.done.wait(TIMEOUT), f"the page did not report; it sent {list(server.reports)}"
    finally:
        process.terminate()
        process.wait(30)
        server.shutdown()
    report = json.loads(server.reports["report"])
    assert "error" not in report, report["error"]
    image = cv2.imdecode(np.frombuffer(server.reports["image"], np.uint8), cv2.IMREAD_COLOR)
    return report, image


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serve the page, three.js and the GLB file; receive the report of the page."""

    def translate_path(self, path: str) -> str:
        first, _, rest = path.lstrip("/").partition("/")
        if first == "three":
            return str(self.server.three / rest)
        return super().translate_path(path)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.reports[self.path.strip("/")] = body
        self.send_response(204)
        self.end_headers()
        if self.path == "/report":
            self.server.done.set()

    def log_message(self, *_: object) -> None:
        pass
