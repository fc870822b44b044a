"""Causal filters over the states of one face: One Euro, constant-velocity Kalman, moving mean.

Each takes the time since its last input, so neither a varying frame rate nor a dropped frame changes what it does. ``weight``
is the measurement's confidence in (0, 1]: it stands for noise 1/weight times as strong.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from tddfa_ros.errors import ConfigError
from tddfa_ros.smoothing import quaternion
from tddfa_ros.smoothing.noise import NoiseEstimate
from tddfa_ros.smoothing.state import (
    EXPRESSION,
    ROTATION,
    SHEAR,
    FaceState,
    difference,
    displaced,
)
from tddfa_ros.types import DoubleArray

if TYPE_CHECKING:
    from tddfa_ros.config import SmoothingConfig

DEVIATION_CUTOFF = 2.0
"""Hz; how long a deviation must last to count as motion that the filter has missed: about 80 ms."""

SIGNIFICANT = 2.5
"""Deviations below so many standard deviations of the noise are left to the low-pass."""

GRADUAL = 3.0
"""So many standard deviations beyond the significant ones, half of the excess is made up."""


class MotionFilter(Protocol):
    """A filter of one track. The first :meth:`update` starts it."""

    def update(self, measured: FaceState, dt: float, weight: float) -> FaceState:
        """Take a measurement ``dt`` > 0 seconds after the last one and return the estimate for its stamp."""
        ...


@dataclass(frozen=True, eq=False)
class Tuning:
    """One value per degree of freedom, (D,) each, in the units of :mod:`tddfa_ros.smoothing.state`.

    Attributes:
        min_cutoff: Hz, how slow One Euro is when nothing moves.
        beta: Hz per unit/s, how much faster it gets with speed.
        noise: standard deviation of a measurement of confidence 1.
    """

    min_cutoff: DoubleArray
    beta: DoubleArray
    noise: DoubleArray

    @classmethod
    def from_config(cls, config: SmoothingConfig, expressions: int) -> Tuning:
        """Spread the configured values over the degrees of freedom; scale goes with translation, shear with rotation."""

        def spread(face: float, rotation: float, expression: float) -> DoubleArray:
            values = np.full(EXPRESSION + expressions, face)
            values[ROTATION] = values[SHEAR] = rotation
            values[EXPRESSION:] = expression
            return values

        return cls(
            spread(config.min_cutoff, config.rotation_min_cutoff, config.expression_min_cutoff),
            spread(config.beta, config.rotation_beta, config.expression_beta),
            spread(config.noise, config.rotation_noise, config.expression_noise),
        )


def create_filter(config: SmoothingConfig, expressions: int) -> MotionFilter:
    """The filter ``config.method`` names, for faces with ``expressions`` coefficients. Raises ConfigError for an unknown one."""
    if config.method == "window":
        return WindowFilter(config.window)
    tuning = Tuning.from_config(config, expressions)
    if config.method == "one_euro":
        return OneEuroFilter(tuning, config.d_cutoff, config.lag_cutoff)
    if config.method == "kalman":
        return KalmanFilter(tuning.noise, config.kalman_acceleration * tuning.noise / config.noise)
    raise ConfigError(f"unknown smoothing method {config.method!r}")


def one_euro_alpha(cutoff: float, dt: float) -> float:
    """Weight of a new sample in a first-order low-pass of ``cutoff`` Hz (Casiez et al., 1 Euro Filter, CHI 2012, eq. 5-6)."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff * dt))


def excess(deviation: DoubleArray, noise: DoubleArray) -> DoubleArray:
    """What a deviation (D,) has beyond noise of standard deviation ``noise`` (D,), with its sign.

    0 up to SIGNIFICANT standard deviations; from there it grows like a parabola and ends up with slope 1. Without a step in the
    slope, slow motion glides: a filter that opens at once catches up, closes, and waits for the next deviation.
    """
    beyond = np.maximum(np.abs(deviation) - SIGNIFICANT * noise, 0.0)
    beyond *= beyond / (beyond + GRADUAL * noise)
    return np.copysign(beyond, deviation)


