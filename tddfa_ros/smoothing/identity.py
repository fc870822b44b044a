"""The identity of a face over time: a skull does not change, so its best estimate is a mean."""

from __future__ import annotations

from tddfa_ros.types import DoubleArray


class IdentityMean:
    """Mean of all identity coefficients of a track, each weighted with the inverse of its noise variance, confidence^2.

    Args:
        memory: in fully confident observations. The sum of weights stops growing there, so that a track that began with a bad
            view recovers: from then on, an observation loses a factor e of its influence every ``memory`` observations.
    """

    def __init__(self, memory: float) -> None:
        self._memory = memory
        self._total = 0.0
        self.mean: DoubleArray | None = None
        """(S,) current estimate; None before the first observation."""

    def update(self, shape: DoubleArray, weight: float) -> DoubleArray:
        """Take an observation (S,) with confidence ``weight`` in (0, 1] and return the mean."""
        square = weight * weight
        self._total = min(self._total + square, self._memory)
        if self.mean is None:
            self.mean = shape.copy()
        else:
            self.mean = self.mean + min(1.0, square / self._total) * (shape - self.mean)
        return self.mean
