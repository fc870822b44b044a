"""A video in the making: parts that are finished lie beside the output, so that a crash costs one part at most.

``out.mp4.parts/`` holds ``job.json``, what is being done, and for each part the coded pictures (``00000.mp4``), the lines of JSON
(``00000.jsonl``) and the journal (``00000.npz``). The journal is put in place last: a part that has one is whole.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tddfa_ros.errors import ConfigError, TddfaError
from tddfa_ros.outputs.records import to_json
from tddfa_ros.video.encoder import VideoEncoder
from tddfa_ros.video.journal import Journal


class Part:
    """The files of one part."""

    def __init__(self, folder: Path, number: int) -> None:
        stem = f"{number:05d}"
        self.video = folder / f"{stem}.mp4"
        self.lines = folder / f"{stem}.jsonl"
        self.journal = folder / f"{stem}.npz"


class PartWriter:
    """A part that is being written.

    Args:
        part: where to. encoder: of its pictures; None = none are kept. with_lines: whether there are lines of JSON.
    """

    def __init__(self, part: Part, encoder: VideoEncoder | None, with_lines: bool) -> None:
        self._part = part
        self._encoder = encoder
        self._lines = part.lines.open("w", encoding="utf-8") if with_lines else None

    def write(self, image: Any, line: Mapping[str, Any] | None) -> None:
        """Append a picture, and its line of JSON where there are any."""
        if self._encoder is not None:
            self._encoder.write(image)
        if self._lines is not None and line is not None:
            self._lines.write(to_json(line) + "\n")

    def close(self, journal: Journal | None) -> None:
        """Finish the files; the part is whole once its journal is there. None: it will not be taken up again."""
        if self._encoder is not None:
            self._encoder.close()
        if self._lines is not None:
            self._lines.close()
        if journal is not None:
            partial = self._part.journal.with_suffix(".part")
            journal.save(partial)
            partial.replace(self._part.journal)


class PartsFolder:
    """The folder of the parts.

    Args:
        target: the file that the parts are made for.
        job: what is being done: source, options, models. Only parts of the same job are taken up.
        pictures: in a part, apart from the last one.
        restart: begin anew, whatever is there.

    Attributes:
        whole: parts that are finished, from the first on, with their journals.

    Raises:
        ConfigError: the folder is there, from another job. TddfaError: it cannot be written.
    """

    def __init__(
        self, target: Path, job: Mapping[str, Any], pictures: int, restart: bool = False
    ) -> None:
        self.folder = parts_folder(target)
        self.whole: list[tuple[Part, Journal]] = []
        self._pictures = pictures
        try:
            if restart:
                self.remove()
            self.folder.mkdir(parents=True, exist_ok=True)
            self._claim(job)
            self._collect()
        except OSError as error:
            raise TddfaError(f"cannot write {self.folder}: {error.strerror or error}") from error

    def part(self, number: int) -> Part:
        """The files of the part of that number, whether they are there or not."""
        return Part(self.folder, number)

    def remove(self) -> None:
        """Delete the folder and all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _claim(self, job: Mapping[str, Any]) -> None:
        path = self.folder / "job.json"
        text = json.dumps(job, indent=1, sort_keys=True)
        if path.exists():
            if path.read_text(encoding="utf-8") != text:
                raise ConfigError(
                    f"{self.folder} holds parts of a run on another video or with other options; --restart discards them"
                )
            return
        if any(self.folder.iterdir()):
            raise ConfigError(f"{self.folder} is not a folder of this program; move it away")
        partial = path.with_suffix(".part")
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)

    def _collect(self) -> None:
        """Find the whole parts; one that is shorter, where a run was stopped, is made again so that all runs give the same."""
        while (part := self.part(len(self.whole))).journal.exists():
            journal = Journal.load(part.journal)
            if len(journal.times) != self._pictures:
                break
            self.whole.append((part, journal))
        kept = {file for part, _ in self.whole for file in (part.video, part.lines, part.journal)}
        for file in self.folder.iterdir():
            if file not in kept and file.name != "job.json":
                file.unlink()


def parts_folder(target: Path) -> Path:
    """Where the parts of a file lie while it is being made."""
    return target.with_name(target.name + ".parts")
