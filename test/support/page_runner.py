"""Run the code blocks of a documentation page in order, in a folder that contains the files of the page.

A comment directly above a block controls it:

    <!-- not run: REASON -->            the block is not run
    <!-- not run PROGRAM ...: REASON --> commands of the block that start with these words are not run; a last "$" is the end of the
                                     command; more than one such comment may stand there
    <!-- background -->                 the commands of the block keep running in the background
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
"""A block without a language is shell code if one of its lines starts with one of these, else a diagram or output."""
IMAGES = (".jpg", ".jpeg", ".png")
VIDEOS = (".avi", ".mkv", ".mov", ".mp4")
OUTPUT_OPTIONS = ("-o", "--output", "--obj", "--jsonl")
TIME_LIMIT = 120.0  # s, of one command

_COMMENT = re.compile(r"<!-- (not run(?P<start>[^:>]*): (?P<reason>[^>]+?)|background) -->")


@dataclass
class Command:
    """One line of shell.

    Attributes:
        block: its code block.
        text: as written, without continuation lines.
        reason: why it is not run; empty if it is run.
        background: whether it runs in the background.
    """

    block: Block
    text: str
    reason: str = ""
    background: bool = False

    @property
    def words(self) -> list[str]:
        """Split into words like a shell, without comments and leading assignments."""
        words = split(self.text)
        while words and re.fullmatch(r"[A-Z_][A-Z0-9_]*=\S*", words[0]):
            words.pop(0)
        return words

    @property
    def ours(self) -> bool:
        """Return whether it runs ``tddfa``, under any of its names."""
        return tddfa_words(self.words) is not None


@dataclass
class Step:
    """A block to run: shell commands, or one piece of Python."""

    block: Block
    commands: list[Command] = field(default_factory=list)
    reason: str = ""


def steps(page: Path) -> list[Step]:
    """Return all shell and Python blocks of a page, in order."""
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
    """Return the comments directly above a block."""
    index = block.line - 1
    # The line of a block is that of its fence or of its text, with blank lines in front.
    while index < len(lines) and not lines[index].strip():
        index += 1
    index -= 1 if lines[index].lstrip().startswith("`") or lines[index].startswith("    ") else 2
    while index >= 0 and (not lines[index].strip() or lines[index].lstrip().startswith("<!--")):
        yield lines[index].strip()
        index -= 1


def commands(block: Block, marks: list[re.Match[str]]) -> Iterator[Command]:
    """Return the commands of a shell block, with the settings of the comments above it."""
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
    """Return the names of images and videos that commands and Python code of a page read."""
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
    """A folder in which the blocks of a page run; a context manager that stops background processes on exit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[str, Any] = {"__name__": "page"}
        self.processes: list[NodeProcess] = []

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        stop_all(self.processes, timeout=15)

    def give(self, page: Path, image: Path, video: Path) -> None:
        """Copy the files that a page reads into the folder, and the folders of images that pages assume."""
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
        """Run one command; raise AssertionError with its output on failure."""
        if command.background:
            log = self.folder / f"background_{len(self.processes)}.log"
            line = command.text.partition("  #")[0]
            self.processes.append(NodeProcess(["bash", "-c", f"exec {line}"], log))
            return
        given = tddfa_words(command.words)
        plain = not re.search(r"[|<>;*$]|&&", command.text.partition(" #")[0])
        # rclpy can be initialized once per process, so commands that use ROS run in a new one.
        if given is not None and plain and given[0] != "watch":
            from tddfa_ros.cli import main  # run in this process, so that libraries are loaded once

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
        """Run a Python block; its names are visible in later blocks."""
        exec(compile(block.text, block.where, "exec"), self.names)


def write_video(path: Path, image: Any, count: int = 3) -> None:
    """Write a video at 25 Hz that shows one image, (H, W, 3) uint8 BGR."""
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
    # a quarter of the pixels, for speed
    small = cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    assert cv2.imwrite(str(path), small)
