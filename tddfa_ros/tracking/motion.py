"""Kalman filter of an ROI: constant velocity of its center and of the logarithm of its side."""

from __future__ import annotations

import math

import numpy as np

from tddfa_ros.types import DoubleArray, RealArray

_ACCELERATION = np.array([3.0, 3.0, 0.6])  # process noise: sides / s^1.5, sides / s^1.5, 1 / s^1.5
_NOISE = np.array([0.03, 0.03, 0.03])  # measurement: sides, sides, 1
_START_RATE = np.array([2.0, 2.0, 0.5])  # per second: standard deviation of the unknown velocity
_DAMPING = np.array([1.5, 1.5, 0.2])  # seconds in which a velocity falls to 1/e
_SLOPPINESS = np.array(
    [0.12, 0.12, 0.15]
)  # of a detection's ROI against a landmark ROI: sides, sides, 1
_SIZE_RANGE = 2.0  # logarithms of the sides of the faces in an image
_SUDDEN, _SUDDEN_STD = 0.1, np.array([0.5, 0.5, 0.1])  # ratio and spread of sudden motion
_MAX_LOG_LIKELIHOOD = (
    5.0  # whoever stands exactly where somebody was expected may still be another person
)


class RoiMotion:
    """Position, size and velocity of one ROI, with their uncertainty.

    Args:
        roi: (4,) first ROI, image px.
        stamp: of the ROI, s.
    """

    def __init__(self, roi: RealArray, stamp: float) -> None:
        self._value = _state(roi)
        self._rate = np.zeros(3)
        units = self._units()
        self._cov = np.zeros((3, 2, 2))
        self._cov[:, 0, 0] = (_NOISE * units) ** 2
        self._cov[:, 1, 1] = (_START_RATE * units) ** 2
        self._stamp = stamp

    def shift(self, offset: RealArray) -> None:
        """Move with the camera by an offset (2,), px."""
        self._value[:2] += offset

    def predict(self, stamp: float) -> None:
        """Advance to a stamp, s; an earlier one changes nothing."""
        dt = stamp - self._stamp
        if dt <= 0:
            return
        keep = np.exp(-dt / _DAMPING)
        step = np.zeros((3, 2, 2))
        step[:, 0, 0], step[:, 0, 1], step[:, 1, 1] = 1.0, _DAMPING * (1.0 - keep), keep
        self._value = self._value + step[:, 0, 1] * self._rate
        self._rate = keep * self._rate
        # The integral of white acceleration over the damped motion, which does not depend on the number of steps.
        lost = 1.0 - keep
        noise = np.empty((3, 2, 2))
        noise[:, 1, 1] = _DAMPING / 2 * (1.0 - keep**2)
        noise[:, 0, 1] = noise[:, 1, 0] = _DAMPING**2 / 2 * lost**2
        noise[:, 0, 0] = _DAMPING**2 * (dt - 2 * _DAMPING * lost + noise[:, 1, 1])
        strength = (_ACCELERATION * self._units()) ** 2
        self._cov = step @ self._cov @ step.transpose(0, 2, 1) + strength[:, None, None] * noise
        self._stamp = stamp

    def update(self, roi: RealArray, stamp: float, inflation: float = 1.0) -> None:
        """Correct with a measured ROI (4,), px; ``inflation`` scales the measurement's standard deviation."""
        self.predict(stamp)
        innovation = _state(roi) - self._value
        noise = (inflation * _NOISE * self._units()) ** 2
        gain = self._cov[:, :, 0] / (self._cov[:, 0, 0] + noise)[:, None]
        self._value = self._value + gain[:, 0] * innovation
        self._rate = self._rate + gain[:, 1] * innovation
        self._cov = self._cov - gain[:, :, None] * self._cov[:, None, 0, :]

    def roi(self, size: tuple[int, int] | None = None) -> DoubleArray:
        """Return the ROI (4,), px; with the image's ``size`` (width, height), its center lies inside the image."""
        x, y = self._center(size)
        half = math.exp(self._value[2]) / 2
        return np.array([x - half, y - half, x + half, y + half])

    def log_likelihood(
        self, roi: RealArray, size: tuple[int, int], elsewhere: float = 0.0
    ) -> float:
        """Log likelihood of a measured ROI (4,) relative to a face anywhere in an image of ``size`` (width, height).

        Positions are compared in units of the ROI's side, so that the value does not depend on the resolution. ``elsewhere`` is the
        probability, 0..1, that the person may be anywhere. A part of the people moves less predictably than the filter expects.
        """
        units = self._units()
        predicted = np.array([*self._center(size), self._value[2]])
        deviation = (_state(roi) - predicted) / units
        variance = self._cov[:, 0, 0] / units**2 + _SLOPPINESS**2
        density = (1 - _SUDDEN) * _gaussian(deviation, variance)
        density += _SUDDEN * _gaussian(deviation, variance + _SUDDEN_STD**2)
        density *= size[0] * size[1] / units[0] ** 2 * _SIZE_RANGE
        return min(math.log((1 - elsewhere) * density + elsewhere + 1e-6), _MAX_LOG_LIKELIHOOD)

    def copy(self) -> RoiMotion:
        """Return an independent copy."""
        other = RoiMotion.__new__(RoiMotion)
        other._value, other._rate, other._cov = (
            self._value.copy(),
            self._rate.copy(),
            self._cov.copy(),
        )
        other._stamp = self._stamp
        return other

    def _center(self, size: tuple[int, int] | None) -> DoubleArray:
        if size is None:
            return self._value[:2]
        return np.clip(self._value[:2], 0.0, [size[0] - 1.0, size[1] - 1.0])

    def _units(self) -> DoubleArray:
        side = math.exp(self._value[2])
        return np.array([side, side, 1.0])


def _state(roi: RealArray) -> DoubleArray:
    x0, y0, x1, y1 = (float(v) for v in roi)
    return np.array([(x0 + x1) / 2, (y0 + y1) / 2, math.log(max(x1 - x0, 1e-6))])


def _gaussian(deviation: DoubleArray, variance: DoubleArray) -> float:
    exponent = -0.5 * float((deviation**2 / variance).sum())
    return math.exp(exponent) / math.sqrt(float(np.prod(2 * math.pi * variance)))
