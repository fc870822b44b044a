"""Track and smooth the faces of an image source, and send them to avatar receivers."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

from tddfa_ros.avatar.blend_shapes import BlendShapes
from tddfa_ros.avatar.frame import AvatarFrame
from tddfa_ros.avatar.receiver import Receiver
from tddfa_ros.config import SmoothingConfig
from tddfa_ros.errors import ImageError
from tddfa_ros.face import TrackedFace
from tddfa_ros.gaze.direction import estimate_gaze
from tddfa_ros.gaze.track import GazeTracks
from tddfa_ros.interrupt import StopRequest
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.recording import RecordingTracker
from tddfa_ros.smoothing.lookahead import LOOK_AHEAD
from tddfa_ros.sources import ImageSource
from tddfa_ros.types import ImageBGR


def drive(
    source: ImageSource,
    pipeline: FacePipeline,
    receivers: Sequence[Receiver],
    *,
    smoothing: SmoothingConfig | None = None,
    stretch: bool = True,
    gaze: bool = True,
    real_time: bool = True,
    on_message: Callable[[str], None] = lambda _: None,
) -> Iterator[list[AvatarFrame]]:
    """Send the faces of every image to all receivers, and yield the sent frames of each image.

    Ends with the source or on Ctrl-C; closes the source, but not the receivers. Not in real time, the faces of an image are sent a few
    images later: smoothing looks ahead, and faces are sent from their first image on.

    Args:
        smoothing: temporal filter; None = defaults.
        stretch: see `BlendShapes`.
        gaze: set ``eyeLook...`` by the irises in the images; False = by the network.
        real_time: play a file at its own rate, dropping late frames; False = as fast as possible.
        on_message: called with one sentence for every image that cannot be read.

    Raises:
        ConfigError: the pipeline's morphable model has other expressions than ARKit's. SourceError: the source has no readable image.
    """
    shapes = BlendShapes(pipeline.model.expression_names, stretch)
    recording: RecordingTracker[tuple[ImageBGR, float]] = RecordingTracker(
        pipeline, smoothing or SmoothingConfig(), 0 if real_time else LOOK_AHEAD
    )
    gazes = GazeTracks()

    def complete() -> Iterator[tuple[tuple[ImageBGR, float], list[TrackedFace]]]:
        with closing(source), StopRequest() as stop:
            for image, seconds in _images(source, real_time, on_message):
                yield from recording.step(image, seconds, (image, seconds))
                if stop.requested:
                    break
        yield from recording.finish()

    for (image, seconds), found in complete():
        gazes.keep([face.id for face in found])
        frames = [
            AvatarFrame.from_face(
                face,
                shapes,
                gazes.update(face.id, seconds, estimate_gaze(image, face)) if gaze else None,
            )
            for face in found
        ]
        for receiver in receivers:
            receiver.send(frames)
        yield frames


def _images(
    source: ImageSource, real_time: bool, on_message: Callable[[str], None] = lambda _: None
) -> Iterator[tuple[ImageBGR, float]]:
    """Yield images and timestamps, s: arrival time for a camera, own time for a file; in real time late frames are dropped."""
    begin = time.monotonic()
    told: set[str] = set()
    laps = last = 0.0  # a looping file restarts at 0
    for count in itertools.count():
        now = time.monotonic() - begin
        due = now if source.rate == 0 else count / source.rate
        try:
            frame = source.read(due)
        except ImageError as error:
            if str(error) not in told:  # once, although a folder may be repeated
                told.add(str(error))
                on_message(str(error))
            continue
        if frame is None:
            return
        seconds = due
        if frame.seconds is not None:
            if frame.seconds < last:
                laps += last + (1 / source.rate if source.rate else 0.0)
            last = frame.seconds
            seconds = laps + frame.seconds
        if real_time and source.rate > 0:
            now = time.monotonic() - begin
            if now > seconds + 1 / source.rate:
                continue
            time.sleep(max(seconds - now, 0.0))
        yield frame.image, seconds
