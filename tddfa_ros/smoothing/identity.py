"""Running mean of the identity coefficients of a track, which are constant for a person."""

from __future__ import annotations

from tddfa_ros.types import DoubleArray


class IdentityMean:
    """Mean of the identity coefficients of a track, weighted by inverse noise variance, confidence^2.

    Args:
        memory: upper limit of the sum of weights, in observations of confidence 1, so that a track recovers from a poor
            start: once it is reached, the influence of an observation decays by a factor e per ``memory`` observations.

    Attributes:
        mean: (S,) current estimate; None before the first observation.
    """

    def __init__(self, memory: float) -> None:
        self._memory = memory
        self._total = 0.0
        self.mean: DoubleArray | None = None

    def update(self, shape: DoubleArray, weight: float) -> DoubleArray:
        """Add an observation (S,) with confidence ``weight`` in (0, 1] and return the mean (S,)."""
        square = weight * weight
        self._total = min(self._total + square, self._memory)
        if self.mean is None:
            self.mean = shape.copy()
        else:
            self.mean = self.mean + min(1.0, square / self._total) * (shape - self.mean)
        return self.mean
