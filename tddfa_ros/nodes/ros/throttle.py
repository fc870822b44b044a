"""Log lines that do not repeat every frame."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import Any

from tddfa_ros.errors import TddfaError


class ThrottledLog:
    """A node's log in which each kind of line appears once, and again at most every ``period`` seconds.

    A repeated line says how often it was held back meanwhile, so that a lasting fault stays visible without flooding.
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

    def error(self, kind: str, sentence: str) -> bool:
        """Log an error of a kind (any short key); True when the line was really written."""
        return self._write("error", kind, sentence)

    def warning(self, kind: str, sentence: str) -> bool:
        """Log a warning of a kind; True when the line was really written."""
        return self._write("warning", kind, sentence)

    def once(self, kind: str, sentence: str) -> bool:
        """Log an informational line the first time its kind comes up, and never again."""
        if not self._is_new(kind):
            return False
        self._logger.info(sentence)
        return True

    def warning_once(self, sentence: str) -> bool:
        """Log a warning the first time it comes up, and never again."""
        if not self._is_new(sentence):
            return False
        self._logger.warning(sentence)
        return True

    def exception(self, doing: str, error: Exception) -> bool:
        """Log what went wrong while ``doing`` something (for example ``"processing an image"``).

        A :class:`TddfaError` is a sentence already; anything else is named with its type, because it is a bug.
        """
        if isinstance(error, TddfaError):
            # Numbers vary from frame to frame (sizes, counts); the kind of failure does not.
            return self.error(re.sub(r"[\d.]+", "#", f"{doing}:{error}"), str(error))
        kind = type(error).__name__
        return self.error(f"{doing}:{kind}", f"unexpected {kind} while {doing}: {error}")

    def _is_new(self, kind: str) -> bool:
        with self._lock:
            if kind in self._last:
                return False
            self._last[kind] = self._clock()
            return True

    def _write(self, level: str, kind: str, sentence: str) -> bool:
        with self._lock:
            now = self._clock()
            last = self._last.get(kind)
            if last is not None and now - last < self._period:
                self._held[kind] = self._held.get(kind, 0) + 1
                return False
            self._last[kind] = now
            held = self._held.pop(kind, 0)
        suffix = f" (and {held} times more since)" if held else ""
        # One call site per level: rclpy refuses a logger call that changes its severity.
        if level == "error":
            self._logger.error(sentence + suffix)
        else:
            self._logger.warning(sentence + suffix)
        return True
