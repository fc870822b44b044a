"""Paint analyzed frames and write them with their JSON lines, in a background thread unless they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tddfa_ros.attributes.estimate import default_estimator
from tddfa_ros.attributes.track import AttributeTracks, SmoothedAttributes, smoothed_record
from tddfa_ros.background import WriteBehind
from tddfa_ros.outputs.layers import ATTRIBUTES, paint_layers
from tddfa_ros.outputs.records import face_record
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.types import ImageBGR
from tddfa_ros.video.analysis import AnalyzedFrame
from tddfa_ros.video.encoder import VideoEncoder
from tddfa_ros.video.job import VideoOptions
from tddfa_ros.video.journal import Journal
from tddfa_ros.video.parts import PartsFolder, PartWriter

_WAITING = 4  # frames


class FrameWriter:
    """Writer of the parts of one run.

    Args:
        output: the video; None = frames are not written.
        parts: folder of the parts; None = nothing is written.
        rate: frames per second of the video.
        pipeline: provides the morphable model and the compute device of layers.
        options: layers, effects and JSON lines.
        shown: whether somebody looks at the frames: they are then painted at once, in the calling thread.
    """

    def __init__(
        self,
        output: Path | None,
        parts: PartsFolder | None,
        rate: float,
        pipeline: FacePipeline,
        options: VideoOptions,
        shown: bool,
    ) -> None:
        self._output = output
        self._parts = parts
        self._rate = rate
        self._pipeline = pipeline
        self._options = options
        self._painted = output is not None or shown
        self._behind = None if shown else WriteBehind(_WAITING)
        self._part: PartWriter | None = None
        self._codec: str | None = None
        self._tracks = AttributeTracks()

    def restore(self, journal: Journal) -> None:
        """Continue after the part of a journal."""
        self._tracks.restore(journal.attributes)

    def write(self, frame: AnalyzedFrame, number: int) -> ImageBGR:
        """Paint and write frame ``number`` of the output, counted from 0; return it, painted if it is shown.

        Raises:
            TddfaError: this frame or an earlier one cannot be written.
        """
        if self._behind is None:
            return self._complete(frame, number)
        self._behind.submit(partial(self._complete, frame, number))
        return frame.image

    def end_part(self, journal: Journal) -> None:
        """Close the part of the frames so far, if there is one; ``journal`` covers its frames."""
        if self._behind is None:
            self._close(journal)
        else:
            self._behind.submit(partial(self._close, journal))

    def close(self) -> None:
        """Wait until everything is written; raise the error of what could not be."""
        if self._behind is not None:
            self._behind.close()

    def abort(self) -> None:
        """Drop the frames that wait, and close the files of the open part without completing it."""
        if self._behind is not None:
            self._behind.cancel()
        if self._part is not None:
            self._part.abort()
            self._part = None

    def _complete(self, frame: AnalyzedFrame, number: int) -> ImageBGR:
        found = self._attributes(frame)
        drawn = self._paint(frame, found) if self._painted else frame.image
        line = None
        if self._options.json is not None:
            records = [face_record(face) for face in frame.faces]
            for record, attributes in zip(records, found or (), strict=False):
                record[ATTRIBUTES] = smoothed_record(attributes)
            line = {"frame": number, "time": frame.seconds, "faces": records}
        self._append(drawn, line, number)
        return drawn

    def _attributes(self, frame: AnalyzedFrame) -> list[SmoothedAttributes] | None:
        if ATTRIBUTES not in self._options.layers:
            return None
        estimator = default_estimator(self._pipeline.config.regression.device)
        found = estimator.estimate_all(frame.image, frame.faces)
        return self._tracks.add(frame.faces, found)

    def _paint(self, frame: AnalyzedFrame, found: list[SmoothedAttributes] | None) -> ImageBGR:
        image, faces = frame.image, frame.faces
        for effect in self._options.effects:
            image = effect.paint(image, faces, self._pipeline.model)
        return paint_layers(
            image,
            faces,
            self._pipeline.model,
            self._options.layers,
            self._pipeline.config.regression.device,
            found,
        )

    def _append(self, drawn: ImageBGR, line: Mapping[str, Any] | None, number: int) -> None:
        if self._parts is None:
            return
        if self._part is None:
            part = self._parts.part(number // self._options.part_frames)
            encoder = None
            if self._output is not None:
                size = drawn.shape[1], drawn.shape[0]
                encoder = VideoEncoder(part.video, size, self._rate, self._codec)
                self._codec = encoder.codec
            self._part = PartWriter(part, encoder, self._options.json is not None)
        self._part.write(drawn, line)

    def _close(self, journal: Journal) -> None:
        if self._part is not None:
            self._part.close(replace(journal, attributes=self._tracks.state()))
            self._part = None
