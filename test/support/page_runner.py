"""Runs what a page shows, in the page's order, in a folder that holds the files the page names.

A comment right above a block says what to do with it:

    <!-- not run: REASON -->            the block is not run
    <!-- not run PROGRAM ...: REASON --> commands of the block that start with these words are not run; a last "$" is the end of the
                                     command; more than one such comment may stand there
    <!-- background -->                 the commands of the block run on while the rest of the page runs
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.documents import ROOT, Block, blocks, split, tddfa_words
from support.graph import NodeProcess, stop_all

PROGRAMS = {
    ".", ".ci/run", "colcon", "cp", "export", "face_system", "ffmpeg", "git", "make", "mkdir", "npm", "nvidia-smi", "pip",
    "python", "python3", "ros2", "rosdep", "source", "sudo", "tddfa", "torchrun",
}  # fmt: skip
"""A block without a language is shell when one of its lines starts with one of these; else it is a drawing or a quotation."""
IMAGES = (".jpg", ".jpeg", ".png")
VIDEOS = (".avi", ".mkv", ".mov", ".mp4")
OUTPUT_OPTIONS = ("-o", "--output", "--obj", "--jsonl")
TIME_LIMIT = 120.0  # s, of one command

_COMMENT = re.compile(r"<!-- (not run(?P<start>[^:>]*): (?P<reason>[^>]+?)|background) -->")


@dataclass
class Command:
    """One line of shell.

    Attributes:
        block: where it stands.
        text: as written, without continuation lines.
        reason: why it is not run; empty when it is.
        background: whether the page goes on while it runs.
    """

    block: Block
    text: str
    reason: str = ""
    background: bool = False

    @property
    def words(self) -> list[str]:
        """Split as the shell does, without comments and leading assignments."""
        words = split(self.text)
        while words and re.fullmatch(r"[A-Z_][A-Z0-9_]*=\S*", words[0]):
            words.pop(0)
        return words

    @property
    def ours(self) -> bool:
        """Whether it runs the program ``tddfa``, under whichever of its names."""
        return tddfa_words(self.words) is not None


@dataclass
class Step:
    """A block to run: shell commands, or one piece of Python."""

    block: Block
    commands: list[Command] = field(default_factory=list)
    reason: str = ""


def steps(page: Path) -> list[Step]:
    """All blocks of shell and Python of a page, in order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    found = []
    for block in blocks(page):
        marks = [match for line in above(lines, block) if (match := _COMMENT.fullmatch(line))]
        if block.language == "python":
            reasons = [m["reason"] for m in marks if m["reason"] and not (m["start"] or "").strip()]
            found.append(Step(block, reason=reasons[0] if reasons else ""))
        elif (shell := list(commands(block, marks))) and (
            block.language in ("bash", "sh", "shell", "console")
            or any(command.words[0] in PROGRAMS for command in shell)
        ):
            found.append(Step(block, shell))
    return found


def above(lines: list[str], block: Block) -> Iterator[str]:
    """The comments right above a block, and blank lines between."""
    index = block.line - 1
    # The line of a block is that of its fence or of its text, with blank lines in front.
    while index < len(lines) and not lines[index].strip():
        index += 1
    index -= 1 if lines[index].lstrip().startswith("`") or lines[index].startswith("    ") else 2
    while index >= 0 and (not lines[index].strip() or lines[index].lstrip().startswith("<!--")):
        yield lines[index].strip()
        index -= 1


def commands(block: Block, marks: list[re.Match[str]]) -> Iterator[Command]:
    """The commands of a block of shell, with what the comments above it say."""
    if block.language not in ("", "bash", "sh", "shell", "console"):
        return
    for line in re.sub(r"\\\n\s*", " ", block.text).splitlines():
        try:
            words = split(line)
        except ValueError:  # a drawing, or a quotation
            return
        if not words:
            continue
        reason = ""
        for mark in marks:
            start = (mark["start"] or "").strip()
            if mark["reason"] and f"{' '.join(words)}$".startswith(start):
                reason = mark["reason"]
        background = any(mark[0] == "<!-- background -->" for mark in marks)
        yield Command(block, line.strip(), reason, background)


def inputs(page: Path) -> Iterator[str]:
    """Images and videos that commands and Python of a page read, by name."""
    made: set[str] = set()
    for step in steps(page):
        names = re.findall(r"imread\(\"([^\"]+)\"|VideoCapture\(\"([^\"]+)\"", step.block.text)
        yield from {one or other for one, other in names} - made
        for command in step.commands:
            words = command.words
            for before, word in zip(["", *words], words, strict=False):
                if before in OUTPUT_OPTIONS:
                    made.add(word)
                elif word.lower().endswith((*IMAGES, *VIDEOS)) and not {*word} & {*"*="}:
                    yield from {word} - made


class Runner:
    """A folder in which the blocks of a page run; a context manager, at whose end background processes are stopped."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[str, Any] = {"__name__": "page"}
        self.processes: list[NodeProcess] = []

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        stop_all(self.processes, timeout=15)

    def give(self, page: Path, image: Path, video: Path) -> None:
        """Put the files that a page names there, and folders with images that pages take for granted."""
        wanted = {*inputs(page), "photos/a.jpg", "PHOTOS/a.jpg", "more/c.jpg", "more/deep/b.png"}
        for name in sorted(wanted):
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.lower().endswith(VIDEOS):
                shutil.copy(video, path)
            else:
                save_image(image, path)
        shutil.copytree(ROOT / "config", self.folder / "config")

    def run(self, command: Command) -> None:
        """Run one command; AssertionError with what it printed when it fails."""
        if command.background:
            log = self.folder / f"background_{len(self.processes)}.log"
            line = command.text.partition("  #")[0]
            self.processes.append(NodeProcess(["bash", "-c", f"exec {line}"], log))
            return
        given = tddfa_words(command.words)
        plain = not re.search(r"[|<>;*$]|&&", command.text.partition(" #")[0])
        # rclpy starts once in a process, so what uses ROS gets one of its own.
        if given is not None and plain and given[0] != "watch":
            from tddfa_ros.cli import main  # in this process: libraries are loaded once

            assert main(given) == 0, command.text
            return
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {command.text}"],
            cwd=self.folder,
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT,
        )
        assert done.returncode == 0, f"{command.text}\n{done.stdout}\n{done.stderr}"

    def execute(self, block: Block) -> None:
        """Run a block of Python; names live on to the next one."""
        exec(compile(block.text, block.where, "exec"), self.names)


def write_video(path: Path, image: Any, count: int = 3) -> None:
    """A video of 25 frames per second that shows one image, (H, W, 3) uint8 BGR."""
    import cv2

    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25, image.shape[1::-1])
    for _ in range(count):
        video.write(image)
    video.release()


def save_image(image: Path, path: Path) -> None:
    """Copy an image at half its width and height."""
    import cv2

    pixels = cv2.imread(str(image))
    assert pixels is not None
    # A quarter of the pixels: pages are run for their commands, not for their results.
    small = cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    assert cv2.imwrite(str(path), small)
