"""Process of one or more nodes: initialize, build, spin, and exit cleanly on SIGINT and SIGTERM."""

from __future__ import annotations

import contextlib
import re
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ROSInterruptException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.utilities import remove_ros_args

from tddfa_ros.errors import ConfigError, TddfaError
from tddfa_ros.nodes.ros.overrides import TopicNode

EXIT_USER_ERROR = 2
"""Exit code when a node cannot start because of a user error, such as a wrong parameter or a missing model."""

_WAKE_PERIOD = 0.5
"""Interval at which an idle executor checks whether its context was shut down, seconds."""

_STOPPED = (KeyboardInterrupt, ExternalShutdownException, ROSInterruptException)


def run(*factories: Callable[[], Node], args: Sequence[str] | None = None) -> int:
    """Run nodes in this process until SIGINT, SIGTERM or a shutdown of the context.

    Args:
        factories: callables without arguments that build a node, usually node classes. ``close()`` of a node, where it has one,
            is called before it is destroyed, to stop its threads and devices.
        args: command line; None = ``sys.argv``.

    Returns:
        The exit code: 0 after a signal or shutdown; 2 when a node cannot start (invalid ROS arguments or parameters, missing
        model), after printing one sentence to stderr.
    """
    try:
        return _run(factories, args)
    except KeyboardInterrupt:  # SIGINT during another shutdown
        return 0


def _run(factories: Sequence[Callable[[], Node]], args: Sequence[str] | None) -> int:
    nodes: list[Node] = []
    executor: Any = None
    interrupt = _Interrupt()
    try:
        interrupt.install()
        _initialize(args)
        TopicNode.several_nodes = len(factories) > 1
        for factory in factories:
            nodes.append(factory())
            if isinstance(nodes[-1], TopicNode):
                nodes[-1].check_qos_overrides()
        # One thread, because nodes do heavy work in their workers. Not rclpy.experimental's EventsExecutor: in Kilted's
        # 9.1.2 a node with a timer keeps it spinning at full load, and the timer never fires.
        executor = SingleThreadedExecutor()
        for node in nodes:
            executor.add_node(node)
        _wake_periodically(nodes[0])
        # From here on rclpy's handler ends the spinning. An additional KeyboardInterrupt could interrupt the shutdown on
        # a busy machine.
        interrupt.enabled = False
        executor.spin()
    except _STOPPED:
        pass
    except TddfaError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return EXIT_USER_ERROR
    except Exception:
        # A signal while a node is being built invalidates its context, and rclpy raises.
        if rclpy.ok():
            raise
    finally:
        interrupt.enabled = False
        ignore_signals()
        _tear_down(executor, nodes)
        ignore_signals()  # rclpy.shutdown restores the handlers from before rclpy.init
    return 0


def ignore_signals() -> None:
    """Ignore SIGINT and SIGTERM until the process ends: the exit has begun.

    A terminal's Ctrl-C reaches every node, and launch then sends SIGINT again. Python restores the default handlers while it
    finalizes, so a second signal during the exit would kill the process and hide its exit code.
    """
    with contextlib.suppress(ValueError):  # not in the main thread
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def _wake_periodically(node: Node) -> None:
    """Wake the executor periodically, so that a signal always ends it.

    rclpy's signal handler wakes the executor before it shuts down the context. An executor that checks the context in between
    waits again, forever in a node without timers and messages. The steady clock also runs while simulated time is paused.
    """
    node.create_timer(_WAKE_PERIOD, lambda: None, clock=Clock(clock_type=ClockType.STEADY_TIME))


class _Interrupt:
    """Handler of SIGINT and SIGTERM: raises one KeyboardInterrupt while nodes are being built, none afterwards."""

    def __init__(self) -> None:
        self.enabled = True

    def install(self) -> None:
        """Install the handler, before ``rclpy.init``, whose own handler calls the previous one."""
        with contextlib.suppress(ValueError):  # not in the main thread
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self)

    def __call__(self, *_: Any) -> None:
        if self.enabled:
            self.enabled = False
            raise KeyboardInterrupt


def own_arguments(arguments: Sequence[str]) -> list[str]:
    """Remove the ROS arguments from a command line.

    Raises:
        ConfigError: the ROS arguments are invalid.
    """
    try:
        return list(remove_ros_args(list(arguments)))
    except Exception as error:
        raise ConfigError(f"ROS 2 cannot start: {_reason(error)}") from error


def _initialize(args: Sequence[str] | None) -> None:
    """Call ``rclpy.init``; convert its errors to :class:`ConfigError`."""
    try:
        # Not a context manager: Humble's init returns None.
        rclpy.init(args=list(args) if args is not None else None)
    except _STOPPED:
        raise
    except Exception as error:
        raise ConfigError(f"ROS 2 cannot start: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Strip source locations and function names from an error message of rcl."""
    if type(error).__name__ == "UnknownROSArgsError":
        return f"unknown ROS arguments {error}"
    text = re.sub(r", at [^,\n]+:\d+", "", str(error)).removeprefix("failed to initialize rcl: ")
    return " ".join(text.split()) or type(error).__name__


def _tear_down(executor: Any, nodes: Sequence[Node]) -> None:
    """Stop threads, destroy nodes and shut down the context, ignoring a second signal as sent by launch."""
    for node in nodes:
        with contextlib.suppress(Exception):
            close = getattr(node, "close", None)
            if close is not None:
                close()
    with contextlib.suppress(Exception):
        if executor is not None:
            executor.shutdown(timeout_sec=0.5)
    for node in nodes:
        with contextlib.suppress(Exception):
            node.destroy_node()
    with contextlib.suppress(Exception):
        if rclpy.ok():
            rclpy.shutdown()
