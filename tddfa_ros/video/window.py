"""A window that shows pictures as they are made, where there is a display and OpenCV can open windows."""

from __future__ import annotations

import os
import re
import sys

import cv2

from tddfa_ros.errors import DeviceError
from tddfa_ros.types import ImageBGR

_STOP_KEYS = (ord("q"), 27)  # 27: Escape


class LiveWindow:
    """A window; ``q``, Escape or its close button end the showing.

    Raises:
        DeviceError: there is no display, or this OpenCV has no windows.
    """

    def __init__(self, title: str) -> None:
        reason = why_no_window()
        if reason is not None:
            raise DeviceError(reason)
        self._title = title
        self._opened = False
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)

    def show(self, image: ImageBGR) -> bool:
        """Show a picture; False when the user wants to end."""
        if not self._opened:
            # Once: from here on its size is the user's.
            cv2.resizeWindow(self._title, image.shape[1], image.shape[0])
            self._opened = True
        cv2.imshow(self._title, image)
        key = cv2.waitKey(1) & 0xFF
        return (
            key not in _STOP_KEYS and cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) > 0
        )


def why_no_window() -> str | None:
    """One sentence on why no window can be opened here; None where one can."""
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not display:
        return "there is no display to show a window on"
    gui = re.search(r"GUI:\s*(\S+)", cv2.getBuildInformation())
    if gui is not None and gui[1] == "NONE":
        return "this OpenCV has no windows: install opencv-python in the place of opencv-python-headless"
    return None
