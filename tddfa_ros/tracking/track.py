"""State of one track: tentative, confirmed or lost; prediction of its ROI."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from tddfa_ros.face import TrackedFace
from tddfa_ros.tracking.descriptor import Descriptor
from tddfa_ros.tracking.motion import RoiMotion
from tddfa_ros.types import DoubleArray, RealArray

if TYPE_CHECKING:
    from tddfa_ros.face import Face

# Measured with 3DDFA_V2's mb05 under a swinging virtual camera, speeds in ROI sides per frame: without prediction a track is lost
# at 0.35; with 80 % of the last motion it is kept up to 0.5, and the landmark error at 0.09 falls from 0.78 to 0.51 %. Below 0.02
# the motion is noise, and a fixed ROI jitters less. Predicting 100 % of the motion overshoots when a head reverses.
_PREDICTION_GAIN = 0.8
_MIN_SHIFT = 0.02  # ROI sides
_MAX_SHIFT = 0.5  # ROI sides
_MAX_PREDICTION_GAP = 0.25  # seconds; older motion is not extrapolated

# A track in view follows smaller camera motion by itself; compensated, it jitters more (0.178 against 0.151 % of the face size under a
# moving camera).
_MIN_CAMERA_SHIFT = 0.15  # ROI sides

# While something passes in front of a face, its landmarks move with the edge of the cover. A lost face is looked for where it was
# heading before, as well as where it was heading last.
_STEADY_S = 0.3
_SHORT_MISSES = 2
_ELSEWHERE = (
    0.3  # probability that a person who has been lost for _ELSEWHERE_S or longer may be anywhere
)
_ELSEWHERE_S = 0.5

# Confidence falls with occlusion, and landmarks of a partly covered face move away from the cover: such positions count less.
_CLEAR_CONFIDENCE = 0.9
_MAX_INFLATION = 10.0


class Track:
    """One face over time.

    A track starts *tentative* with one hit, is *confirmed* and gets its ID after enough hits, and is *lost* during misses.

    Attributes:
        roi: (4,) landmark ROI of the last hit, moved with the camera since, image px.
        face: face of the last hit.
        id: track ID; None while tentative.
        seen: whether the track has a hit in the current frame, or was left to extrapolation.
        hits: number of hits.
        misses: consecutive frames without a hit.
        age: frames since the start of the track.
        unconfirmed: consecutive periodic detector runs without a detection on the track.
        waiting: consecutive frames in which the face was extrapolated instead of regressed.
        stamp: of the last hit, s.
        seen_stamp: of the last frame in which it was seen, s.
        descriptor: appearance of the person.
        disturbed: stamp of the last frame in which the face was covered in part, or may have been, s.
        unreported: faces of the frames before the track has an ID, oldest first.
    """

    def __init__(self, face: Face, roi: DoubleArray, stamp: float) -> None:
        self.face = face
        self.roi = roi
        self.id: str | None = None
        self.seen = True
        self.hits = 1
        self.misses = 0
        self.age = 0
        self.unconfirmed = 0
        self.waiting = 0
        self.stamp = stamp
        self.seen_stamp = stamp
        self.descriptor = Descriptor()
        self.disturbed = -math.inf
        self.unreported: list[TrackedFace] = []
        self._motion = RoiMotion(roi, stamp)
        self._history: deque[tuple[float, RoiMotion]] = deque()
        self._steady = self._motion
        self._velocity = np.zeros(2)
        self._hit_center = _center(roi)

    @property
    def coasting(self) -> bool:
        """Whether the last complete frame was a miss."""
        return self.misses > 0

    @property
    def lost(self) -> bool:
        """Whether the track has an ID and no hit in the current frame."""
        return self.id is not None and not self.seen

    @property
    def speed(self) -> float:
        """Speed of the last motion, ROI sides per second."""
        return float(np.hypot(*self._velocity)) / float(self.roi[2] - self.roi[0])

    def begin_frame(self, camera: RealArray, stamp: float) -> None:
        """Start a frame at a stamp (s), without a hit so far; the camera has moved the background by ``camera`` (2,), px."""
        self.seen = False
        self.age += 1
        if self.coasting or math.hypot(*camera) >= _MIN_CAMERA_SHIFT * (self.roi[2] - self.roi[0]):
            self.roi = self.roi + np.tile(camera, 2)
            for motion in self._motions():
                motion.shift(camera)
        self._motion.predict(stamp)
        if self.coasting:
            self._steady.predict(stamp)

    def predicted_roi(self, stamp: float) -> DoubleArray:
        """Predict the ROI (4,) at a stamp, image px: with constant velocity, and with the Kalman filter while coasting."""
        if self.coasting:
            return (self._motion if self.misses <= _SHORT_MISSES else self._steady).roi()
        dt = stamp - self.stamp
        if dt > _MAX_PREDICTION_GAP:
            return self.roi
        shift = _PREDICTION_GAIN * dt * self._velocity
        side = self.roi[2] - self.roi[0]
        length = float(np.hypot(*shift))
        if length < _MIN_SHIFT * side:
            return self.roi
        return self.roi + np.tile(shift * min(1.0, _MAX_SHIFT * side / length), 2)

    def hit(self, face: Face, roi: DoubleArray, stamp: float, *, recovered: bool = False) -> None:
        """Record a hit at a stamp (s), with the ROI (4,) of the face's landmarks, image px.

        The way to a face that was ``recovered`` elsewhere in the image is not its velocity.
        """
        dt = stamp - self.stamp
        if recovered or self.coasting or dt > _MAX_PREDICTION_GAP:
            self._velocity = np.zeros(2)
        elif dt > 0:
            self._velocity = (_center(roi) - _center(self.roi)) / dt
        doubt = max(0.0, _CLEAR_CONFIDENCE - face.confidence) / (1 - _CLEAR_CONFIDENCE)
        if recovered or (self.coasting and dt > _STEADY_S):
            self._motion = RoiMotion(roi, stamp)
            self._history.clear()
        self._motion.update(roi, stamp, min(1.0 + 2.0 * doubt, _MAX_INFLATION))
        self._history.append((stamp, self._motion.copy()))
        while self._history[0][0] < stamp - _STEADY_S:
            self._history.popleft()
        if doubt > 0:
            self.disturbed = stamp
        self.face, self.roi = face, roi
        self.stamp = self.seen_stamp = stamp
        self._hit_center = _center(roi)
        self.hits += 1
        self.waiting = 0
        self.seen = True

    def extrapolate(self, stamp: float) -> None:
        """Count a frame in which the face is not regressed as seen, at its predicted position."""
        self.waiting += 1
        self.seen_stamp = stamp
        self.seen = True

    def lose(self, misses: int) -> None:
        """Revoke that the face is seen: only a detection can continue the track, as after so many ``misses``."""
        self.seen = False
        self.misses = max(self.misses, misses)
        self.unconfirmed = 0

    def end_frame(self) -> None:
        """End a frame and count a miss when it had no hit."""
        self.misses = 0 if self.seen else self.misses + 1
        if self.misses and self._history:
            self._steady = self._history[0][1]
            self._history.clear()

    def log_likelihood(self, roi: RealArray, stamp: float, size: tuple[int, int]) -> float:
        """Log likelihood that the face is at an ROI (4,), px, relative to anywhere in an image of ``size`` (width, height)."""
        elsewhere = _ELSEWHERE * min(1.0, (stamp - self.stamp) / _ELSEWHERE_S)
        motions = [self._motion]
        if self.coasting and self._steady is not self._motion:
            motions.append(self._steady)
        return max(motion.log_likelihood(roi, size, elsewhere) for motion in motions)

    def tracked_face(self, stamp: float) -> TrackedFace:
        """Convert a confirmed track to a :class:`TrackedFace`, at its predicted position if it was extrapolated."""
        face = self.face
        offset = np.zeros(4)
        if self.waiting:
            offset = np.tile(_center(self.predicted_roi(stamp)) - self._hit_center, 2)
        return TrackedFace(
            face.box + offset,
            face.confidence,
            face.params,
            face.roi + offset,
            face.model,
            face.intrinsics,
            face.crop_sigma,
            face.scale,
            face.pose_covariance,
            id=self.id or "",
            stamp=stamp,
            age=self.age,
        )

    def _motions(self) -> list[RoiMotion]:
        motions = [self._motion, *(motion for _, motion in self._history)]
        return motions if self._steady is self._motion else [*motions, self._steady]


def _center(roi: RealArray) -> DoubleArray:
    return np.asarray(roi, np.float64).reshape(2, 2).mean(axis=0)
