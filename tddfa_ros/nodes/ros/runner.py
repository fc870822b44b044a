"""The life of a ROS process: initialise, build nodes, spin, end cleanly on SIGINT and SIGTERM with exit code 0."""

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
from tddfa_ros.nodes.main import release_signals

EXIT_USER_ERROR = 2
"""Exit code when a node cannot start for a reason the user can change: a parameter, a missing model."""

_LOOK_UP_SECONDS = 0.5
"""How often an idle process looks whether its context has been shut down."""

_STOPPED = (KeyboardInterrupt, ExternalShutdownException, ROSInterruptException)


def run(*factories: Callable[[], Node], args: Sequence[str] | None = None) -> int:
    """Host the nodes that ``factories`` build in this process until it is told to stop.

    Args:
        factories: callables without arguments, usually node classes; a node with a ``close()`` method has it called
            before it is destroyed, to stop its threads and devices.
        args: command line, ``sys.argv`` when None.

    Returns:
        The exit code: 0 after SIGINT, SIGTERM or a shutdown; 2 when a node cannot start, after one clear sentence: ROS
        arguments that cannot be understood, a wrong parameter, a missing model.
    """
    try:
        return _run(factories, args)
    except KeyboardInterrupt:  # just when the end had begun for another reason
        return 0


def _run(factories: Sequence[Callable[[], Node]], args: Sequence[str] | None) -> int:
    nodes: list[Node] = []
    executor: Any = None
    interrupt = _Interrupt()
    try:
        interrupt.install()
        _initialise(args)
        for factory in factories:
            nodes.append(factory())
        # One thread: the heavy work of every node has a worker of its own. Not rclpy.experimental's EventsExecutor: in
        # Kilted's 9.1.2 a node with any timer keeps it spinning at full load, and the timer never fires.
        executor = SingleThreadedExecutor()
        for node in nodes:
            executor.add_node(node)
        _keep_looking_up(nodes[0])
        # From here on rclpy's own handler ends the spinning, as for SIGTERM. A KeyboardInterrupt on top of it can come so
        # late on a busy machine that it hits the tear-down.
        interrupt.wanted = False
        executor.spin()
    except _STOPPED:
        pass
    except TddfaError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return EXIT_USER_ERROR
    except Exception:
        # A signal while a node is being built invalidates its context: what rclpy raises then is not a failure.
        if rclpy.ok():
            raise
    finally:
        interrupt.wanted = False
        _tear_down(executor, nodes)
    return 0


def _keep_looking_up(node: Node) -> None:
    """Wake the executor now and then, so that a signal always ends it.

    rclpy's signal thread first wakes the executor and then shuts the context down. An executor that is quicker looks at a
    context that is still valid, and waits again: for ever, in a node without timers and messages. The steady clock goes on
    while simulated time stands.
    """
    node.create_timer(_LOOK_UP_SECONDS, lambda: None, clock=Clock(clock_type=ClockType.STEADY_TIME))


class _Interrupt:
    """Handler of SIGINT: one KeyboardInterrupt while nodes are being built, none afterwards.

    A function and not ``SIG_IGN``: Python prints a complaint when a signal was caught just before it was ignored.
    """

    def __init__(self) -> None:
        self.wanted = True

    def install(self) -> None:
        """Before ``rclpy.init``, whose handler calls the one that it finds."""
        release_signals()
        with contextlib.suppress(ValueError):  # not in the main thread
            signal.signal(signal.SIGINT, self)

    def __call__(self, *_: Any) -> None:
        if self.wanted:
            self.wanted = False
            raise KeyboardInterrupt


def own_arguments(arguments: Sequence[str]) -> list[str]:
    """A command line without its ROS arguments.

    Raises:
        ConfigError: they cannot be understood.
    """
    try:
        return list(remove_ros_args(list(arguments)))
    except Exception as error:
        raise ConfigError(f"ROS 2 cannot start: {_reason(error)}") from error


def _initialise(args: Sequence[str] | None) -> None:
    """``rclpy.init``; what it cannot read in the command line is the user's to change."""
    try:
        # Not used as a context manager: Humble's init returns None.
        rclpy.init(args=list(args) if args is not None else None)
    except _STOPPED:
        raise
    except Exception as error:
        raise ConfigError(f"ROS 2 cannot start: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """What rcl reports, without the places in its source code and the name of its own function."""
    if type(error).__name__ == "UnknownROSArgsError":
        return f"unknown ROS arguments {error}"
    text = re.sub(r", at [^,\n]+:\d+", "", str(error)).removeprefix("failed to initialize rcl: ")
    return " ".join(text.split()) or type(error).__name__


def _tear_down(executor: Any, nodes: Sequence[Node]) -> None:
    """Stop threads, destroy nodes, shut the context down; a second signal meanwhile (launch sends one) does nothing."""
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
