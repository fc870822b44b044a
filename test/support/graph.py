"""The ROS graph under test: nodes as processes, and a probe node in this process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

STOP_WITHIN = 20.0
"""Time limit for a process to exit after SIGINT, s; long, for a busy machine."""


class NodeProcess:
    """A program of the package as a process, with its output in a file."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        """Whether the process is running."""
        return self.process.poll() is None

    @property
    def output(self) -> str:
        """Output of both streams so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait(self, timeout: float = 60.0) -> int:
        """Wait until the process exits; return its exit code."""
        return self.process.wait(timeout)

    def stop(self, sig: int = signal.SIGINT, timeout: float = STOP_WITHIN) -> int:
        """Send SIGINT and return the exit code.

        Raises:
            AssertionError: the process was still running after ``timeout`` seconds (it is then killed).
        """
        if self.alive:
            self.process.send_signal(sig)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"still alive {timeout} s after signal {sig}; it printed:\n{self.output}"
            ) from None

    def kill(self) -> None:
        """Kill the process."""
        if self.alive:
            self.process.kill()
            self.process.wait(10)


def stop_all(processes: Sequence[NodeProcess], timeout: float = 5.0) -> None:
    """Stop all running processes, first with SIGINT: a killed process leaks 35 MB of shared memory."""
    for process in processes:
        if process.alive:
            process.process.send_signal(signal.SIGINT)
    end = time.monotonic() + timeout
    for process in processes:
        try:
            process.wait(max(end - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            process.kill()


class Graph:
    """Starts node processes, and holds one probe node that publishes, subscribes and calls services.

    A context manager: on exit all running processes are stopped and the probe is destroyed. A test that checks
    how a process exits calls :meth:`NodeProcess.stop`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[NodeProcess] = []
        self.context: Any = None
        self.node: Any = None
        self.executor: Any = None

    def __enter__(self) -> Graph:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        self.context = rclpy.Context()
        rclpy.init(args=[], context=self.context)
        self.node = rclpy.create_node("probe", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        stop_all(self.processes)
        for process in self.processes:
            if kind is not None:
                print(f"--- {process.log.stem} printed:\n{process.output}")
        self.executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()

    def start(
        self,
        executable: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        remap: Mapping[str, str] | None = None,
        namespace: str | None = None,
        name: str | None = None,
        params_file: Path | None = None,
        arguments: Sequence[str] = (),
        wait_for: str | None = None,
        timeout: float = 60.0,
    ) -> NodeProcess:
        """Start ``python -m tddfa_ros.nodes.<executable>``.

        Args:
            executable: module name in ``tddfa_ros.nodes``, such as ``face_node``.
            parameters: name -> value; text is quoted for YAML.
            remap: from -> to, topics, services or ``__node``.
            namespace, name: of the node.
            params_file: a ROS parameter file.
            arguments: more of the command line, before ``--ros-args``.
            wait_for: fully qualified name of a node to wait for, such as "/face_node"; None: do not wait.
            timeout: maximum time to wait, s.
        """
        command = [sys.executable, "-m", f"tddfa_ros.nodes.{executable}", *arguments, "--ros-args"]
        if params_file is not None:
            command += ["--params-file", str(params_file)]
        for key, value in (parameters or {}).items():
            command += ["-p", f"{key}:={_yaml(value)}"]
        rules = dict(remap or {})
        if namespace is not None:
            rules["__ns"] = namespace
        if name is not None:
            rules["__node"] = name
        for old, new in rules.items():
            command += ["-r", f"{old}:={new}"]
        log = self.folder / f"{len(self.processes)}_{executable}.log"
        process = NodeProcess(command, log)
        self.processes.append(process)
        if wait_for is not None:
            self.wait_until(lambda: not process.alive or wait_for in self.node_names(), timeout)
            assert process.alive, (
                f"{executable} ended while starting; it printed:\n{process.output}"
            )
        return process

    def node_names(self) -> set[str]:
        """Fully qualified names of all nodes that the probe sees."""
        return {
            f"{namespace.rstrip('/')}/{name}"
            for name, namespace in self.node.get_node_names_and_namespaces()
        }

    def spin(self, seconds: float) -> None:
        """Spin the probe for some time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.executor.spin_once(timeout_sec=min(left, 0.05))

    def wait_until(self, condition: Callable[[], object], timeout: float = 40.0) -> None:
        """Spin the probe until ``condition()`` is true.

        Raises:
            AssertionError: the condition was not true within ``timeout`` seconds.
        """
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                printed = "\n".join(f"--- {p.log.stem}:\n{p.output}" for p in self.processes)
                raise AssertionError(
                    f"did not happen within {timeout} s; the nodes printed:\n{printed}"
                )
            self.executor.spin_once(timeout_sec=0.05)

    def collect(self, message_type: Any, topic: str, qos: Any = 10) -> list[Any]:
        """Subscribe and return a list to which received messages are appended."""
        received: list[Any] = []
        self.node.create_subscription(message_type, topic, received.append, qos)
        return received

    def publisher(
        self,
        message_type: Any,
        topic: str,
        qos: Any = 10,
        subscribers: int = 1,
        timeout: float = 40.0,
    ) -> Any:
        """Create a publisher and wait until it has ``subscribers`` subscriptions (0: do not wait)."""
        publisher = self.node.create_publisher(message_type, topic, qos)
        if subscribers:
            self.wait_until(lambda: publisher.get_subscription_count() >= subscribers, timeout)
        return publisher

    def call(self, service_type: Any, name: str, request: Any, timeout: float = 40.0) -> Any:
        """Call a service and return its response."""
        client = self.node.create_client(service_type, name)
        self.wait_until(client.service_is_ready, timeout)
        future = client.call_async(request)
        self.wait_until(future.done, timeout)
        self.node.destroy_client(client)
        return future.result()


def _yaml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'{value}'"
    return str(value)