class OneEuroFilter:
    """One Euro filter (Casiez et al., CHI 2012) that also makes up for its own lag.

    The original opens its low-pass with speed, ``fc = min_cutoff + beta * |dx|``. The speed has to be low-passed much itself, so
    slow motion and motion that turns round soon go unnoticed and the filter trails. Its deviation from the measurements shows
    that directly: noise alternates, lag stays. So after the original's step, the estimate also moves by the larger of

        excess(e)               a sudden deviation e, too large for noise: a jump, a blink
        alpha * excess(m)       a lasting one: m is e low-passed at DEVIATION_CUTOFF, its noise is less; alpha is that of lag_cutoff

    but never past the measurement. A steady drift is followed evenly, a constant deviation behind. ``lag_cutoff`` 0 is the original.
    """

    def __init__(self, tuning: Tuning, d_cutoff: float, lag_cutoff: float) -> None:
        self._tuning = tuning
        self._d_cutoff = d_cutoff
        self._lag_cutoff = lag_cutoff
        self._noise = NoiseEstimate(tuning.noise)
        self._speed = np.zeros_like(tuning.noise)
        self._deviation = np.zeros_like(tuning.noise)
        self._measured: FaceState | None = None
        self._estimate: FaceState | None = None

    def update(self, measured: FaceState, dt: float, weight: float) -> FaceState:
        if self._estimate is None or self._measured is None:
            self._measured = self._estimate = measured
            return measured
        step = difference(self._measured, measured)
        self._measured = measured
        self._speed += one_euro_alpha(self._d_cutoff, dt) * (step / dt - self._speed)
        cutoff = self._tuning.min_cutoff + self._tuning.beta * np.abs(self._speed)
        # alpha / (1 - alpha) of the low-pass; noisier by 1/weight in amplitude means weight^2 in these odds.
        odds = 2 * math.pi * dt * weight * weight * cutoff
        error = difference(self._estimate, measured)
        move = error * (odds / (1 + odds))
        if self._lag_cutoff > 0:
            self._noise.update(step, dt)
            move += self._missed(error, dt, weight) / (1 + odds)
        self._estimate = displaced(self._estimate, move)
        return self._estimate

    def _missed(self, error: DoubleArray, dt: float, weight: float) -> DoubleArray:
        """The part of the deviation ``error`` (D,) that is motion rather than noise: between 0 and ``error``."""
        noise = self._noise.std / weight
        alpha = one_euro_alpha(DEVIATION_CUTOFF, dt)
        self._deviation += alpha * (error - self._deviation)
        lasting = excess(self._deviation, noise * math.sqrt(alpha / (2 - alpha)))
        lasting *= one_euro_alpha(self._lag_cutoff, dt)
        sudden = excess(error, noise)
        larger = np.where(np.abs(lasting) > np.abs(sudden), lasting, sudden)
        return np.clip(larger, np.minimum(error, 0.0), np.maximum(error, 0.0))


class KalmanFilter:
    """Kalman filter with a constant-velocity model, one per degree of freedom; the rotation's is the error-state filter on SO(3).

    State (x, v), white-noise acceleration of spectral density ``acceleration``^2, so that for a step of ``dt``:
    F = [[1, dt], [0, 1]], Q = acceleration^2 [[dt^3/3, dt^2/2], [dt^2/2, dt]], H = [1, 0], R = (noise / weight)^2
    (Bar-Shalom et al., Estimation with Applications to Tracking and Navigation, 6.2.2).

    Args:
        noise: (D,) standard deviation of a measurement.
        acceleration: (D,) unit / s^1.5.
    """

    def __init__(self, noise: DoubleArray, acceleration: DoubleArray) -> None:
        self._noise = noise**2
        self._density = acceleration**2
        self._velocity = np.zeros_like(noise)
        # Nothing is known of the first velocity but that a second of it moves a face by some hundred times the noise.
        self._p00, self._p01, self._p11 = self._noise, np.zeros_like(noise), 1e4 * self._noise
        self._estimate: FaceState | None = None

    def update(self, measured: FaceState, dt: float, weight: float) -> FaceState:
        if self._estimate is None:
            self._estimate = measured
            self._p00 = self._noise / (weight * weight)
            return measured
        p00 = self._p00 + dt * (2 * self._p01 + dt * self._p11) + self._density * (dt**3 / 3)
        p01 = self._p01 + dt * self._p11 + self._density * (dt**2 / 2)
        p11 = self._p11 + self._density * dt
        predicted = displaced(self._estimate, dt * self._velocity)
        error = difference(predicted, measured)
        variance = p00 + self._noise / (weight * weight)
        gain, velocity_gain = p00 / variance, p01 / variance
        self._velocity = self._velocity + velocity_gain * error
        self._p00, self._p01, self._p11 = (
            p00 * (1 - gain),
            p01 * (1 - gain),
            p11 - velocity_gain * p01,
        )
        self._estimate = displaced(predicted, gain * error)
        return self._estimate


class WindowFilter:
    """Mean of the last ``size`` states, weighted with the inverse of their noise variance; rotations by their chordal mean."""

    def __init__(self, size: int) -> None:
        self._states: deque[FaceState] = deque(maxlen=size)
        self._weights: deque[float] = deque(maxlen=size)

    def update(self, measured: FaceState, dt: float, weight: float) -> FaceState:
        self._states.append(measured)
        self._weights.append(weight * weight)
        if len(self._states) == 1:
            return measured
        rotation = quaternion.mean([state.rotation for state in self._states], self._weights)
        linear = np.average([state.linear for state in self._states], axis=0, weights=self._weights)
        return FaceState(rotation, linear)
