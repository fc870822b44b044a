"""Throttled logging for messages that could repeat every frame."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from tddfa_ros.errors import TddfaError
from tddfa_ros.names import printable

_MAX_KINDS = 256
_MAX_CHARACTERS = 2000


class ThrottledLog:
    """Logger that writes each kind of message at most once per ``period``, with the number of suppressed repetitions.

    Control characters are escaped and long messages cut, because messages quote strings from the network. Text from the network must not
    be part of a kind: a sender could then fill the log. At most 256 kinds are told apart, all others are one.

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
        self._logger.info(_shown(message))
        return True

    def warning_once(self, message: str) -> bool:
        """Log a warning of this package's own wording once; return whether it was written."""
        if not self._is_new(message):
            return False
        self._logger.warning(_shown(message))
        return True

    def exception(self, doing: str, error: Exception) -> bool:
        """Log an exception raised while ``doing`` something, such as ``"processing an image"``; return whether it was written.

        The message of a :class:`TddfaError` is logged as it is; any other exception is a bug and logged with its type. Exceptions of one
        type, raised at one place in the code, are of one kind, whatever their messages.
        """
        name = type(error).__name__
        kind = f"{doing}:{name}:{_origin(error)}"
        if isinstance(error, TddfaError):
            return self.error(kind, str(error))
        return self.error(kind, f"unexpected {name} while {doing}: {error}")

    def _is_new(self, kind: str) -> bool:
        with self._lock:
            kind = self._known(kind)
            if kind in self._last:
                return False
            self._last[kind] = self._clock()
            return True

    def _write(self, level: str, kind: str, message: str) -> bool:
        with self._lock:
            now = self._clock()
            kind = self._known(kind)
            last = self._last.get(kind)
            if last is not None and now - last < self._period:
                self._held[kind] = self._held.get(kind, 0) + 1
                return False
            self._last[kind] = now
            held = self._held.pop(kind, 0)
        message = _shown(message)
        suffix = f" (repeated {held} times since)" if held else ""
        # One call site per level: rclpy rejects a call site that changes its severity.
        if level == "error":
            self._logger.error(message + suffix)
        else:
            self._logger.warning(message + suffix)
        return True

    def _known(self, kind: str) -> str:
        return kind if kind in self._last or len(self._last) < _MAX_KINDS else ""


def _shown(message: str) -> str:
    return printable(message, _MAX_CHARACTERS)


def _origin(error: BaseException) -> str:
    """Return the place in the code where an exception was raised; empty if it was not."""
    trace = error.__traceback__
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
