"""Check of the stamps of a stream: late messages, stamps that do not advance, and jumps back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from builtin_interfaces.msg import Time

from tddfa_ros.nodes.convert.messages import NANOSECONDS, stamp_ns
from tddfa_ros.types import LATE_S

LATE_NS = round(LATE_S * NANOSECONDS)

REPEATS = 3
"""Consecutive repetitions of a stamp after which stamps count as not advancing; until then they are duplicates."""

RECOVERY = 3
"""Consecutive advancing stamps after which they are used again."""

STANDING_STAMPS = "stamps do not advance: using the receive clock"


class StampCheck:
    """Decides for each message of a stream whether it is late, and which stamp it gets.

    - A message older than the newest one by less than a second, or with the same stamp, is late or a duplicate and is dropped.
    - A larger jump back is accepted; the receiver starts anew.
    - Stamps that do not advance, zero or constant, are replaced by the receive clock, which is made to advance, until they do again.

    Args:
        clock: clock of the node, ns. While it is zero (simulated time without /clock) the system clock is used.

    Attributes:
        late: number of dropped messages.
        standing: whether the stamps do not advance.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self.late = 0
        self.standing = False
        self._clock = clock
        self._newest: int | None = None
        self._repeats = 0
        self._advances = 0
        self._given = 0

    def check(self, stamp: int) -> int | None:
        """Return the stamp of a message, ns, to be used for ``stamp``, ns; None when the message is to be dropped."""
        step = None if self._newest is None else stamp - self._newest
        dropped = False
        if step is None or step > 0 or step <= -LATE_NS:
            self._newest, self._repeats = stamp, 0
            self._advances += 1
            if stamp > 0 and self._advances >= RECOVERY:
                self.standing = False
        elif step == 0:
            self._repeats += 1
            self._advances = 0
            self.standing = self.standing or self._repeats >= REPEATS
            dropped = True
        else:
            dropped = True
        if stamp <= 0:  # not set
            self.standing, self._advances = True, 0
        if self.standing:
            now = self._clock() or time.time_ns()
            self._given = max(now, self._given + 1)
            return self._given
        if dropped:
            self.late += 1
            return None
        self._given = stamp
        return stamp

    def accept(self, message: Any) -> bool:
        """Check a message with a header and replace its stamp if stamps do not advance; return False when it is to be dropped."""
        received = stamp_ns(message.header.stamp)
        stamp = self.check(received)
        if stamp is None:
            return False
        if stamp != received:
            seconds, nanoseconds = divmod(stamp, NANOSECONDS)
            message.header.stamp = Time(sec=seconds, nanosec=nanoseconds)
        return True
