"""Gaze over time: smoothed while the eyes rest, immediate when they jump, held through blinks."""

from __future__ import annotations

import threading
from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from tddfa_ros.gaze.direction import Gaze
from tddfa_ros.types import DoubleArray

LEAST = 0.15
"""Confidence below which a single estimate is not used."""

HOLD = 0.3
"""Seconds for which the last gaze is held when the eyes are not seen, as in a blink; it then fades to that of the head within as long."""

_NOISE = 3.0  # degrees, standard deviation of an estimate of confidence 1
_DRIFT = 10.0  # degrees after one second
_JUMP = 3.0  # standard deviations: saccades
_GAP = 2.0  # seconds after which nothing is left of an estimate


class SmoothedGaze(NamedTuple):
    """Gaze of a face at one time.

    Attributes:
        yaw_pitch: (2,) degrees against the head, to the person's left and up; 0, 0 when unknown.
        confidence: 0..1; 0 = unknown.
    """

    yaw_pitch: DoubleArray
    confidence: float


UNKNOWN = SmoothedGaze(np.zeros(2), 0.0)
"""The gaze of a face whose eyes were not seen: that of the head."""


class _State(NamedTuple):
    stamp: float
    yaw_pitch: DoubleArray
    variance: float
    confidence: float


class GazeTracks:
    """Smoothed gaze of each track: a Kalman filter of a random walk that restarts at saccades. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._states: dict[str, _State] = {}

    def update(self, face: str, stamp: float, gaze: Gaze) -> SmoothedGaze:
        """Add an estimate for a track ID at ``stamp``, s of the images; return the smoothed gaze then."""
        if gaze.confidence >= LEAST:
            with self._lock:
                self._states[face] = _filtered(self._states.get(face), stamp, gaze)
        return self.at(face, stamp)

    def at(self, face: str, stamp: float) -> SmoothedGaze:
        """Return the smoothed gaze of a track ID at ``stamp``, s, by the estimates so far."""
        with self._lock:
            state = self._states.get(face)
        if state is None or not 0 <= stamp - state.stamp < 2 * HOLD:
            return UNKNOWN
        left = min(2 - (stamp - state.stamp) / HOLD, 1.0)
        return SmoothedGaze(left * state.yaw_pitch, left * state.confidence)

    def keep(self, faces: Collection[str]) -> None:
        """Forget all other tracks."""
        with self._lock:
            self._states = {name: s for name, s in self._states.items() if name in faces}


def _filtered(state: _State | None, stamp: float, gaze: Gaze) -> _State:
    noise = (_NOISE / gaze.confidence) ** 2
    new = _State(stamp, gaze.yaw_pitch, noise, gaze.confidence)
    if state is None or not 0 <= stamp - state.stamp < _GAP:
        return new
    variance = state.variance + _DRIFT**2 * (stamp - state.stamp)
    error = gaze.yaw_pitch - state.yaw_pitch
    if float(np.linalg.norm(error)) > _JUMP * np.sqrt(variance + noise):
        return new
    gain = variance / (variance + noise)
    confidence = state.confidence + gain * (gaze.confidence - state.confidence)
    return _State(stamp, state.yaw_pitch + gain * error, (1 - gain) * variance, confidence)
