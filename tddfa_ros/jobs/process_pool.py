"""A pool of processes on this machine that survives the death of any of them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from typing import Any

from tddfa_ros.jobs.ordered import Outcome, Setup, attempt

_SECONDS_TO_END = 5.0
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class ProcessPool:
    """A `Pool` of processes. A program that uses it must be importable: guard its start with ``__name__ == "__main__"``.

    Args:
        setup: makes the work; see `Setup`.
        size: number of processes.
        threads: of the arithmetic libraries in each process.
    """

    def __init__(self, setup: Setup, size: int, threads: int = 1) -> None:
        self.size = size
        self._setup = setup
        self._threads = threads
        self._idle: list[_Worker] = []
        self._working: dict[int, _Worker] = {}

    @property
    def busy(self) -> int:
        """See `Pool`."""
        return len(self._working)

    def submit(self, number: int, item: Any) -> None:
        """See `Pool`."""
        worker = self._idle.pop() if self._idle else _Worker(self._setup, self._threads)
        worker.give(item)
        self._working[number] = worker

    def wait(self) -> Sequence[tuple[int, Outcome]]:
        """See `Pool`."""
        sources = {worker.connection: number for number, worker in self._working.items()}
        found = []
        for ready in wait(list(sources)):
            number = sources[ready]  # type: ignore[index]
            worker = self._working.pop(number)
            outcome, alive = worker.take()
            if alive:
                self._idle.append(worker)
            found.append((number, outcome))
        return found

    def close(self) -> None:
        """See `Pool`."""
        workers = [*self._idle, *self._working.values()]
        for worker in workers:
            worker.connection.close()
        for worker in workers:
            worker.end()
        self._idle.clear()
        self._working.clear()


class _Worker:
    """One process and the item it has."""

    def __init__(self, setup: Setup, threads: int) -> None:
        # Forked children inherit locks of ONNX Runtime's and OpenCV's threads, but not the threads.
        context = multiprocessing.get_context("spawn")
        self.connection, far_end = context.Pipe()
        self._process = context.Process(target=_serve, args=(far_end, setup), daemon=True)
        with _thread_variables(threads):
            self._process.start()
        far_end.close()  # so that the end of the process is the end of the stream
        self._item: Any = None

    def give(self, item: Any) -> None:
        self._item = item
        with contextlib.suppress(BrokenPipeError):  # it died; take() will tell
            self.connection.send(item)

    def take(self) -> tuple[Outcome, bool]:
        """The outcome that has come, and whether the process lives."""
        try:
            answer = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self.end()
            return Outcome(self._item, error=_obituary(self._process.exitcode)), False
        if isinstance(answer, BaseException):
            raise answer
        return replace(answer, item=self._item), True

    def end(self) -> None:
        """Let the process finish what it has, for a moment."""
        self.connection.close()
        self._process.join(_SECONDS_TO_END)
        self._process.terminate()
        self._process.join()


def _serve(connection: Connection, setup: Setup) -> None:
    """What a process does: set up, then answer item after item until the other side closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    work: Callable[[Any], Any] | None = None
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            item = connection.recv()
            try:
                work = work or setup()
            except Exception as error:
                connection.send(error)
                return
            # The other side knows the item, which may be a large image.
            connection.send(replace(attempt(work, item), item=None))


def _obituary(code: int | None) -> str:
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            name = signal.Signals(-code).name
            hint = " (is the machine's memory full?)" if name == "SIGKILL" else ""
            return f"the worker process was ended by {name}{hint}"
    return f"the worker process ended with exit code {code}"


@contextlib.contextmanager
def _thread_variables(threads: int) -> Iterator[None]:
    """Set what the arithmetic libraries of processes that are started meanwhile read."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
