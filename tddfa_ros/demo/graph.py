"""Processes of a ROS graph: start, monitor, measure CPU time, stop."""

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
"""Time between SIGINT and SIGKILL, seconds."""


@dataclass(frozen=True)
class NodeProcess:
    """A node to start: module of a subpackage, and ROS parameters.

    Attributes:
        name: name of the module.
        parameters: ROS parameters.
        params_file: ROS parameter file; None = no file.
        subpackage: subpackage of the module.
        arguments: command-line arguments that are not ROS's.
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    params_file: Path | None = None
    subpackage: str = "nodes"
    arguments: Sequence[str] = ()

    def command(self) -> list[str]:
        """Build the command line, with the current interpreter."""
        module = f"tddfa_ros.{self.subpackage}.{self.name}"
        command = [sys.executable, "-m", module, *self.arguments, "--ros-args"]
        if self.params_file is not None:
            command += ["--params-file", str(self.params_file)]
        for key, value in self.parameters.items():
            command += ["-p", f"{key}:={_yaml(value)}"]
        return command


def launch_command(arguments: Mapping[str, Any]) -> list[str]:
    """Build the ``ros2 launch`` command of ``face.launch.py``; an empty value keeps the default."""
    # Not YAML: launch takes the text after ":=" as it is.
    pairs = [
        f"{key}:={str(value).lower() if isinstance(value, bool) else value}"
        for key, value in arguments.items()
        if value != ""
    ]
    return ["ros2", "launch", "tddfa_ros", "face.launch.py", *pairs]


def can_launch() -> bool:
    """Return whether ``ros2 launch`` is available and finds this package."""
    if shutil.which("ros2") is None or importlib.util.find_spec("launch_ros") is None:
        return False
    marker = "share/ament_index/resource_index/packages/tddfa_ros"
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    return any((Path(prefix) / marker).is_file() for prefix in prefixes if prefix)


def private_environment(domain: int | None = None) -> dict[str, str]:
    """Build an environment that isolates a graph from others on this machine and network.

    Args:
        domain: ROS domain ID, 1..101; None = derived from the process ID.
    """
    environment = dict(os.environ)
    environment["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 101 if domain is None else domain)
    environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    if environment.get("ROS_DISTRO") == "humble":
        environment["ROS_LOCALHOST_ONLY"] = "1"  # the equivalent in Humble
    environment["PYTHONUNBUFFERED"] = "1"
    return environment


class Graph:
    """Group of processes; a context manager that stops them all on exit.

    Args:
        environment: environment variables of the processes.
    """

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
        """Start a process; stderr, and stdout unless it is piped, go to a temporary log."""
        log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        try:
            process = subprocess.Popen(
                list(command),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log if stdout is None else stdout,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches only the demo, which stops the processes
            )
        except OSError as error:
            raise TddfaError(f"cannot start {name}: {error.strerror or error}") from error
        self._processes[name], self._logs[name] = process, log
        return process

    def check(self) -> None:
        """Check that all processes are running.

        Raises:
            TddfaError: a process has failed; with its name and last error.
        """
        for name, process in self._processes.items():
            if process.poll() is not None and process.returncode != 0:
                reason = last_error_line(self.log(name)) or f"exit code {process.returncode}"
                raise TddfaError(f"{name} stopped: {reason}")

    def log(self, name: str) -> str:
        """Return the log of a process."""
        log = self._logs[name]
        log.seek(0)
        return log.read().decode(errors="replace")

    def cpu_seconds(self) -> dict[str, float]:
        """Return the CPU time of each process and its children by name, s."""
        children = _children()
        return {
            name: sum(_cpu_seconds(pid) for pid in _process_tree(process.pid, children))
            for name, process in self._processes.items()
        }

    def stop(self) -> dict[str, int]:
        """Stop all processes with SIGINT; return their exit codes by name (negative: killed by that signal)."""
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
    """Return the last ``error:`` line of a log, else its last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if "error:" in line.lower()]
    chosen = (errors or lines or [""])[-1]
    return chosen.removeprefix("error:").strip()


def _yaml(value: Any) -> str:
    """Format a parameter value for the command line; strings are quoted, so that "0" stays a string."""
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
            continue  # the process has exited
        children.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    return children


def _process_tree(pid: int, children: Mapping[int, Sequence[int]]) -> list[int]:
    tree = [pid]
    for member in tree:
        tree += children.get(member, [])
    return tree


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
