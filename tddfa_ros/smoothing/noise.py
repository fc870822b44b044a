"""Online estimate of the measurement noise of a face."""

from __future__ import annotations

import math

import numpy as np

from tddfa_ros.types import DoubleArray

MEMORY = 3.0
"""Time constant of the estimate, seconds."""

_HIGHEST = 16.0  # upper limit in units of the expected noise; more is motion
_OUTLIER = 9.0  # squared deviations are clipped at this many variances, so that a jump does not raise the estimate


class NoiseEstimate:
    """Standard deviation of white noise on a moving signal, from the residuals of quadratic extrapolation over three samples.

    The extrapolation is exact for any sample spacing, so velocity and acceleration are not mistaken for noise. Noise correlated
    over frames is underestimated; the expected noise is therefore a lower bound, exceeded for example by dark or distant faces.

    Args:
        expected: (D,) initial and minimum standard deviation.

    Attributes:
        std: (D,) current estimate.
    """

    def __init__(self, expected: DoubleArray) -> None:
        self._least = expected**2
        self._most = (_HIGHEST * expected) ** 2
        self._variance = self._least.copy()
        self._steps: list[tuple[DoubleArray, float]] = []
        self.std = expected

    def update(self, step: DoubleArray, dt: float) -> None:
        """Add a sample by its change (D,) from the previous one, ``dt`` > 0 seconds earlier."""
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
