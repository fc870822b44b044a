"""Show frames in a window while they are processed (OpenCV highgui)."""

from __future__ import annotations

import os
import re
import sys

import cv2

from tddfa_ros.errors import DeviceError
from tddfa_ros.types import ImageBGR

_STOP_KEYS = (ord("q"), 27)  # 27: Escape


class LiveWindow:
    """A window for frames; ``q``, Escape or the close button end the run.

    Raises:
        DeviceError: there is no display, or OpenCV was built without highgui.
    """

    def __init__(self, title: str) -> None:
        reason = why_no_window()
        if reason is not None:
            raise DeviceError(reason)
        self._title = title
        self._opened = False
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)

    def show(self, image: ImageBGR) -> bool:
        """Show a frame (H, W, 3) uint8 BGR; return False once the user closes the window."""
        if not self._opened:
            # Only once: afterwards the user may resize it.
            cv2.resizeWindow(self._title, image.shape[1], image.shape[0])
            self._opened = True
        cv2.imshow(self._title, image)
        key = cv2.waitKey(1) & 0xFF
        return (
            key not in _STOP_KEYS and cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) > 0
        )


def why_no_window() -> str | None:
    """Return why no window can be opened, in one sentence; None if it can."""
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not display:
        return "there is no display to show a window on"
    gui = re.search(r"GUI:\s*(\S+)", cv2.getBuildInformation())
    if gui is not None and gui[1] == "NONE":
        return "this OpenCV cannot open windows: replace opencv-python-headless by opencv-python"
    return None
