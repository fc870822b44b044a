"""Tracking and smoothing of one video, picture by picture, in a way that can be taken up again."""

from __future__ import annotations

from typing import cast

import numpy as np

from tddfa_ros.config import SmoothingConfig
from tddfa_ros.errors import TddfaError
from tddfa_ros.face import TrackedFace
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.smoothing import FaceSmoother
from tddfa_ros.tracking import FaceTracker
from tddfa_ros.types import ImageBGR
from tddfa_ros.video.journal import Journal, JournalledPipeline


class VideoAnalysis:
    """Tracked, smoothed faces of the pictures of a video, and a journal of what the networks said.

    Args:
        pipeline: finds the faces.
        smoothing: how tracks are smoothed.

    Attributes:
        ids: of all faces seen so far.
    """

    def __init__(self, pipeline: FacePipeline, smoothing: SmoothingConfig) -> None:
        self.ids: set[str] = set()
        self._journalled = JournalledPipeline(pipeline)
        # It has all that a tracker asks for, and nothing else of a pipeline.
        self._tracker = FaceTracker(cast(FacePipeline, self._journalled))
        self._smoother = FaceSmoother(smoothing)

    def step(self, image: ImageBGR, seconds: float) -> list[TrackedFace]:
        """Faces of the next picture, (H, W, 3) uint8 BGR, which is shown at that time."""
        journal = self._journalled.journal
        journal.shape = image.shape[0], image.shape[1]
        journal.times.append(seconds)
        return self._follow(image, seconds)

    def take_journal(self) -> Journal:
        """The journal since the last call; the next picture begins another one."""
        journal, self._journalled.journal = self._journalled.journal, Journal()
        return journal

    def repeat(self, journal: Journal) -> None:
        """Come to the state that the journal's pictures led to, without looking at them.

        Raises:
            TddfaError: tracking asks for other things than the journal answers.
        """
        self._journalled.repeat(journal)
        unseen = np.broadcast_to(np.zeros(3, np.uint8), (*journal.shape, 3))
        for seconds in journal.times:
            self._follow(unseen, seconds)
        asked = self.take_journal()
        if self._journalled.repeating or asked.detections or asked.faces:
            raise TddfaError("the journal of the video does not fit it; begin anew with --restart")

    def _follow(self, image: ImageBGR, seconds: float) -> list[TrackedFace]:
        faces = self._smoother(self._tracker.update(image, seconds))
        self.ids.update(face.id for face in faces)
        return faces
