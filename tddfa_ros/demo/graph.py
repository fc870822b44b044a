"""The nodes of the demo as separate processes: start, watch, measure their CPU time, stop."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tddfa_ros.errors import TddfaError

STOP_SECONDS = 5.0
"""How long a process may take to end after SIGINT before it is killed."""


@dataclass(frozen=True)
class NodeProcess:
    """A node to start: its module in the folder ``room`` of the package, and its ROS parameters."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    params_file: Path | None = None
    room: str = "nodes"

    def command(self) -> list[str]:
        """The command line, with this interpreter."""
        command = [sys.executable, "-m", f"tddfa_ros.{self.room}.{self.name}", "--ros-args"]
        if self.params_file is not None:
            command += ["--params-file", str(self.params_file)]
        for key, value in self.parameters.items():
            command += ["-p", f"{key}:={_yaml(value)}"]
        return command


def launch_command(arguments: Mapping[str, Any]) -> list[str]:
    """``ros2 launch`` of the package's own launch file."""
    pairs = [f"{key}:={_yaml(value)}" for key, value in arguments.items()]
    return ["ros2", "launch", "tddfa_ros", "face.launch.py", *pairs]


def can_launch() -> bool:
    """Whether ROS with ``ros2 launch`` is sourced and knows this package."""
    if shutil.which("ros2") is None or importlib.util.find_spec("launch_ros") is None:
        return False
    marker = "share/ament_index/resource_index/packages/tddfa_ros"
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    return any((Path(prefix) / marker).is_file() for prefix in prefixes if prefix)


def private_environment(domain: int | None = None) -> dict[str, str]:
    """Environment of a graph that no other graph on this machine or network sees.

    Args:
        domain: ROS domain id 1..101; None = one derived from the process id.
    """
    environment = dict(os.environ)
    environment["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 101 if domain is None else domain)
    environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    if environment.get("ROS_DISTRO") == "humble":
        environment["ROS_LOCALHOST_ONLY"] = "1"  # what Humble has instead
    environment["PYTHONUNBUFFERED"] = "1"
    return environment


class Graph:
    """Processes that live and end together. Use as a context manager; leaving it stops them all."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._logs: dict[str, IO[bytes]] = {}

    def __enter__(self) -> Graph:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(
        self, name: str, command: Sequence[str], stdout: int | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process; what it says on stderr (and on stdout unless it is piped) goes to a log in memory."""
        log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        try:
            process = subprocess.Popen(
                list(command),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log if stdout is None else stdout,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the demo alone, which then ends them in order
            )
        except OSError as error:
            raise TddfaError(f"cannot start {name}: {error.strerror or error}") from error
        self._processes[name], self._logs[name] = process, log
        return process

    def check(self) -> None:
        """Raise one sentence when a process has ended that should still run.

        Raises:
            TddfaError: naming the process and the last thing it said.
        """
        for name, process in self._processes.items():
            if process.poll() is not None and process.returncode != 0:
                reason = last_error_line(self.log(name)) or f"exit code {process.returncode}"
                raise TddfaError(f"{name} stopped: {reason}")

    def log(self, name: str) -> str:
        """All that a process has said."""
        log = self._logs[name]
        log.seek(0)
        return log.read().decode(errors="replace")

    def cpu_seconds(self) -> dict[str, float]:
        """CPU time so far of every process, its children included, by name."""
        children = _children()
        return {
            name: sum(_cpu_seconds(pid) for pid in _family(process.pid, children))
            for name, process in self._processes.items()
        }

    def stop(self) -> dict[str, int]:
        """End all processes as Ctrl-C would; exit codes by name (negative: killed by that signal)."""
        for process in self._processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
        deadline = time.monotonic() + STOP_SECONDS
        codes = {}
        for name, process in self._processes.items():
            try:
                process.wait(max(deadline - time.monotonic(), 0.05))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            codes[name] = process.returncode
        return codes


def last_error_line(log: str) -> str:
    """The sentence that explains why a process ended: its last ``error:`` line, else its last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if "error:" in line.lower()]
    chosen = (errors or lines or [""])[-1]
    return chosen.removeprefix("error:").strip()


def _yaml(value: Any) -> str:
    """A parameter value as the command line takes it; text is quoted, so that "0" stays text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return str(value)


def _children() -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        children.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    return children


def _family(pid: int, children: Mapping[int, Sequence[int]]) -> list[int]:
    family = [pid]
    for member in family:
        family += children.get(member, [])
    return family


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
