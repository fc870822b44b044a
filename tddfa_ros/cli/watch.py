"""``tddfa watch``: the faces that a ROS graph publishes, as a live table or as JSON lines."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import click

from tddfa_ros.cli import _files as files
from tddfa_ros.cli._table import LINE_HEAD, plain, screen

_REDRAW_SECONDS = 0.1


@files.command("watch", short_help="Show the faces that a ROS graph publishes, as a table or JSON.")
@click.option(
    "--topic",
    default="face_landmarks",
    show_default=True,
    help="Topic of type FaceLandmarksArray or FaceMeshArray, such as face_mesh.",
)
@click.option("--namespace", default="", help="ROS namespace of the graph, such as robot1.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per message and line.")
@click.option("--once", is_flag=True, help="End after one message; the same as --count 1.")
@click.option("--count", type=click.IntRange(min=1), help="End after this many messages.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    help="End with exit status 2 when no message arrives for this many seconds.",
)
def command(
    topic: str,
    namespace: str,
    as_json: bool,
    once: bool,
    count: int | None,
    timeout: float | None,
) -> int:
    """Subscribe to faces and print ID, distance, head pose, strongest expressions, rate and latency.

    In a terminal the table is redrawn; a file or a pipe gets one line per face and message. Needs rclpy only,
    not the ROS command line. Distances are in meters, angles in degrees; latency is the time from the image's stamp to
    the arrival of the message. Stop with Ctrl-C.
    """
    if once and count is not None:
        raise click.ClickException("choose one of --once and --count")
    for module in ("rclpy", "tddfa_msgs"):
        if find_spec(module) is None:
            raise click.ClickException(
                f"watch needs ROS 2, and this Python has no {module}: source the workspace "
                "(source install/setup.bash), or run 'make setup' and '. .setup/env.sh' in a clone"
            )
    # By name: the command line must work, and be checked, without ROS.
    node = importlib.import_module("tddfa_ros.nodes.watch")
    printer = Printer(as_json, 1 if once else count)
    with printer.without_cursor():
        return int(node.watch(topic, namespace, printer, lambda text: click.echo(text, err=True), timeout))  # fmt: skip


class Printer:
    """Prints reports to stdout, and counts them.

    Args:
        as_json: print JSON lines instead of a table.
        count: reports after which to stop; None for no end.
    """

    def __init__(self, as_json: bool, count: int | None) -> None:
        self._left = count
        self._lines = 0
        self._drawn = float("-inf")
        self._print: Callable[[dict[str, Any], bool], None] = self._plain
        if as_json:
            self._print = self._json
        elif sys.stdout.isatty():
            self._print = self._redraw

    def __call__(self, report: dict[str, Any]) -> bool:
        """Print one report; False when it was the last, or when the reader closed the pipe."""
        if self._left is not None:
            self._left -= 1
        last = self._left == 0
        try:
            self._print(report, last)
            sys.stdout.flush()
        except BrokenPipeError:
            # Python flushes stdout again at exit, which would print an error.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return False
        return not last

    def without_cursor(self) -> Cursor:
        """Hides the terminal's cursor while a table is redrawn."""
        return Cursor(self._print == self._redraw)

    def _json(self, report: dict[str, Any], last: bool) -> None:
        print(json.dumps(report))

    def _plain(self, report: dict[str, Any], last: bool) -> None:
        if not self._lines:
            print(LINE_HEAD)
        for line in plain(report):
            self._lines += 1
            print(line)

    def _redraw(self, report: dict[str, Any], last: bool) -> None:
        now = time.monotonic()
        if now - self._drawn < _REDRAW_SECONDS and not last:
            return
        self._drawn = now
        text, self._lines = screen(report, self._lines, shutil.get_terminal_size().columns)
        sys.stdout.write(text)


class Cursor:
    """Context in which a terminal shows no cursor.

    Args:
        active: whether there is a terminal.
    """

    def __init__(self, active: bool) -> None:
        self._active = active

    def __enter__(self) -> None:
        if self._active:
            sys.stdout.write("\x1b[?25l")

    def __exit__(self, *_: object) -> None:
        if self._active:
            sys.stdout.write("\x1b[?25h")
            sys.stdout.flush()
