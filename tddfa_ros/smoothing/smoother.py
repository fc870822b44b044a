"""Smoothing of tracked faces in parameter space, the same code in the ROS node and offline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tddfa_ros.config import SmoothingConfig
from tddfa_ros.smoothing.filters import create_filter
from tddfa_ros.smoothing.identity import IdentityMean
from tddfa_ros.smoothing.state import FaceState, StateCodec
from tddfa_ros.types import DoubleArray, FloatArray

if TYPE_CHECKING:
    from tddfa_ros.face import TrackedFace
    from tddfa_ros.morphable.model import MorphableModel

# A confidence of 0 or NaN still counts a little, or its track would freeze for ever.
_LEAST_WEIGHT = 0.2


class FaceSmoother:
    """Smooths the parameters of every track; the rest of a face (box, ROI, stamp, confidence) passes through.

    Rotation, translation, size and expression go through the configured filter, identity through a mean over the track. Only
    stamps are looked at, never the clock, so a recording always gives the same result.

    - A stamp that repeats changes nothing: the last estimate is returned again, in the ROI of the face given.
    - A stamp that goes back, or more than ``config.max_gap`` seconds ahead, starts its track anew.
    - Parameters with NaN or infinity are not taken in; the last estimate stands in for them. A face that has none, or whose ROI
      is unusable, is left out of the result.
    """

    def __init__(self, config: SmoothingConfig | None = None) -> None:
        self.config = SmoothingConfig() if config is None else config
        self._tracks: dict[str, _Track] = {}
        self._codec: StateCodec | None = None
        self._model: MorphableModel | None = None

    def __call__(self, faces: Sequence[TrackedFace]) -> list[TrackedFace]:
        """Smoothed copies of the faces of one frame, in their order."""
        if self.config.method == "none":
            return list(faces)
        smoothed = [self._smooth(face) for face in faces]
        self._forget(faces)
        return [face for face in smoothed if face is not None]

    def reset(self) -> None:
        """Forget all tracks."""
        self._tracks.clear()

    def _smooth(self, face: TrackedFace) -> TrackedFace | None:
        codec = self._codec_of(face.model)
        # A stamp that is not finite says nothing about time: it must not end a track.
        timed = math.isfinite(face.stamp)
        measured = codec.encode(face.params, face.roi) if timed else None
        track = self._tracks.get(face.id)
        if track is None or (timed and not 0 <= face.stamp - track.stamp <= self.config.max_gap):
            self._tracks.pop(face.id, None)
            if measured is None:
                return None
            track = self._tracks[face.id] = _Track(self.config, codec.layout.expression)
        if measured is not None and face.stamp > track.stamp:
            weight = _weight(face.confidence)
            track.update(measured, face.params[codec.layout.shape_slice], face.stamp, weight)
        params = track.params(codec, face.roi)
        return None if params is None else face.replace(params=params)

    def _codec_of(self, model: MorphableModel) -> StateCodec:
        if self._codec is None or model is not self._model:
            self.reset()
            self._model = model
            mean = model.head_landmarks(np.zeros(model.layout.size, dtype=np.float32))
            width, height = np.ptp(mean[:, :2], axis=0).tolist()
            self._codec = StateCodec(model.layout, math.sqrt(width * height))
        return self._codec

    def _forget(self, faces: Sequence[TrackedFace]) -> None:
        """Drop tracks that could only be reset if they came back, so that a long run does not collect them."""
        if len(self._tracks) <= len(faces):
            return
        now = max((face.stamp for face in faces if math.isfinite(face.stamp)), default=None)
        if now is None:
            return
        gap = self.config.max_gap
        self._tracks = {k: t for k, t in self._tracks.items() if abs(now - t.stamp) <= gap}


class _Track:
    """Filter state of one face."""

    def __init__(self, config: SmoothingConfig, expressions: int) -> None:
        self.stamp = -math.inf
        self._filter = create_filter(config, expressions)
        self._identity = IdentityMean(config.identity_memory)
        self._state: FaceState | None = None

    def update(self, measured: FaceState, shape: FloatArray, stamp: float, weight: float) -> None:
        self._state = self._filter.update(measured, stamp - self.stamp, weight)
        self._identity.update(shape.astype(np.float64), weight)
        self.stamp = stamp

    def params(self, codec: StateCodec, roi: FloatArray) -> FloatArray | None:
        """Current estimate as parameters (P,) in the crop frame of ``roi``; None when that is unusable."""
        shape: DoubleArray | None = self._identity.mean
        if self._state is None or shape is None:
            return None
        return codec.decode(self._state, shape, roi)


def _weight(confidence: float) -> float:
    return min(max(confidence, _LEAST_WEIGHT), 1.0) if math.isfinite(confidence) else _LEAST_WEIGHT
