"""Temporal smoothing of tracked faces in parameter space, for the ROS node and offline use."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tddfa_ros.config import SmoothingConfig
from tddfa_ros.face import grouped
from tddfa_ros.smoothing.filters import create_filter
from tddfa_ros.smoothing.state import FaceState, StateCodec
from tddfa_ros.types import LATE_S, DoubleArray, FloatArray

if TYPE_CHECKING:
    from tddfa_ros.face import TrackedFace
    from tddfa_ros.morphable.model import MorphableModel

# Lower bound of the weight: with a confidence of 0 or NaN a track would freeze.
_MIN_WEIGHT = 0.2

IDENTITY_STEP = 5e-5
"""Movement of a vertex, m, below which a track keeps its identity coefficients: nobody sees it, and equal coefficients save the
reconstruction of the identity."""


class FaceSmoother:
    """Smooths the parameters of each track; box, ROI, stamp and confidence are passed through.

    Rotation, translation, size and expression are filtered by the configured method, identity by a mean over the track, which is
    followed in steps of `IDENTITY_STEP`. Time is taken from stamps only, so that a recording is processed deterministically.

    - A repeated or late stamp, less than a second back, returns the last estimate, in the ROI of the given face.
    - A stamp that goes back further, or more than ``config.max_gap`` seconds ahead, restarts the filter of the track.
    - Parameters that are not finite are replaced by the last estimate. A face without an estimate or with an unusable ROI is
      dropped from the result.

    Args:
        config: smoothing options; None = defaults.
    """

    def __init__(self, config: SmoothingConfig | None = None) -> None:
        self.config = SmoothingConfig() if config is None else config
        self._tracks: dict[str, _Track] = {}
        self._codec: StateCodec | None = None
        self._model: MorphableModel | None = None
        self._identity_step = 0.0  # IDENTITY_STEP in identity coefficients

    def __call__(self, faces: Sequence[TrackedFace]) -> list[TrackedFace]:
        """Return smoothed copies of the faces of one frame, in the same order."""
        if self.config.method == "none":
            return list(faces)
        smoothed = [self.smooth(face) for face in faces]
        self._discard_stale(faces)
        return grouped(face for face in smoothed if face is not None)

    def reset(self) -> None:
        """Discard the filters of all tracks."""
        self._tracks.clear()

    def smooth(self, face: TrackedFace) -> TrackedFace | None:
        """Return the smoothed copy of one face of a frame; None when there is no estimate."""
        if self.config.method == "none":
            return face
        codec = self.codec(face.model)
        # A stamp that is not finite must not restart a track.
        timed = math.isfinite(face.stamp)
        measured = codec.encode(face.params, face.roi) if timed else None
        track = self._tracks.get(face.id)
        if track is None or (
            timed and not -LATE_S < face.stamp - track.stamp <= self.config.max_gap
        ):
            self._tracks.pop(face.id, None)
            if measured is None:
                return None
            track = self._tracks[face.id] = _Track(
                self.config, codec.layout.expression, self._identity_step
            )
        if measured is not None and face.stamp > track.stamp:
            weight = measurement_weight(face.confidence)
            track.update(measured, face.params[codec.layout.shape_slice], face.stamp, weight)
        params = track.params(codec, face.roi)
        return None if params is None else face.replace(params=params)

    def codec(self, model: MorphableModel) -> StateCodec:
        """Return the codec of a model; another model than before resets all tracks."""
        if self._codec is None or model is not self._model:
            self.reset()
            self._model = model
            mean = model.head_landmarks(np.zeros(model.layout.size, dtype=np.float32))
            width, height = np.ptp(mean[:, :2], axis=0).tolist()
            self._codec = StateCodec(model.layout, math.sqrt(width * height))
            # No vertex moves further than the norm of its basis times that of the change.
            reach = math.sqrt(float(np.square(model.shape_basis).sum(axis=(1, 2)).max()))
            self._identity_step = IDENTITY_STEP / max(reach, 1e-9)
        return self._codec

    def _discard_stale(self, faces: Sequence[TrackedFace]) -> None:
        """Discard tracks not updated for longer than ``max_gap``: they would restart anyway."""
        if len(self._tracks) <= len(faces):
            return
        now = max((face.stamp for face in faces if math.isfinite(face.stamp)), default=None)
        if now is None:
            return
        gap = self.config.max_gap
        self._tracks = {k: t for k, t in self._tracks.items() if abs(now - t.stamp) <= gap}


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


class _Track:
    """Filters of one track."""

    def __init__(self, config: SmoothingConfig, expressions: int, identity_step: float) -> None:
        self.stamp = -math.inf
        self._filter = create_filter(config, expressions)
        self._identity = IdentityMean(config.identity_memory)
        self._identity_step = identity_step
        self._shape: DoubleArray | None = None
        self._state: FaceState | None = None

    def update(self, measured: FaceState, shape: FloatArray, stamp: float, weight: float) -> None:
        self._state = self._filter.update(measured, stamp - self.stamp, weight)
        mean = self._identity.update(shape.astype(np.float64), weight)
        if self._shape is None or np.linalg.norm(mean - self._shape) > self._identity_step:
            self._shape = mean
        self.stamp = stamp

    def params(self, codec: StateCodec, roi: FloatArray) -> FloatArray | None:
        """Return the estimate as parameters (P,) in the crop frame of ``roi``; None when the ROI is unusable."""
        if self._state is None or self._shape is None:
            return None
        return codec.decode(self._state, self._shape, roi)


def measurement_weight(confidence: float) -> float:
    """Limit a confidence to the weight of a measurement, in (0, 1]."""
    return min(max(confidence, _MIN_WEIGHT), 1.0) if math.isfinite(confidence) else _MIN_WEIGHT
