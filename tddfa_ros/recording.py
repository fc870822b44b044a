"""Track and smooth the faces of a recording: with look-ahead, and from the first frame in which each face is seen."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

from tddfa_ros.smoothing.lookahead import ABSENCE_S, LOOK_AHEAD, LookaheadSmoother
from tddfa_ros.tracking.tracker import FaceTracker

if TYPE_CHECKING:
    from tddfa_ros.config import SmoothingConfig
    from tddfa_ros.face import TrackedFace
    from tddfa_ros.pipeline import FacePipeline
    from tddfa_ros.tracking.camera_motion import BackgroundMotion
    from tddfa_ros.types import ImageBGR, Intrinsics

T = TypeVar("T")


class RecordingTracker(Generic[T]):
    """Tracker and smoother of one recording; its frames are complete a few frames later.

    - Smoothing looks ahead; see `LookaheadSmoother`.
    - A face is reported from the first frame in which it is found, once ``tracking.min_hits`` frames have confirmed it. In a recording
      with fewer frames it must be found in all of them, in a recording of one frame in that one.

    Args:
        pipeline: detects and regresses faces; its configuration has the tracking options.
        smoothing: temporal filter of the tracks; None = that of the pipeline.
        look_ahead: frames that smoothing looks ahead; 0 = a live stream: each frame is complete at once, without look-ahead and earlier
            faces.
        camera_motion: see `FaceTracker`.

    Attributes:
        ids: IDs of all faces so far.
    """

    def __init__(
        self,
        pipeline: FacePipeline,
        smoothing: SmoothingConfig | None = None,
        look_ahead: int = LOOK_AHEAD,
        *,
        camera_motion: BackgroundMotion | None = None,
    ) -> None:
        self.ids: set[str] = set()
        config = pipeline.config
        self._tracker = FaceTracker(pipeline, camera_motion=camera_motion)
        self._smoother = LookaheadSmoother(
            config.smoothing if smoothing is None else smoothing,
            look_ahead,
            max(ABSENCE_S, 2 * config.tracking.max_lost_s),
            self._tracker.confirmation_frames if look_ahead else 0,
        )
        self._live = not look_ahead
        self._held: deque[T] = deque()

    def step(
        self, image: ImageBGR, seconds: float, item: T, intrinsics: Intrinsics | None = None
    ) -> list[tuple[T, list[TrackedFace]]]:
        """Track faces into the next frame; return the frame that is now complete, if any.

        Args:
            image: (H, W, 3) uint8 BGR.
            seconds: stamp of the frame, s.
            item: what identifies the frame in the result.
            intrinsics: camera intrinsics; None = the configured field of view.

        Returns:
            At most one pair of an item and its smoothed faces, oldest track first.

        Raises:
            ImageError: see `FaceTracker.update`.
        """
        tracked = self._tracker.update(image, seconds, intrinsics)
        self.ids.update(face.id for face in tracked)
        self._held.append(item)
        faces = self._smoother.push(tracked, self._tracker.earlier)
        return [] if faces is None else [(self._held.popleft(), faces)]

    def finish(self) -> Iterator[tuple[T, list[TrackedFace]]]:
        """End the recording and yield the frames that wait; those that are not taken go on waiting."""
        if not self._live:
            earlier = self._tracker.finish()
            self.ids.update(face.id for _, face in earlier)
            self._smoother.add(earlier)
        while self._held:
            yield self._held.popleft(), self._smoother.pop()
