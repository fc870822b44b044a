"""Join the parts of a video: one MP4 with the timestamps and the audio of the source, one file of JSON lines."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import tddfa_ros
from tddfa_ros.errors import TddfaError
from tddfa_ros.files import atomic_path, write_error
from tddfa_ros.outputs.records import VIDEO_FORMAT, intrinsics_record, model_record, to_json
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.types import Intrinsics
from tddfa_ros.video.encoder import has_pyav
from tddfa_ros.video.join import join_videos
from tddfa_ros.video.parts import Part


class Finisher:
    """Join parts.

    Args:
        parts: in order.
        on_message: called with the reason if the audio is left out.
    """

    def __init__(self, parts: Sequence[Part], on_message: Callable[[str], None]) -> None:
        self._parts = parts
        self._on_message = on_message

    def video(self, output: Path, times: Sequence[float], audio: Path | None) -> Path:
        """Join the frames of all parts.

        Args:
            output: the ``.mp4`` file.
            times: timestamps of the frames and the end of the last one, s.
            audio: file with the audio stream; None = no audio.

        Raises:
            TddfaError: a file cannot be read or written.
        """
        videos = [part.video for part in self._parts]
        if not has_pyav():  # one part, see annotate_video; its frames are evenly spaced
            try:
                shutil.move(videos[0], output)
            except OSError as error:
                raise write_error(output, error) from error
            return output
        if audio is not None:
            try:
                join_videos(videos, times, output, audio)
                return output
            except TddfaError as error:
                reason = str(error)
        join_videos(videos, times, output)
        if audio is not None:
            self._on_message(f"the audio of {audio} is left out: {reason}")
        return output

    def lines(self, output: Path, pipeline: FacePipeline, size: tuple[int, int]) -> Path:
        """Join the JSON lines of all parts below a header line.

        Args:
            output: the ``.jsonl`` file.
            pipeline: the one that found the faces.
            size: width and height of the frames, px.

        Raises:
            TddfaError: a file cannot be read or written.
        """
        camera = Intrinsics.from_fov(*size, pipeline.config.camera.assumed_fov_deg)
        header = {
            "format": VIDEO_FORMAT,
            "version": tddfa_ros.__version__,
            "model": model_record(pipeline.model, pipeline.config.regression.model),
            "camera": intrinsics_record(camera),
        }
        with atomic_path(output) as temporary, temporary.open("wb") as file:
            file.write((to_json(header) + "\n").encode())
            for part in self._parts:
                with part.lines.open("rb") as lines:
                    shutil.copyfileobj(lines, file)
        return output
