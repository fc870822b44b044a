"""Parts of an unfinished video beside the output, so that a crash costs at most one part.

``out.mp4.parts/`` holds ``job.json``, the record of the job, and for each part the encoded frames (``00000.mp4``), the JSON lines
(``00000.jsonl``) and the journal (``00000.npz``). The journal is written last: a part with a journal is complete.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tddfa_ros.errors import ConfigError, TddfaError
from tddfa_ros.files import write_atomically, write_error
from tddfa_ros.outputs.records import to_json
from tddfa_ros.types import ImageBGR
from tddfa_ros.video.encoder import VideoEncoder
from tddfa_ros.video.journal import Journal


class Part:
    """Paths of one part."""

    def __init__(self, folder: Path, number: int) -> None:
        stem = f"{number:05d}"
        self.video = folder / f"{stem}.mp4"
        self.lines = folder / f"{stem}.jsonl"
        self.journal = folder / f"{stem}.npz"


class PartWriter:
    """Write one part.

    Args:
        part: its paths.
        encoder: encoder of its frames; None = no video.
        with_lines: whether to write JSON lines.

    Raises:
        TddfaError: a file cannot be written; so do :meth:`write` and :meth:`close`.
    """

    def __init__(self, part: Part, encoder: VideoEncoder | None, with_lines: bool) -> None:
        self._part = part
        self._encoder = encoder
        self._lines = _LinesWriter(part.lines) if with_lines else None

    def write(self, image: ImageBGR, line: Mapping[str, Any] | None) -> None:
        """Append a frame and its JSON line, as far as they are written."""
        if self._encoder is not None:
            self._encoder.write(image)
        if self._lines is not None and line is not None:
            self._lines.write(line)

    def close(self, journal: Journal) -> None:
        """Finish the files; the journal, written last, marks the part as complete."""
        if self._encoder is not None:
            self._encoder.close()
        if self._lines is not None:
            self._lines.close()
        journal.save(self._part.journal)

    def abort(self) -> None:
        """Close the files of a part that could not be written; without a journal it is done again."""
        for file in (self._encoder, self._lines):
            if file is not None:
                with contextlib.suppress(TddfaError):
                    file.close()


class _LinesWriter:
    """Write JSON lines.

    Raises:
        TddfaError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._writing():
            self._file = path.open("w", encoding="utf-8")

    def write(self, line: Mapping[str, Any]) -> None:
        """Append a line."""
        with self._writing():
            self._file.write(to_json(line) + "\n")

    def close(self) -> None:
        """Write what is buffered and close the file."""
        with self._writing():
            self._file.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise write_error(self._path, error) from error


class PartsFolder:
    """The folder of the parts of one output.

    Args:
        target: the output file.
        job: record of the job: source, options, models. Only parts of an equal job are reused.
        frames: number of frames in each part but the last.
        restart: delete existing parts.

    Attributes:
        complete: finished parts, from the first on, with their journals.

    Raises:
        ConfigError: the folder belongs to another job. TddfaError: it cannot be written.
    """

    def __init__(
        self, target: Path, job: Mapping[str, Any], frames: int, restart: bool = False
    ) -> None:
        self.folder = parts_folder(target)
        self.complete: list[tuple[Part, Journal]] = []
        self._frames = frames
        try:
            if restart:
                self.remove()
            self.folder.mkdir(parents=True, exist_ok=True)
            self._claim(job)
            self._collect()
        except OSError as error:
            raise write_error(self.folder, error) from error

    def part(self, number: int) -> Part:
        """Return the paths of a part, whether its files exist or not."""
        return Part(self.folder, number)

    def remove(self) -> None:
        """Delete the folder and its content."""
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
            raise ConfigError(f"{self.folder} was not created by this program; move it away")
        write_atomically(path, text.encode())

    def _collect(self) -> None:
        """Find complete parts and delete all other files; a shorter last part and those of a stopped run are redone, so that the result does not depend on interruptions."""
        while (part := self.part(len(self.complete))).journal.exists():
            journal = Journal.load(part.journal)
            if len(journal.times) != self._frames or not journal.final:
                break
            self.complete.append((part, journal))
        kept = {
            path for part, _ in self.complete for path in (part.video, part.lines, part.journal)
        }
        for file in self.folder.iterdir():
            if file not in kept and file.name != "job.json":
                file.unlink()


def is_unfinished(target: Path) -> bool:
    """Return whether an output file has parts of an interrupted run beside it, which the same command resumes."""
    return parts_folder(target).exists()


def parts_folder(target: Path) -> Path:
    """Return the folder of the parts of an output file."""
    return target.with_name(target.name + ".parts")
