"""Finding the picture that a set of faces was computed from: both arrive on their own, in either order."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any


class StampMatcher:
    """Pairs two streams of messages by equal stamps.

    Keeps up to ``size`` unpaired messages of each stream; when more come, the oldest to arrive goes. Whatever is older in
    arrival than a pair is forgotten with it, because results come in the order of the pictures.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._streams: tuple[OrderedDict[int, Any], OrderedDict[int, Any]] = (
            OrderedDict(),
            OrderedDict(),
        )

    def add(self, stream: int, stamp: int, message: Any) -> tuple[Any, Any] | None:
        """Add a message of stream 0 or 1 with a stamp in nanoseconds; the pair, when it is complete."""
        own, other = self._streams[stream], self._streams[1 - stream]
        if stamp not in other:
            own[stamp] = message
            own.move_to_end(stamp)
            while len(own) > self.size:
                own.popitem(last=False)
            return None
        partner = other[stamp]
        while next(iter(other)) != stamp:
            other.popitem(last=False)
        del other[stamp]
        return (message, partner) if stream == 0 else (partner, message)

    def clear(self) -> None:
        """Forget everything."""
        for stream in self._streams:
            stream.clear()
