"""Moving average of the state of one face, along its motion."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np

from tddfa_ros.smoothing.noise import NoiseEstimate
from tddfa_ros.smoothing.state import FaceState, difference, displaced
from tddfa_ros.types import DoubleArray

SIGNIFICANT = 2.5
"""Progress of the line below this many standard deviations of its noise is not motion."""

UNIFORM = 3.5
"""Motion is uniform while no state deviates from a line by more than this many standard deviations of the noise."""


class _Sample(NamedTuple):
    """A measured state, its stamp, s, and its weight."""

    state: FaceState
    stamp: float
    weight: float


class WindowFilter:
    """Mean of the last states, moved along with the face.

    The mean of the last n states of a moving face lies where it was (n - 1) / 2 frames ago. So a line over time is fitted to the states,
    per degree of freedom, and the estimate is the mean plus the line's progress since then, as far as it is significant: at rest the
    mean, in uniform motion the end of the line. The progress p with standard deviation s is shrunk to p * max(0, 1 - (SIGNIFICANT s / p)^2)
    (non-negative garrote: Gao, Wavelet shrinkage denoising using the non-negative garrote, 1998), which is continuous and has no bias
    far above the noise. Where the motion has changed within the window, so that a state is further from the
    line than `UNIFORM` allows, the later half of the window is used, and so on, down to the last two states (windows adapted to the
    signal: Goldenshluger and Nemirovski, On spatially adaptive estimation of nonparametric regression, 1997).

    States are weighted by inverse noise variance.

    Args:
        size: largest number of states.
        noise: (D,) expected standard deviation of a measurement with confidence 1.
    """

    def __init__(self, size: int, noise: DoubleArray) -> None:
        self._samples: deque[_Sample] = deque(maxlen=size)
        self._noise = NoiseEstimate(noise)
        self._now = 0.0

    def update(self, measured: FaceState, dt: float, weight: float) -> FaceState:
        """See `MotionFilter`."""
        if self._samples:
            self._now += dt
            self._noise.update(difference(self._samples[-1].state, measured), dt)
        self._samples.append(_Sample(measured, self._now, weight))
        if len(self._samples) == 1:
            return measured
        # Relative to the last state, so that rotations are small, and 0 is its own position.
        positions = np.stack([difference(measured, sample.state) for sample in self._samples])
        times = np.array([sample.stamp - self._now for sample in self._samples])
        weights = np.array([sample.weight for sample in self._samples])
        return displaced(measured, self._position(positions, times, weights))

    def _position(
        self, positions: DoubleArray, times: DoubleArray, weights: DoubleArray
    ) -> DoubleArray:
        """Estimate the position (D,) at time 0 from those (n, D) at earlier times (n,), s, in the longest window of uniform motion."""
        found = np.zeros(positions.shape[1])
        left = np.ones(positions.shape[1], dtype=bool)
        count = len(times)
        while left.any():
            end, uniform = self._end(positions[-count:], times[-count:], weights[-count:])
            take = left & uniform
            found[take] = end[take]
            left &= ~uniform
            count = (count + 1) // 2
        return found

    def _end(
        self, positions: DoubleArray, times: DoubleArray, weights: DoubleArray
    ) -> tuple[DoubleArray, np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]:
        """Fit a line to at least two positions; return its end (D,) without insignificant progress, and whether they are on it (D,)."""
        shares = weights**2 / np.sum(weights**2)
        middle = shares @ times
        mean = shares @ positions
        spread = shares @ (times - middle) ** 2
        slope = (shares * (times - middle)) @ (positions - mean) / spread
        noise = self._noise.std
        # The slope has the variance noise^2 / (sum of weights^2 * spread).
        least = SIGNIFICANT * noise * abs(middle) / np.sqrt(np.sum(weights**2) * spread)
        progress = -middle * slope
        moved = np.where(np.abs(progress) > least, progress - least**2 / _nonzero(progress), 0.0)
        if len(times) == 2:
            return mean + moved, np.ones(len(mean), dtype=bool)
        off = np.abs(positions - mean - np.outer(times - middle, slope)) * weights[:, None]
        return mean + moved, np.asarray(off.max(axis=0) <= UNIFORM * noise)


def _nonzero(values: DoubleArray) -> DoubleArray:
    return np.where(values == 0, 1.0, values)
