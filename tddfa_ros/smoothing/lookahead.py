"""Smoothing with look-ahead, for recordings: the mean of a filter that runs forward and one that runs backward.

A causal filter lags or overshoots where motion begins and ends; the same filter on reversed time does the opposite, so that their mean has
no lag (fixed-lag smoothing; compare the two-filter form of Fraser and Potter, The optimum linear smoother as a combination of two
optimum linear filters, IEEE Trans. Automatic Control 14 (4), 1969).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from tddfa_ros.config import SmoothingConfig
from tddfa_ros.face import grouped
from tddfa_ros.smoothing.filters import create_filter
from tddfa_ros.smoothing.smoother import FaceSmoother, measurement_weight
from tddfa_ros.smoothing.state import FaceState, StateCodec, difference, displaced

if TYPE_CHECKING:
    from tddfa_ros.face import EarlierFace, TrackedFace

LOOK_AHEAD = 6
"""Frames; more change the result by less than 3 % at 25 Hz (benchmarks/smoothing_video.py)."""


ABSENCE_S = 10.0
"""Time after which an ID does not return: more than `TrackingConfig.max_lost_s`, after which a track ends and its ID is not used again."""


class _Observation(NamedTuple):
    """A face and its filter input; None if its parameters are unusable."""

    face: TrackedFace
    measured: FaceState | None


class _Frame:
    """A frame that waits: its faces as given, by ID, and smoothed by the forward filter."""

    def __init__(self) -> None:
        self.given: dict[str, _Observation] = {}
        self.faces: list[TrackedFace] = []


class LookaheadSmoother:
    """Smooths like `FaceSmoother`, but delivers each frame later, with what followed taken into account.

    Args:
        config: smoothing options; None = defaults.
        frames: look-ahead in frames; 0 = that of `FaceSmoother`.
        absence_s: time after which an ID that is not seen does not return, s; what is known about it is forgotten.
        delay: frames by which results are delayed, if more than ``frames``: so long faces can be added to a frame.
    """

    def __init__(
        self,
        config: SmoothingConfig | None = None,
        frames: int = LOOK_AHEAD,
        absence_s: float = ABSENCE_S,
        delay: int = 0,
    ) -> None:
        self._forward = FaceSmoother(config)
        self._frames = frames
        self._delay = max(frames, delay)
        self._absence_s = absence_s
        self._pending: deque[_Frame] = deque()
        # By ID: the number of observations, as far as it matters, and the stamp of the last one, s.
        self._seen: dict[str, tuple[int, float]] = {}

    def push(
        self, faces: Sequence[TrackedFace], earlier: Sequence[EarlierFace] = ()
    ) -> list[TrackedFace] | None:
        """Add the faces of the next frame; return those of the frame that is now complete, None while there is none.

        Args:
            faces: faces of the frame.
            earlier: faces to add to the frames before it; see `FaceTracker.earlier`.
        """
        frame = _Frame()
        self._pending.append(frame)
        self.add(earlier)
        frame.given = {face.id: self._observation(face) for face in faces}
        frame.faces = self._forward(faces)
        self._forget()
        return self.pop() if len(self._pending) > self._delay else None

    def add(self, earlier: Sequence[EarlierFace]) -> None:
        """Add faces to frames that wait, by how many frames they came before the newest; frames delivered already stay as they are."""
        changed = set()
        for ago, face in sorted(earlier, key=lambda item: -item[0]):
            index = len(self._pending) - 1 - ago
            if index < 0:
                continue
            frame = self._pending[index]
            frame.given[face.id] = self._observation(face)
            smoothed = self._forward.smooth(face)
            frame.faces += [] if smoothed is None else [smoothed]
            changed.add(index)
        for index in changed:  # oldest track first, as the tracker returns them
            self._pending[index].faces.sort(key=lambda face: -face.age)

    def __len__(self) -> int:
        """Number of frames that wait for what follows."""
        return len(self._pending)

    def pop(self) -> list[TrackedFace]:
        """Return the faces of the oldest waiting frame, with the look-ahead there is.

        Raises:
            IndexError: no frame waits.
        """
        frame = self._pending[0]
        faces = frame.faces
        if self._ahead:
            faces = [self._smooth(face, frame.given[face.id]) for face in faces]
        self._pending.popleft()
        return grouped(faces)

    @property
    def _ahead(self) -> bool:
        return self._frames > 0 and self._forward.config.method != "none"

    def _observation(self, face: TrackedFace) -> _Observation:
        count, _ = self._seen.get(face.id, (0, 0.0))
        self._seen[face.id] = min(count + 1, self._frames + self._delay + 2), face.stamp
        measured = None
        if self._ahead:
            measured = self._forward.codec(face.model).encode(face.params, face.roi)
        return _Observation(face, measured)

    def _forget(self) -> None:
        """Forget IDs that do not return."""
        newest = max((stamp for _, stamp in self._seen.values()), default=0.0)
        old = [name for name, (_, s) in self._seen.items() if newest - s > self._absence_s]
        if old:
            waiting = {name for frame in self._pending for name in frame.given}
            for name in set(old) - waiting:
                del self._seen[name]

    def _smooth(self, forward: TrackedFace, raw: _Observation) -> TrackedFace:
        """Mean of the forward estimate and that of a filter from the newest frame back to this one."""
        codec = self._forward.codec(forward.model)
        estimate = codec.encode(forward.params, forward.roi)
        later = self._later(raw)
        backward = _filter_backward(later[: self._frames + 1], codec, self._forward.config)
        if estimate is None or backward is None:
            return forward
        # Each counts by how many frames it has seen, so that a track's first frames rely on what follows.
        seen = min(self._seen[raw.face.id][0] - len(later) + 1, self._frames + 1)
        ahead = min(len(later), self._frames + 1)
        share = ahead / (ahead + max(seen, 1))
        mean = displaced(estimate, share * difference(estimate, backward))
        shape = forward.params[codec.layout.shape_slice].astype("float64")
        params = codec.decode(mean, shape, forward.roi)
        return forward if params is None else forward.replace(params=params)

    def _later(self, raw: _Observation) -> list[_Observation]:
        """This face and the same track in the frames that follow, until a gap restarts its filter."""
        found = [raw]
        for frame in islice(self._pending, 1, None):
            following = frame.given.get(raw.face.id)
            if following is None:
                continue
            step = following.face.stamp - found[-1].face.stamp
            if not 0 < step <= self._forward.config.max_gap:
                return found
            found.append(following)
        return found


def _filter_backward(
    observations: Sequence[_Observation], codec: StateCodec, config: SmoothingConfig
) -> FaceState | None:
    """Estimate at the first of these faces from all of them; None if its own parameters are unusable."""
    if observations[0].measured is None:
        return None
    filter_ = create_filter(config, codec.layout.expression)
    estimate, stamp = None, None
    for face, measured in reversed(observations):
        if measured is not None:
            dt = 1.0 if stamp is None else stamp - face.stamp
            estimate = filter_.update(measured, dt, measurement_weight(face.confidence))
            stamp = face.stamp
    return estimate
