"""State of ``hri_node`` across images, without ROS: present faces, and averaged attribute estimates."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from tddfa_ros.attributes.estimate import Attributes
from tddfa_ros.types import FloatArray


class Presence:
    """Tracks which faces are present; a face may be missing for a while, because its track may recover.

    Args:
        timeout: maximum time without the face, s of the image stamps.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._seen: dict[str, float] = {}

    def update(self, ids: Collection[str], stamp: float) -> list[str]:
        """Update with the track IDs of an image and its stamp (s); return the present IDs, oldest first. A stamp that goes back resets."""
        kept = {f: t for f, t in self._seen.items() if 0 <= stamp - t <= self.timeout}
        self._seen = kept | dict.fromkeys(ids, stamp)
        return list(self._seen)

    def clear(self) -> None:
        """Remove all faces."""
        self._seen = {}


class _Mean(NamedTuple):
    stamp: float
    observations: int
    age: FloatArray
    feminine: float


class Estimates:
    """Running mean of age and gender presentation per face, because single estimates of a small network vary."""

    def __init__(self) -> None:
        self._means: dict[str, _Mean] = {}

    def due(self, face: str, stamp: float, rate: float) -> bool:
        """Return whether a face is due for an estimate at ``rate`` Hz of the stamps; after a stamp that goes back it is."""
        mean = self._means.get(face)
        return mean is None or not 0 <= stamp - mean.stamp < 1 / rate

    def add(self, face: str, stamp: float, age: FloatArray, feminine: float) -> Attributes:
        """Add an estimate: age probabilities (101,) and the probability of a feminine presentation; return the mean."""
        mean = self._means.get(face)
        count = mean.observations + 1 if mean else 1
        if mean:
            age = (mean.age + (age - mean.age) / count).astype(np.float32)
            feminine = mean.feminine + (feminine - mean.feminine) / count
        self._means[face] = _Mean(stamp, count, age, feminine)
        return Attributes(age, feminine, None)

    def keep(self, faces: Collection[str]) -> None:
        """Remove all other faces."""
        self._means = {face: mean for face, mean in self._means.items() if face in faces}
