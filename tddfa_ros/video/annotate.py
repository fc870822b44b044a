"""Annotate a video or camera stream: track and smooth faces, draw them, write a video and JSON lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from tddfa_ros.background import ReadAhead
from tddfa_ros.errors import SourceError
from tddfa_ros.interrupt import StopRequest
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.sources import CameraSource, VideoSource
from tddfa_ros.types import ImageBGR
from tddfa_ros.video.analysis import AnalyzedFrame, VideoAnalysis
from tddfa_ros.video.encoder import even_size, has_pyav
from tddfa_ros.video.finish import Finisher
from tddfa_ros.video.job import (
    VideoInput,
    VideoOptions,
    check_outputs,
    job_record,
    open_video,
    truncation_of,
)
from tddfa_ros.video.parts import PartsFolder
from tddfa_ros.video.writer import FrameWriter

_CAMERA_RATE = 30.0
_WAITING = 4  # decoded frames
_WITHOUT_PYAV = (
    "PyAV 15 or later is not installed, so the video has a constant frame rate and no audio, and an interrupted run starts over; "
    "pip install av"
)


@dataclass(frozen=True)
class VideoSummary:
    """Result of :func:`annotate_video`.

    Attributes:
        frames: number of frames in the output.
        resumed: number of these that an earlier, interrupted run had processed.
        faces: number of track IDs.
        seconds: duration of the output.
        finished: False if the run was stopped before the end of the source.
        files: written files.
        truncated: whether the source file is shorter than its container declares, so that the end is missing.
    """

    frames: int
    resumed: int
    faces: int
    seconds: float
    finished: bool
    files: tuple[Path, ...]
    truncated: bool = False


def annotate_video(
    source: str,
    output: Path | None,
    pipeline: FacePipeline,
    options: VideoOptions | None = None,
    *,
    show: Callable[[ImageBGR], bool] | None = None,
    progress: bool = True,
    on_message: Callable[[str], None] = lambda _: None,
) -> VideoSummary:
    """Track and smooth the faces of a video or camera, draw them, and write a video and JSON lines.

    The output has every frame of the source with its timestamp and duration, at constant and varying frame rates, and the audio. An
    interrupted run is resumed by the same call: finished parts are kept, and the result equals that of an uninterrupted run. Ctrl-C and
    the end of a camera stream finish the output file. Without PyAV the output has a constant frame rate and no audio, and an
    interrupted run starts over.

    Args:
        source: the path of a video, a camera such as ``0``, ``demo``, or a stream such as ``rtsp://...``.
        output: an ``.mp4`` file; None = no video.
        pipeline: detects and regresses faces.
        options: layers, smoothing and outputs.
        show: called with every annotated frame; returning False ends the run. See :class:`tddfa_ros.video.LiveWindow`.
        progress: show a progress bar.
        on_message: called with one sentence about anything left out of the output.

    Raises:
        SourceError: the source cannot be opened, or has no frame.
        ConfigError: an output exists, a layer is unknown, or the output has parts of another job beside it.
        TddfaError: a file cannot be written.
    """
    options = options or VideoOptions()
    if output is not None and not has_pyav():
        on_message(_WITHOUT_PYAV)
        options = replace(options, part_frames=sys.maxsize)
    check_outputs(source, output, options)
    video = open_video(source, options, pipeline.config.input.max_image_pixels)
    live = isinstance(video, CameraSource)
    truncation = truncation_of(video)
    if truncation is not None:
        on_message(f"{truncation}; the frames before that are processed")
    target = output or options.json
    parts = None
    if target is not None:
        parts = PartsFolder(
            target,
            job_record(source, live, output, pipeline, options),
            options.part_frames,
            options.restart,
        )
    run = _Run(video, output, parts, pipeline, options, show, on_message)
    try:
        run.resume()
        with StopRequest() as stop:
            total = getattr(video, "count", 0) or None
            with tqdm(
                total=total,
                initial=len(run.times),
                unit="frame",
                disable=None if progress else True,
            ) as bar:
                for _ in run.frames(stop):
                    bar.update()
        run.close()
    except BaseException:
        run.abort()
        raise
    finally:
        run.stop_reading()
        video.close()
    return run.finish(Path(source) if isinstance(video, VideoSource) else None, resumable=not live)


class _Run:
    """State of one run over a source."""

    def __init__(
        self,
        video: VideoInput,
        output: Path | None,
        parts: PartsFolder | None,
        pipeline: FacePipeline,
        options: VideoOptions,
        show: Callable[[ImageBGR], bool] | None,
        on_message: Callable[[str], None],
    ) -> None:
        self.times: list[float] = []
        self._video = video
        self._output = output
        self._parts = parts
        self._pipeline = pipeline
        self._options = options
        self._show = show
        self._on_message = on_message
        # The view of a camera must not lag.
        look_ahead = 0 if isinstance(video, CameraSource) else options.look_ahead
        self._analysis = VideoAnalysis(pipeline, options.smoothing, look_ahead)
        self._reader: ReadAhead[tuple[ImageBGR, float]] | None = None
        self._writer = FrameWriter(
            output, parts, video.rate or _CAMERA_RATE, pipeline, options, show is not None
        )
        self._size: tuple[int, int] | None = None
        self._last_read = 0.0
        self._resumed = self._read_frames = 0
        self._ended = False
        self._cut = False  # the frames that wait are complete without those that follow
        self._limited = False

    def resume(self) -> None:
        """Restore the state at the end of the finished parts of an earlier run."""
        for _, journal in self._parts.complete if self._parts is not None else ():
            self._analysis.replay(journal)
            self._writer.restore(journal)
            self.times += journal.times
            self._size = journal.shape[1], journal.shape[0]
        self._resumed = self._read_frames = len(self.times)
        if self._resumed and not isinstance(self._video, CameraSource):
            self._video.skip(self._resumed)

    def frames(self, stop: StopRequest) -> Iterator[ImageBGR]:
        """Process frames until the source ends or a stop is requested; yield each frame, annotated if anybody sees it."""
        for frame in self._analyzed(stop):
            drawn = self._emit(frame)
            yield drawn
            if self._show is not None and not self._show(drawn):
                return

    def _analyzed(self, stop: StopRequest) -> Iterator[AnalyzedFrame]:
        for image, seconds in self._read():
            self._check_size(image)
            self._read_frames += 1
            self._last_read = seconds
            ready = list(self._analysis.step(image, seconds))
            self._note_limit(seconds)
            yield from ready
            if stop.requested:
                break
        else:
            self._ended = True
        yield from self._flush()

    def _note_limit(self, seconds: float) -> None:
        note = self._pipeline.face_limit_note
        if note is not None and not self._limited:
            self._limited = True
            self._on_message(f"{note} (at {seconds:.2f} s)")

    def _emit(self, frame: AnalyzedFrame) -> ImageBGR:
        shown = self._writer.write(frame, len(self.times))
        self.times.append(frame.seconds)
        if len(self.times) % self._options.part_frames == 0:
            self._end_part()
        return shown

    def _flush(self) -> Iterator[AnalyzedFrame]:
        self._cut = not self._ended
        yield from self._analysis.flush()

    def _end_part(self) -> None:
        self._writer.end_part(replace(self._analysis.take_journal(), final=not self._cut))

    def stop_reading(self) -> None:
        """End the thread that decodes frames."""
        if self._reader is not None:
            self._reader.close()

    def close(self) -> None:
        """Write the frames that wait for the look-ahead, and close the open part."""
        for frame in self._flush():
            self._emit(frame)
        self._end_part()
        self._writer.close()

    def abort(self) -> None:
        """Close the files of the open part without completing it: frames may be missing."""
        self._writer.abort()

    def finish(self, audio: Path | None, resumable: bool) -> VideoSummary:
        """Join the parts; ``audio`` is the file with the audio stream."""
        if not self.times:
            raise SourceError("the source has no frame")
        last = self.times[-1]
        interval = (
            last - self.times[-2] if len(self.times) > 1 else 1 / (self._video.rate or _CAMERA_RATE)
        )
        times = [t - self.times[0] for t in (*self.times, last + interval)]
        files: list[Path] = []
        if self._parts is not None:
            count = -(-len(self.times) // self._options.part_frames)
            finisher = Finisher([self._parts.part(i) for i in range(count)], self._on_message)
            if self._output is not None:
                files.append(
                    finisher.video(self._output, times, audio if self._options.audio else None)
                )
            if self._options.json is not None and self._size is not None:
                files.append(finisher.lines(self._options.json, self._pipeline, self._size))
            if self._ended or not resumable:
                self._parts.remove()
        return VideoSummary(
            len(self.times),
            self._resumed,
            len(self._analysis.ids),
            times[-1],
            self._ended,
            tuple(files),
            self._ended and truncation_of(self._video) is not None,
        )

    def _read(self) -> Iterator[tuple[ImageBGR, float]]:
        """Yield frames and times; those of a file are decoded ahead, those of a camera must be new."""
        frames: Iterable[tuple[ImageBGR, float]] = self._decoded()
        if not isinstance(self._video, CameraSource):
            frames = self._reader = ReadAhead(frames, _WAITING)
        try:
            yield from frames
        except SourceError as error:
            if not self._read_frames:
                raise
            self._on_message(str(error))

    def _decoded(self) -> Iterator[tuple[ImageBGR, float]]:
        begin: float | None = None
        while (frame := self._video.read(0.0)) is not None:
            now = time.monotonic()
            begin = now if begin is None else begin
            yield even_size(frame.image), now - begin if frame.seconds is None else frame.seconds

    def _check_size(self, image: ImageBGR) -> None:
        size = image.shape[1], image.shape[0]
        if self._size is not None and size != self._size:
            raise SourceError(f"the frame size of the video changes after {self._last_read:.2f} s")
        self._size = size
