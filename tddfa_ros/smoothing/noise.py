"""How noisy the measurements of a face are, learnt from the measurements themselves."""

from __future__ import annotations

import math

import numpy as np

from tddfa_ros.types import DoubleArray

MEMORY = 3.0
"""Seconds over which the estimate forgets."""

_HIGHEST = 4.0  # No face is noisier than this times the expected noise; more than that is motion.
_OUTLIER = 9.0  # Squared deviations count up to this times the variance so far, or one jump would deafen the filter.


class NoiseEstimate:
    """Standard deviation of white noise on a moving signal, from how far each sample lies off the parabola through the three before.

    A parabola is extrapolated exactly for any spacing of the samples, so speed and acceleration do not pass for noise. Noise that
    is correlated over frames is seen only in part; therefore the expected noise is a lower bound, and the estimate only rises
    above it (a dark or a far face).

    Args:
        expected: (D,) standard deviation to start from, and the least to report.
    """

    def __init__(self, expected: DoubleArray) -> None:
        self._least = expected**2
        self._most = (_HIGHEST * expected) ** 2
        self._variance = self._least.copy()
        self._steps: list[tuple[DoubleArray, float]] = []
        self.std = expected
        """(D,) current estimate."""

    def update(self, step: DoubleArray, dt: float) -> None:
        """Take the change (D,) from the previous sample to this one, ``dt`` > 0 seconds later."""
        if len(self._steps) == 2:
            (older, dt2), (newer, dt1) = self._steps
            # Lagrange weights at time dt of the samples at times 0, -dt1 and -dt1 - dt2.
            w1 = -dt * (dt + dt1 + dt2) / (dt1 * dt2)
            w2 = dt * (dt + dt1) / ((dt1 + dt2) * dt2)
            w0 = 1 - w1 - w2
            off = step + (w1 + w2) * newer + w2 * older
            square = off * off
            square /= 1 + w0 * w0 + w1 * w1 + w2 * w2
            np.minimum(square, _OUTLIER * self._variance, out=square)
            square -= self._variance
            self._variance += (1 - math.exp(-dt / MEMORY)) * square
            np.maximum(self._variance, self._least, out=self._variance)
            np.minimum(self._variance, self._most, out=self._variance)
            self.std = np.sqrt(self._variance)
            del self._steps[0]
        self._steps.append((step, dt))
