"""Interacting multiple models: a face at rest, in slow and in fast motion, each with its own Kalman filter.

A single low-pass must choose between jitter at rest and lag in motion. An interacting-multiple-model (IMM) filter runs one Kalman
filter per motion model and weights them by how well each predicts the measurements (Blom and Bar-Shalom, The interacting multiple
model algorithm for systems with Markovian switching coefficients, IEEE Trans. Automatic Control 33 (8), 1988; Bar-Shalom, Li and
Kirubarajan, Estimation with Applications to Tracking and Navigation, 2001, 11.6.6). At rest the estimate is a long average; motion
is followed by a constant-velocity model, which has no lag.

Every degree of freedom has its own models, so an eye may blink while the head rests.
"""

from __future__ import annotations

import math

import numpy as np

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

# Found by random search on two videos of people and the demo (benchmarks/smoothing_video.py). The optimum is flat: a factor of 1.5 on
# any of them changes jitter and distance by less than 20 %. Units: face sizes, radians, expression coefficients.
_WALK = (0.0025, 0.001, 0.017)  # random walk at rest, unit / sqrt(s)
_ACCELERATION = ((0.1, 0.25, 0.2), (4.0, 10.0, 8.0))  # of slow and fast motion, unit / s^1.5
_ONSET_SPEED = (0.045, 0.03, 1.2)  # std of the speed with which motion starts, unit / s
_SWITCHES = 2.5  # rate at which a model is left, 1 / s
_LEAST_LOG_LIKELIHOOD = -30.0  # relative to the best model; a model is never ruled out


class MultipleModelFilter:
    """IMM filter of one track; see the module docstring.

    Args:
        noise: (D,) least standard deviation of a measurement with confidence 1; more is estimated online.
        margin: factor on the noise, for noise that is correlated over frames.
    """

    def __init__(self, noise: DoubleArray, margin: float) -> None:
        size = len(noise)
        self._noise = NoiseEstimate(noise)
        self._margin = margin
        self._walk = _spread(_WALK, size) ** 2
        self._density = np.stack([_spread(a, size) for a in _ACCELERATION]) ** 2
        self._onset = _spread(_ONSET_SPEED, size) ** 2
        # All (models, D); positions are relative to the last estimate.
        models = 1 + len(_ACCELERATION)
        self._position = np.zeros((models, size))
        self._speed = np.zeros((models, size))
        self._probability = np.full((models, size), 1 / models)
        self._p00 = np.empty((models, size))
        self._p01 = np.zeros((models, size))
        self._p11 = np.tile(self._onset, (models, 1))
        self._measured: FaceState | None = None
        self._estimate: FaceState | None = None

    def update(self, measured: FaceState, dt: float, weight: float) -> FaceState:
        scale = (self._margin / weight) ** 2
        if self._estimate is None or self._measured is None:
            self._measured = self._estimate = measured
            self._p00[:] = self._noise.std**2 * scale
            return measured
        self._noise.update(difference(self._measured, measured), dt)
        self._measured = measured
        prior = self._mix(dt)
        self._predict(dt)
        self._correct(
            prior, difference(self._estimate, measured), self._noise.std * self._noise.std * scale
        )
        move = (self._probability * self._position).sum(axis=0)
        self._position -= move
        self._estimate = displaced(self._estimate, move)
        return self._estimate

    def _mix(self, dt: float) -> DoubleArray:
        """Let each model start from all estimates, weighted by the probability of a switch; return the models' priors (models, D)."""
        models = len(self._probability)
        leave = (1 - math.exp(-_SWITCHES * dt)) / (models - 1)
        switch = np.full((models, models), leave)
        np.fill_diagonal(switch, 1 - leave * (models - 1))
        joint = switch[:, :, None] * self._probability[:, None]  # (from, to, D)
        prior: DoubleArray = joint.sum(axis=0)
        weights = joint / prior
        position = (weights * self._position[:, None]).sum(axis=0)
        speed = (weights * self._speed[:, None]).sum(axis=0)
        speed[0] = 0.0
        dx = self._position[:, None] - position
        dv = self._speed[:, None] - speed
        self._p00 = (weights * (self._p00[:, None] + dx * dx)).sum(axis=0)
        self._p01 = (weights * (self._p01[:, None] + dx * dv)).sum(axis=0)
        self._p11 = (weights * (self._p11[:, None] + dv * dv)).sum(axis=0)
        self._position, self._speed = position, speed
        return prior

    def _predict(self, dt: float) -> None:
        """Predict by ``dt``: a random walk at rest, else white-noise acceleration as in `KalmanFilter`."""
        moving = slice(1, None)
        self._p00[0] += self._walk * dt
        self._position += dt * self._speed
        p01, p11 = self._p01[moving], self._p11[moving]
        self._p00[moving] += dt * (2 * p01 + dt * p11) + self._density * (dt**3 / 3)
        p01 += dt * p11 + self._density * (dt**2 / 2)
        p11 += self._density * dt

    def _correct(self, prior: DoubleArray, measured: DoubleArray, variance: DoubleArray) -> None:
        """Correct each model by the measurement (D,) and weight the models by their likelihoods."""
        total = self._p00 + variance
        error = measured - self._position
        gain, speed_gain = self._p00 / total, self._p01 / total
        likelihood = -0.5 * (error * error / total + np.log(total))
        likelihood -= likelihood.max(axis=0)
        self._probability = prior * np.exp(np.maximum(likelihood, _LEAST_LOG_LIKELIHOOD))
        self._probability /= self._probability.sum(axis=0)
        self._position += gain * error
        self._speed += speed_gain * error
        self._p11 -= speed_gain * self._p01
        self._p00 *= 1 - gain
        self._p01 *= 1 - gain
        # The model at rest has no speed; models that take over from it start with this uncertainty.
        self._speed[0] = self._p01[0] = 0.0
        self._p11[0] = self._onset


def _spread(values: tuple[float, float, float], size: int) -> DoubleArray:
    """Expand values of position, rotation and expression to all degrees of freedom (``size``,)."""
    position, rotation, expression = values
    out = np.full(size, position)
    out[ROTATION] = out[SHEAR] = rotation
    out[EXPRESSION:] = expression
    return out
