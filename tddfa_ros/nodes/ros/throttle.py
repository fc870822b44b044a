"""Throttled logging for messages that could repeat every frame."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import Any

from tddfa_ros.errors import TddfaError


class ThrottledLog:
    """Logger that writes each kind of message at most once per ``period``, with the number of suppressed repetitions.

    Args:
        logger: logger of a node.
        period: minimum interval between messages of a kind, s.
        clock: monotonic clock, s.
    """

    def __init__(
        self,
        logger: Any,
        period: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logger = logger
        self._period = period
        self._clock = clock
        self._lock = threading.Lock()
        self._last: dict[str, float] = {}
        self._held: dict[str, int] = {}

    def error(self, kind: str, message: str) -> bool:
        """Log an error of a kind (any key); return whether it was written."""
        return self._write("error", kind, message)

    def warning(self, kind: str, message: str) -> bool:
        """Log a warning of a kind (any key); return whether it was written."""
        return self._write("warning", kind, message)

    def once(self, kind: str, message: str) -> bool:
        """Log an info message of a kind once; return whether it was written."""
        if not self._is_new(kind):
            return False
        self._logger.info(message)
        return True

    def warning_once(self, message: str) -> bool:
        """Log a warning once; return whether it was written."""
        if not self._is_new(message):
            return False
        self._logger.warning(message)
        return True

    def exception(self, doing: str, error: Exception) -> bool:
        """Log an exception raised while ``doing`` something, such as ``"processing an image"``; return whether it was written.

        The message of a :class:`TddfaError` is logged as it is; any other exception is a bug and logged with its type.
        """
        if isinstance(error, TddfaError):
            # Ignore numbers in the kind: sizes and counts vary from frame to frame.
            return self.error(re.sub(r"[\d.]+", "#", f"{doing}:{error}"), str(error))
        kind = type(error).__name__
        return self.error(f"{doing}:{kind}", f"unexpected {kind} while {doing}: {error}")

    def _is_new(self, kind: str) -> bool:
        with self._lock:
            if kind in self._last:
                return False
            self._last[kind] = self._clock()
            return True

    def _write(self, level: str, kind: str, message: str) -> bool:
        with self._lock:
            now = self._clock()
            last = self._last.get(kind)
            if last is not None and now - last < self._period:
                self._held[kind] = self._held.get(kind, 0) + 1
                return False
            self._last[kind] = now
            held = self._held.pop(kind, 0)
        suffix = f" (repeated {held} times since)" if held else ""
        # One call site per level: rclpy rejects a call site that changes its severity.
        if level == "error":
            self._logger.error(message + suffix)
        else:
            self._logger.warning(message + suffix)
        return True
