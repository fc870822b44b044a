"""What ``hri_node`` remembers of faces from picture to picture; no ROS in here."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from tddfa_ros.attributes.estimate import Attributes
from tddfa_ros.types import FloatArray


class Presence:
    """Which faces are there: one that a few pictures do not show has not left, for its track may go on.

    Args:
        timeout: seconds of the pictures' stamps for which a face may be missing.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._seen: dict[str, float] = {}

    def update(self, ids: Collection[str], stamp: float) -> list[str]:
        """The faces that are there, longest first, when the picture of ``stamp`` (seconds) shows ``ids``; a stamp that goes back starts anew."""
        kept = {f: t for f, t in self._seen.items() if 0 <= stamp - t <= self.timeout}
        self._seen = kept | dict.fromkeys(ids, stamp)
        return list(self._seen)

    def clear(self) -> None:
        """All are gone."""
        self._seen = {}


class _Looks(NamedTuple):
    stamp: float
    count: int
    age: FloatArray
    feminine: float


class Estimates:
    """Age and gender presentation of each face, as the mean over all looks at it.

    A person stays the same while a small network changes its mind from picture to picture.
    """

    def __init__(self) -> None:
        self._looks: dict[str, _Looks] = {}

    def due(self, face: str, stamp: float, rate: float) -> bool:
        """Whether a face may be looked at again, at most ``rate`` times a second of the stamps; one that goes back counts as due."""
        looks = self._looks.get(face)
        return looks is None or not 0 <= stamp - looks.stamp < 1 / rate

    def add(self, face: str, stamp: float, age: FloatArray, feminine: float) -> Attributes:
        """Take what one look told, (101,) probabilities of ages and that of feminine; the mean so far."""
        looks = self._looks.get(face)
        count = looks.count + 1 if looks else 1
        if looks:
            age = looks.age + (age - looks.age) / count
            feminine = looks.feminine + (feminine - looks.feminine) / count
        self._looks[face] = _Looks(stamp, count, age, feminine)
        return Attributes(age, feminine, None)

    def keep(self, faces: Collection[str]) -> None:
        """Forget all others."""
        self._looks = {face: looks for face, looks in self._looks.items() if face in faces}
