"""Graceful stop on Ctrl-C: finish the current step, then stop."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class StopRequest:
    """Context manager in which the first SIGINT or SIGTERM sets :attr:`requested` and the second raises KeyboardInterrupt.

    Python delivers signals to the main thread only; in other threads :attr:`requested` stays False.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


def ignore_interrupts(worker: int) -> None:
    """Ignore SIGINT in a data-loading worker: the terminal sends it to all processes, but the trainer ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
