"""A pool of workers on a Ray cluster (https://docs.ray.io); needs Ray."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from tddfa_ros.errors import DeviceError
from tddfa_ros.jobs.ordered import Outcome, Setup, attempt


class RayPool:
    """A `Pool` of Ray actors, placed by Ray. This package must be installed on every machine.

    Args:
        setup: initializes a worker; see `Setup`.
        address: address of the cluster, ``host:6379``, ``ray://host:10001`` or ``auto``; ignored if this process is connected.
        size: number of actors; None = as many as the cores of the cluster allow.
        threads: number of cores that each actor reserves.

    Raises:
        DeviceError: Ray is not installed, there is no cluster, or it has too few cores.
    """

    def __init__(
        self, setup: Setup, address: str, size: int | None = None, threads: int = 1
    ) -> None:
        self._ray = _connected(address)
        room = int(self._ray.cluster_resources().get("CPU", 0)) // threads
        if room < 1:
            raise DeviceError(f"the Ray cluster at {address} has no {threads} cores for a worker")
        self.size = min(size or room, room)
        self._setup = setup
        self._actor = self._ray.remote(num_cpus=threads)(_Actor)
        self._idle: list[Any] = []
        self._working: dict[Any, tuple[int, Any, Any]] = {}

    @property
    def busy(self) -> int:
        """See `Pool`."""
        return len(self._working)

    def submit(self, number: int, item: Any) -> None:
        """See `Pool`."""
        actor = self._idle.pop() if self._idle else self._actor.remote(self._setup)
        self._working[actor.attempt.remote(item)] = (number, item, actor)

    def wait(self) -> Sequence[tuple[int, Outcome]]:
        """See `Pool`."""
        ready, _ = self._ray.wait(list(self._working), num_returns=1)
        found = []
        for promise in ready:
            number, item, actor = self._working.pop(promise)
            try:
                answer = self._ray.get(promise)
            except self._ray.exceptions.RayError as error:
                self._ray.kill(actor)
                reason = f"the worker on the Ray cluster died ({type(error).__name__})"
                found.append((number, Outcome(item, error=reason)))
                continue
            if isinstance(answer, BaseException):
                raise answer
            self._idle.append(actor)
            found.append((number, answer))
        return found

    def close(self) -> None:
        """See `Pool`; the cluster keeps running."""
        for actor in (*self._idle, *(actor for _, _, actor in self._working.values())):
            self._ray.kill(actor)
        self._idle.clear()
        self._working.clear()


class _Actor:
    """Worker on a machine of the cluster."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._work: Callable[[Any], Any] | None = None

    def attempt(self, item: Any) -> Outcome | Exception:
        """Process one item; return the exception if the worker cannot be set up."""
        try:
            self._work = self._work or self._setup()
        except Exception as error:
            return error
        return attempt(self._work, item)


def _connected(address: str) -> Any:
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError as error:
        raise DeviceError(
            "working on a cluster needs Ray, which is not installed: pip install ray"
        ) from error
    if not ray.is_initialized():
        try:
            ray.init(address=address, logging_level="ERROR", log_to_driver=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise DeviceError(f"there is no Ray cluster at {address}") from error
    return ray
