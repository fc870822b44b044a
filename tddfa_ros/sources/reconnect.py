"""Open a camera or stream again after it has stopped delivering."""

from __future__ import annotations

from collections.abc import Callable

from tddfa_ros.errors import SourceError
from tddfa_ros.sources.base import Frame, ImageSource

FIRST_DELAY, MAX_DELAY = 1.0, 30.0
"""Seconds before the first attempt to open a source again; doubled after each failure, up to the maximum."""


class ReconnectingSource:
    """A live source that is opened again, with back-off, when it stops delivering.

    Args:
        source: the open source.
        reopen: opens it again; raises SourceError while it is not there.
        wait: waits for so many seconds; returns True to end the source instead.
        on_change: called with one sentence when the source is lost and when it is back.

    Attributes:
        rate: of the source.
        problem: why no frames are delivered; empty while they are.
    """

    def __init__(
        self,
        source: ImageSource,
        reopen: Callable[[], ImageSource],
        wait: Callable[[float], bool],
        on_change: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.rate = source.rate
        self.problem = ""
        self._source = source
        self._reopen, self._wait, self._on_change = reopen, wait, on_change
        self._open = True
        self._delay = FIRST_DELAY

    def read(self, seconds: float) -> Frame | None:
        """Wait for the next frame, however long the source is gone; see :meth:`ImageSource.read`."""
        while True:
            try:
                if not self._open:
                    self._source, self._open = self._reopen(), True
                frame = self._source.read(seconds)
            except SourceError as error:
                self._lose(str(error))
                if self._wait(self._delay):
                    return None
                self._delay = min(2 * self._delay, MAX_DELAY)
                continue
            if self.problem:
                self._on_change("the source delivers frames again")
            self.problem, self._delay = "", FIRST_DELAY
            return frame

    def close(self) -> None:
        """Release the source."""
        if self._open:
            self._source.close()
            self._open = False

    def _lose(self, reason: str) -> None:
        self.close()
        if not self.problem:
            self._on_change(
                f"{reason}; it is opened again after {FIRST_DELAY:g} s, later after up to {MAX_DELAY:g} s"
            )
        self.problem = reason
