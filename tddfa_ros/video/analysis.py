"""Track and smooth the faces of a video frame by frame, with a journal to resume from."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple, cast

import numpy as np

from tddfa_ros.config import SmoothingConfig
from tddfa_ros.errors import TddfaError
from tddfa_ros.face import TrackedFace
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.smoothing.lookahead import ABSENCE_S, LookaheadSmoother
from tddfa_ros.tracking import FaceTracker
from tddfa_ros.types import ImageBGR
from tddfa_ros.video.journal import Journal, JournaledPipeline


class AnalyzedFrame(NamedTuple):
    """A frame, its timestamp in s, and its smoothed faces."""

    image: ImageBGR
    seconds: float
    faces: list[TrackedFace]


class VideoAnalysis:
    """Tracker and smoother of one video, with a journal of the network outputs.

    Args:
        pipeline: detects and regresses faces.
        smoothing: temporal filter of the tracks.
        look_ahead: frames by which results are delayed, so that smoothing knows what follows.

    Attributes:
        ids: IDs of all faces so far.
    """

    def __init__(
        self, pipeline: FacePipeline, smoothing: SmoothingConfig, look_ahead: int = 0
    ) -> None:
        self.ids: set[str] = set()
        self._journaled = JournaledPipeline(pipeline)
        # It has the part of a pipeline's interface that a tracker uses.
        self._tracker = FaceTracker(
            cast(FacePipeline, self._journaled), camera_motion=self._journaled.camera_motion
        )
        absence_s = max(ABSENCE_S, 2 * pipeline.config.tracking.max_lost_s)
        self._smoother = LookaheadSmoother(smoothing, look_ahead, absence_s)
        self._held: deque[tuple[ImageBGR, float]] = deque()

    def step(self, image: ImageBGR, seconds: float) -> list[AnalyzedFrame]:
        """Analyze the next frame, (H, W, 3) uint8 BGR, with its timestamp in s; return the frame that is now complete, if any."""
        journal = self._journaled.journal
        journal.shape = image.shape[0], image.shape[1]
        journal.times.append(seconds)
        return self._track(image, seconds)

    def flush(self) -> Iterator[AnalyzedFrame]:
        """Yield the frames that wait for the look-ahead; those that are not taken go on waiting."""
        while self._held:
            yield AnalyzedFrame(*self._held.popleft(), self._smoother.pop())

    def take_journal(self) -> Journal:
        """Return the journal since the last call; the next frame starts a new one."""
        journal, self._journaled.journal = self._journaled.journal, Journal()
        return journal

    def replay(self, journal: Journal) -> None:
        """Restore the state after the frames of a journal, without their images.

        Raises:
            TddfaError: the journal does not match the calls of the tracker.
        """
        self._journaled.replay(journal)
        blank = np.broadcast_to(np.zeros(3, np.uint8), (*journal.shape, 3))
        for seconds in journal.times:
            self._track(blank, seconds)
        deque(self.flush(), maxlen=0)
        fresh = self.take_journal()
        if self._journaled.replaying or fresh.detections or fresh.faces:
            raise TddfaError(
                "the journal of the interrupted run does not match the video; discard it with --restart"
            )

    def _track(self, image: ImageBGR, seconds: float) -> list[AnalyzedFrame]:
        tracked = self._tracker.update(image, seconds)
        self.ids.update(face.id for face in tracked)
        self._held.append((image, seconds))
        faces = self._smoother.push(tracked)
        return [] if faces is None else [AnalyzedFrame(*self._held.popleft(), faces)]
