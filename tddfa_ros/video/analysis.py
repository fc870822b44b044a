"""Track and smooth the faces of a video frame by frame, with a journal to resume from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, cast

import numpy as np

from tddfa_ros.config import SmoothingConfig
from tddfa_ros.errors import TddfaError
from tddfa_ros.face import TrackedFace
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.recording import RecordingTracker
from tddfa_ros.types import ImageBGR
from tddfa_ros.video.journal import Journal, JournaledPipeline


class AnalyzedFrame(NamedTuple):
    """A frame, its timestamp in s, and its smoothed faces."""

    image: ImageBGR
    seconds: float
    faces: list[TrackedFace]


class VideoAnalysis:
    """Tracker and smoother of one video, with a journal of the network outputs.

    Frames are complete some frames after they are read. The journal has the outputs for all frames read, so those of the frames that
    wait, and the timestamps of the complete ones: a part of a video ends anywhere without an effect on its faces.

    Args:
        pipeline: detects and regresses faces.
        smoothing: temporal filter of the tracks.
        look_ahead: frames that smoothing looks ahead; 0 = results are not delayed.
    """

    def __init__(
        self, pipeline: FacePipeline, smoothing: SmoothingConfig, look_ahead: int = 0
    ) -> None:
        self._journaled = JournaledPipeline(pipeline)
        self._recording: RecordingTracker[tuple[ImageBGR, float]] = RecordingTracker(
            # It has the part of a pipeline's interface that a tracker uses.
            cast(FacePipeline, self._journaled),
            smoothing,
            look_ahead,
            camera_motion=self._journaled.camera_motion,
        )
        self._replayed = 0  # frames of earlier parts that wait; they are written already

    @property
    def ids(self) -> set[str]:
        """IDs of all faces so far."""
        return self._recording.ids

    def step(self, image: ImageBGR, seconds: float) -> Iterator[AnalyzedFrame]:
        """Analyze the next frame, (H, W, 3) uint8 BGR, with its timestamp in s; yield the frame that is now complete, if any."""
        return self._new(self._recording.step(image, seconds, (image, seconds)))

    def flush(self) -> Iterator[AnalyzedFrame]:
        """End the video and yield the frames that wait; those that are not taken go on waiting."""
        return self._new(self._recording.finish())

    def take_journal(self) -> Journal:
        """Return the journal since the last call; the next complete frame starts a new one."""
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
            complete = self._recording.step(blank, seconds, (blank, seconds))
            self._replayed += 1 - len(complete)
        fresh = self.take_journal()
        if fresh.detections or fresh.faces:
            raise TddfaError(
                "the journal of the interrupted run does not match the video; discard it with --restart"
            )

    def _new(
        self, complete: Iterable[tuple[tuple[ImageBGR, float], list[TrackedFace]]]
    ) -> Iterator[AnalyzedFrame]:
        """Record complete frames in the journal and yield them, without those of earlier parts."""
        for (image, seconds), faces in complete:
            if self._replayed:
                self._replayed -= 1
                continue
            journal = self._journaled.journal
            journal.shape = image.shape[0], image.shape[1]
            journal.times.append(seconds)
            yield AnalyzedFrame(image, seconds, faces)
