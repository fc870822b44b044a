"""A page in headless Chromium, asked over the DevTools protocol what it holds, and for its picture."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable
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
    """The program; skips the test where there is none."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        pytest.skip("there is no Chromium")
    return found


def three_folder(root: Path) -> Path:
    """three.js as npm installs it in the root of the repository or in ``$TDDFA_NODE_MODULES``; skips the test where it is not."""
    folder = Path(os.environ.get("TDDFA_NODE_MODULES", root / "node_modules")) / "three"
    if not (folder / "build" / "three.module.js").is_file():
        pytest.skip("three is not installed: npm install three")
    return folder


class Page:
    """One open page; a context manager that ends the browser."""

    def __init__(self, url: str, profile: Path, size: tuple[int, int] = (640, 480)) -> None:
        window = f"--window-size={size[0]},{size[1]}"
        command = [chromium(), *FLAGS, window, f"--user-data-dir={profile}", url]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        self._port_file = profile / "DevToolsActivePort"
        self._url = url
        self._target = ""

    def __enter__(self) -> Page:
        self.until(lambda: self._find_target(), "the browser did not open the page")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page; None where it throws."""
        answer = self._ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)  # fmt: skip
        return answer["result"].get("value") if "exceptionDetails" not in answer else None

    def picture(self) -> np.ndarray:
        """(H, W, 3) BGR as it looks now."""
        data = base64.b64decode(self._ask("Page.captureScreenshot", format="png")["data"])
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait for something to become true, and return it."""
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
