"""The life of a ROS process: initialise, build nodes, spin, end cleanly on SIGINT and SIGTERM with exit code 0."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from rclpy.exceptions import ROSInterruptException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from tddfa_ros.errors import TddfaError

EXIT_USER_ERROR = 2
"""Exit code when a node cannot start for a reason the user can change: a parameter, a missing model."""

_STOPPED = (KeyboardInterrupt, ExternalShutdownException, ROSInterruptException)


def run(*factories: Callable[[], Node], args: Sequence[str] | None = None) -> int:
    """Host the nodes that ``factories`` build in this process until it is told to stop.

    Args:
        factories: callables without arguments, usually node classes; a node with a ``close()`` method has it called
            before it is destroyed, to stop its threads and devices.
        args: command line, ``sys.argv`` when None.

    Returns:
        The exit code: 0 after SIGINT, SIGTERM or a shutdown; 2 when a node cannot start, after one clear sentence.
    """
    nodes: list[Node] = []
    executor: Any = None
    try:
        # Not used as a context manager: Humble's init returns None.
        rclpy.init(args=list(args) if args is not None else None)
        for factory in factories:
            nodes.append(factory())
        # One thread: the heavy work of every node has a worker of its own. Not rclpy.experimental's EventsExecutor: in
        # Kilted's 9.1.2 a node with any timer keeps it spinning at full load, and the timer never fires.
        executor = SingleThreadedExecutor()
        for node in nodes:
            executor.add_node(node)
        executor.spin()
    except _STOPPED:
        pass
    except TddfaError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return EXIT_USER_ERROR
    except Exception:
        # SIGINT while a node is being built invalidates its context: what rclpy raises then is not a failure.
        if rclpy.ok():
            raise
    finally:
        _tear_down(executor, nodes)
    return 0


def _tear_down(executor: Any, nodes: Sequence[Node]) -> None:
    """Stop threads, destroy nodes, shut the context down; a second SIGINT meanwhile (launch sends one) is ignored."""
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
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
