"""Console scripts of the nodes: a clean end from the very first instant, then the node's own ``main``.

Loading NumPy, OpenCV, ONNX Runtime and rclpy takes about a second, longer on a busy robot. A SIGINT in that time, for example
from a launch file that was started by mistake, would otherwise end in a traceback from the middle of an import. So
nothing heavy is imported here before the handlers are in place.
"""

from __future__ import annotations

import contextlib
import os
import signal
from importlib import import_module
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def face_node() -> None:
    """Console script ``face_node``."""
    _start("face_node")


def smoothing_node() -> None:
    """Console script ``smoothing_node``."""
    _start("smoothing_node")


def visualization_node() -> None:
    """Console script ``visualization_node``."""
    _start("visualization_node")


def avatar_node() -> None:
    """Console script ``avatar_node``."""
    _start("avatar_node")


def hri_node() -> None:
    """Console script ``hri_node``."""
    _start("hri_node")


def image_source_node() -> None:
    """Console script ``image_source_node``."""
    _start("image_source_node")


def face_system() -> None:
    """Console script ``face_system``."""
    _start("face_system")


def release_signals() -> None:
    """Give the signals back to Python, where a console script took them; other programs' handlers stay as they are."""
    defaults: tuple[Any, ...] = (signal.default_int_handler, signal.SIG_DFL)
    for number, handler in zip(_SIGNALS, defaults, strict=True):
        if signal.getsignal(number) is _leave:
            signal.signal(number, handler)


def _start(module: str) -> None:
    with contextlib.suppress(ValueError):  # not in the main thread
        for number in _SIGNALS:
            signal.signal(number, _leave)
    import_module(f"tddfa_ros.nodes.{module}").main()


def _leave(*_: Any) -> None:
    # Not sys.exit: an exception may surface in a callback of the import machinery, which prints and swallows it. Nothing
    # has been opened yet that would need closing.
    os._exit(0)
