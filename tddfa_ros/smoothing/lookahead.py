"""Smoothing with look-ahead, for recordings: the mean of a filter that runs forward and one that runs backward.

A causal filter lags or overshoots where motion begins and ends; the same filter on reversed time does the opposite, so that their mean has
no lag (fixed-lag smoothing; compare the two-filter form of Fraser and Potter, The optimum linear smoother as a combination of two
optimum linear filters, IEEE Trans. Automatic Control 14 (4), 1969).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tddfa_ros.config import SmoothingConfig
from tddfa_ros.smoothing.filters import create_filter
from tddfa_ros.smoothing.smoother import FaceSmoother, measurement_weight
from tddfa_ros.smoothing.state import FaceState, StateCodec, difference, displaced

if TYPE_CHECKING:
    from tddfa_ros.face import TrackedFace

LOOK_AHEAD = 6
"""Frames; more change the result by less than 3 % at 25 Hz (benchmarks/smoothing_video.py)."""


class LookaheadSmoother:
    """Smooths like `FaceSmoother`, but delivers each frame ``frames`` frames later, with what followed taken into account.

    Args:
        config: smoothing options; None = defaults.
        frames: look-ahead in frames; 0 = that of `FaceSmoother`, without delay.
    """

    def __init__(self, config: SmoothingConfig | None = None, frames: int = LOOK_AHEAD) -> None:
        self._forward = FaceSmoother(config)
        self._frames = frames
        self._pending: deque[tuple[list[TrackedFace], list[TrackedFace]]] = deque()
        self._observations: dict[str, int] = {}

    def push(self, faces: Sequence[TrackedFace]) -> list[TrackedFace] | None:
        """Add the faces of the next frame; return those of the frame that is now complete, None while there is none."""
        given = list(faces)
        for face in given:
            self._observations[face.id] = self._observations.get(face.id, 0) + 1
        self._pending.append((given, self._forward(given)))
        return self.pop() if len(self._pending) > self._frames else None

    def __len__(self) -> int:
        """Number of frames that wait for what follows."""
        return len(self._pending)

    def pop(self) -> list[TrackedFace]:
        """Return the faces of the oldest waiting frame, with the look-ahead there is.

        Raises:
            IndexError: no frame waits.
        """
        given, smoothed = self._pending[0]
        if self._frames and self._forward.config.method != "none":
            raw = {face.id: face for face in given}
            smoothed = [self._smooth(face, raw[face.id]) for face in smoothed]
        self._pending.popleft()
        return smoothed

    def _smooth(self, forward: TrackedFace, raw: TrackedFace) -> TrackedFace:
        """Mean of the forward estimate and that of a filter from the newest frame back to this one."""
        codec = self._forward.codec(forward.model)
        estimate = codec.encode(forward.params, forward.roi)
        later = self._later(raw)
        backward = _filter_backward(later, codec, self._forward.config)
        if estimate is None or backward is None:
            return forward
        # Each counts by how many frames it has seen, so that a track's first frames rely on what follows.
        seen = min(self._observations[raw.id] - len(later) + 1, self._frames + 1)
        share = len(later) / (len(later) + max(seen, 1))
        mean = displaced(estimate, share * difference(estimate, backward))
        shape = forward.params[codec.layout.shape_slice].astype("float64")
        params = codec.decode(mean, shape, forward.roi)
        return forward if params is None else forward.replace(params=params)

    def _later(self, raw: TrackedFace) -> list[TrackedFace]:
        """This face and the same track in the frames that follow, until a gap restarts its filter."""
        found = [raw]
        for given, _ in list(self._pending)[1:]:
            for face in given:
                if face.id == raw.id:
                    if not 0 < face.stamp - found[-1].stamp <= self._forward.config.max_gap:
                        return found
                    found.append(face)
        return found


def _filter_backward(
    faces: Sequence[TrackedFace], codec: StateCodec, config: SmoothingConfig
) -> FaceState | None:
    """Estimate at the first of these faces from all of them; None if its own parameters are unusable."""
    if codec.encode(faces[0].params, faces[0].roi) is None:
        return None
    filter_ = create_filter(config, codec.layout.expression)
    estimate, stamp = None, None
    for face in reversed(faces):
        measured = codec.encode(face.params, face.roi)
        if measured is not None:
            dt = 1.0 if stamp is None else stamp - face.stamp
            estimate = filter_.update(measured, dt, measurement_weight(face.confidence))
            stamp = face.stamp
    return estimate
