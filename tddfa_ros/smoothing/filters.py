"""Causal filters of the state of one face: One Euro, constant-velocity Kalman; `imm` has the default, `window` the moving average.

Each filter takes the time since its last input, so its response does not depend on the frame rate or on dropped frames.
``weight`` is the confidence of a measurement in (0, 1]; it scales the standard deviation of the noise by 1 / weight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from tddfa_ros.errors import ConfigError
from tddfa_ros.smoothing.imm import MultipleModelFilter
from tddfa_ros.smoothing.noise import NoiseEstimate
from tddfa_ros.smoothing.state import (
    EXPRESSION,
    ROTATION,
    SHEAR,
    FaceState,
    difference,
    displaced,
)
from tddfa_ros.smoothing.window import WindowFilter
from tddfa_ros.types import DoubleArray

if TYPE_CHECKING:
    from tddfa_ros.config import SmoothingConfig

DEVIATION_CUTOFF = 2.0
"""Cutoff of the low-pass on deviations, Hz: deviations lasting about 80 ms count as motion."""

SIGNIFICANT = 2.5
"""Deviations below this many standard deviations of the noise are not compensated."""

GRADUAL = 3.0
"""Half of the excess is compensated at this many standard deviations above SIGNIFICANT."""


class MotionFilter(Protocol):
    """A filter of one track, initialized by its first :meth:`update`."""

    def update(self, measured: FaceState, dt: float, weight: float) -> FaceState:
        """Filter a measurement taken ``dt`` > 0 seconds after the last one and return the estimate at its stamp."""
        ...


@dataclass(frozen=True, eq=False)
class Tuning:
    """Filter parameters per degree of freedom, (D,) each, in the units of :mod:`tddfa_ros.smoothing.state`.

    Attributes:
        min_cutoff: One Euro minimum cutoff frequency, Hz.
        beta: One Euro speed coefficient, Hz per (unit / s).
        noise: standard deviation of a measurement with confidence 1.
    """

    min_cutoff: DoubleArray
    beta: DoubleArray
    noise: DoubleArray

    @classmethod
    def from_config(cls, config: SmoothingConfig, expressions: int) -> Tuning:
        """Expand the options to all degrees of freedom; scale uses those of translation, shear those of rotation."""

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
    """Create the filter of ``config.method``, for faces with ``expressions`` coefficients.

    Raises:
        ConfigError: the method has no filter.
    """
    tuning = Tuning.from_config(config, expressions)
    if config.method == "window":
        return WindowFilter(config.window, tuning.noise)
    if config.method == "imm":
        return MultipleModelFilter(tuning.noise, config.imm_margin)
    if config.method == "one_euro":
        return OneEuroFilter(tuning, config.d_cutoff, config.lag_cutoff)
    if config.method == "kalman":
        return KalmanFilter(tuning.noise, config.kalman_acceleration * tuning.noise / config.noise)
    raise ConfigError(f"there is no filter for the smoothing method {config.method!r}")


def one_euro_alpha(cutoff: float, dt: float) -> float:
    """Compute the weight of a new sample in a first-order low-pass (Casiez et al., 1 Euro Filter, CHI 2012, eq. 5-6).

    Args:
        cutoff: cutoff frequency, Hz.
        dt: time step, s.
    """
    return 1 / (1 + 1 / (2 * math.pi * cutoff * dt))


def excess(deviation: DoubleArray, noise: DoubleArray) -> DoubleArray:
    """Compute the signed part of a deviation (D,) that exceeds noise of standard deviation ``noise`` (D,).

    0 up to SIGNIFICANT standard deviations, then a parabola that approaches slope 1. The slope is continuous; with a step in it,
    slow motion would be tracked in visible jumps.
    """
    beyond = np.maximum(np.abs(deviation) - SIGNIFICANT * noise, 0.0)
    beyond *= beyond / (beyond + GRADUAL * noise)
    return np.copysign(beyond, deviation)


class OneEuroFilter:
    """One Euro filter (Casiez et al., CHI 2012) with lag compensation.

    The original raises its cutoff with speed, ``fc = min_cutoff + beta * |dx|``. The speed itself must be low-passed, so slow motion
    and fast reversals are missed and the estimate lags. Lag is visible in the deviation of the estimate from the measurements: noise
    alternates in sign, lag persists. After the step of the original, the estimate therefore moves by the larger of

        excess(e)               a sudden deviation e above the noise level, such as a jump or a blink
        alpha * excess(m)       a persistent one: m is e low-passed at DEVIATION_CUTOFF; alpha is that of lag_cutoff

    but not beyond the measurement. A constant velocity is tracked smoothly with a constant lag. With ``lag_cutoff`` 0 the filter is
    the original.
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
        # alpha / (1 - alpha) of the low-pass; noise of 1/weight in amplitude scales these odds by weight^2.
        odds = 2 * math.pi * dt * weight * weight * cutoff
        error = difference(self._estimate, measured)
        move = error * (odds / (1 + odds))
        if self._lag_cutoff > 0:
            self._noise.update(step, dt)
            move += self._missed(error, dt, weight) / (1 + odds)
        self._estimate = displaced(self._estimate, move)
        return self._estimate

    def _missed(self, error: DoubleArray, dt: float, weight: float) -> DoubleArray:
        """Estimate the part of the deviation ``error`` (D,) that is motion, between 0 and ``error``."""
        noise = self._noise.std / weight
        alpha = one_euro_alpha(DEVIATION_CUTOFF, dt)
        self._deviation += alpha * (error - self._deviation)
        lasting = excess(self._deviation, noise * math.sqrt(alpha / (2 - alpha)))
        lasting *= one_euro_alpha(self._lag_cutoff, dt)
        sudden = excess(error, noise)
        larger = np.where(np.abs(lasting) > np.abs(sudden), lasting, sudden)
        return np.clip(larger, np.minimum(error, 0.0), np.maximum(error, 0.0))


class KalmanFilter:
    """Constant-velocity Kalman filter per degree of freedom; error-state filter on SO(3) for the rotation.

    State (x, v), white-noise acceleration of spectral density ``acceleration``^2, so that for a step of ``dt``:
    F = [[1, dt], [0, 1]], Q = acceleration^2 [[dt^3/3, dt^2/2], [dt^2/2, dt]], H = [1, 0], R = (noise / weight)^2
    (Bar-Shalom et al., Estimation with Applications to Tracking and Navigation, 6.2.2).

    Args:
        noise: (D,) standard deviation of a measurement with confidence 1.
        acceleration: (D,) square root of the spectral density, unit / s^1.5.
    """

    def __init__(self, noise: DoubleArray, acceleration: DoubleArray) -> None:
        self._noise = noise**2
        self._density = acceleration**2
        self._velocity = np.zeros_like(noise)
        # Prior of the velocity: about a hundred times the noise per second.
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
