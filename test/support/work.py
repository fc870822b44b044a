"""Importable work functions for worker pools."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tddfa_ros.errors import ImageError, ModelError


def setup() -> Callable[[int], tuple[int, int]]:
    """Square numbers and return the process ID; some numbers fail."""

    def work(item: int) -> tuple[int, int]:
        if item == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        if item == 5:
            os._exit(7)
        if item == 6:
            raise ImageError("six is no image")
        time.sleep(0.02 if item % 2 else 0.0)
        return item * item, os.getpid()

    return work


def setup_without_model() -> Callable[[int], int]:
    """Fail like a setup with a missing model."""
    raise ModelError("there is no such model")


def threads_setup() -> Callable[[object], str | None]:
    """Return the thread variables of the worker."""
    return lambda _: os.environ.get("OMP_NUM_THREADS")


def ray_setup() -> Callable[[int], tuple[int, str]]:
    """Square numbers and return the node of the Ray cluster; the third number kills its worker."""
    import ray

    def work(item: int) -> tuple[int, str]:
        if item == 3:
            os._exit(1)
        time.sleep(0.1)
        return item * item, ray.get_runtime_context().get_node_id()

    return work


def name_unless_deadly(item: Path, found: object, warnings: tuple[str, ...]) -> str:
    """Finish an image in a worker; the file ``deadly`` ends the process."""
    if item.stem == "deadly":
        os._exit(7)
    return item.stem
