"""The finished parts of a video put together: one MP4 with the source's times and sound, one file of JSON lines."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import tddfa_ros
from tddfa_ros.errors import TddfaError
from tddfa_ros.outputs.records import VIDEO_FORMAT, intrinsics_record, model_record, to_json
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.types import Intrinsics
from tddfa_ros.video.audio import add_audio
from tddfa_ros.video.mp4 import read_track
from tddfa_ros.video.mp4_join import join_tracks
from tddfa_ros.video.parts import Part


class Finisher:
    """Joins parts.

    Args:
        parts: in their order.
        folder: for files in between.
        say: told why there is no sound.
    """

    def __init__(self, parts: Sequence[Part], folder: Path, say: Callable[[str], None]) -> None:
        self._parts = parts
        self._folder = folder
        self._say = say

    def video(self, output: Path, times: Sequence[float], sound: Path | None) -> Path:
        """Join the pictures and give them their times.

        Args:
            output: the ``.mp4``. times: of each picture, and the end, s. sound: the file that has it; None = none is wanted.
        """
        joined = self._folder / "joined.mp4"
        join_tracks([read_track(part.video) for part in self._parts], times, joined)
        if sound is not None:
            reason = add_audio(joined, sound, output)
            if reason is None:
                return output
            self._say(reason)
        try:
            joined.replace(output)
        except OSError as error:
            raise TddfaError(f"cannot write {output}: {error.strerror or error}") from error
        return output

    def lines(self, output: Path, pipeline: FacePipeline, size: tuple[int, int]) -> Path:
        """Join the lines of JSON, under a first line that says what they mean.

        Args:
            output: the ``.jsonl``. pipeline: that found the faces. size: width and height of the pictures, px.
        """
        camera = Intrinsics.from_fov(*size, pipeline.config.camera.assumed_fov_deg)
        header = {
            "format": VIDEO_FORMAT,
            "version": tddfa_ros.__version__,
            "model": model_record(pipeline.model, pipeline.config.regression.model),
            "camera": intrinsics_record(camera),
        }
        partial = output.with_name(output.name + ".part")
        try:
            with partial.open("wb") as file:
                file.write((to_json(header) + "\n").encode())
                for part in self._parts:
                    with part.lines.open("rb") as lines:
                        shutil.copyfileobj(lines, file)
            partial.replace(output)
        except OSError as error:
            raise TddfaError(f"cannot write {output}: {error.strerror or error}") from error
        return output
