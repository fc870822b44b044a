"""A pool of worker processes that replaces workers that die."""

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
    """A `Pool` of processes on this machine.

    The main module of the program must be importable: guard its entry point with ``if __name__ == "__main__":``.

    Args:
        setup: initializes a worker; see `Setup`.
        size: number of processes.
        threads: number of OpenMP and BLAS threads in each process.
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
        worker.send(item)
        self._working[number] = worker

    def wait(self) -> Sequence[tuple[int, Outcome]]:
        """See `Pool`."""
        sources = {worker.connection: number for number, worker in self._working.items()}
        found = []
        for ready in wait(list(sources)):
            number = sources[ready]  # type: ignore[index]
            worker = self._working.pop(number)
            outcome, alive = worker.receive()
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
            worker.stop()
        self._idle.clear()
        self._working.clear()


class _Worker:
    """One process and the item it is processing."""

    def __init__(self, setup: Setup, threads: int) -> None:
        # A forked child would inherit the locks of ONNX Runtime's and OpenCV's threads, but not the threads.
        context = multiprocessing.get_context("spawn")
        self.connection, far_end = context.Pipe()
        self._process = context.Process(target=_serve, args=(far_end, setup), daemon=True)
        with _thread_variables(threads):
            self._process.start()
        far_end.close()  # recv() then raises EOFError when the process exits
        self._item: Any = None

    def send(self, item: Any) -> None:
        self._item = item
        with contextlib.suppress(BrokenPipeError):  # the process died; receive() reports it
            self.connection.send(item)

    def receive(self) -> tuple[Outcome, bool]:
        """Return the outcome of the item, and whether the process is alive."""
        try:
            answer = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self.stop()
            return Outcome(self._item, error=_exit_reason(self._process.exitcode)), False
        if isinstance(answer, BaseException):
            raise answer
        return replace(answer, item=self._item), True

    def stop(self) -> None:
        """Wait briefly for the process to exit, then terminate it."""
        self.connection.close()
        self._process.join(_SECONDS_TO_END)
        self._process.terminate()
        self._process.join()


def _serve(connection: Connection, setup: Setup) -> None:
    """Run a worker process: set up, then process items until the parent closes the connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    work: Callable[[Any], Any] | None = None
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            item = connection.recv()
            try:
                work = work or setup()
            except Exception as error:
                connection.send(error)
                return
            # The parent has the item, which may be a large image.
            connection.send(replace(attempt(work, item), item=None))


def _exit_reason(code: int | None) -> str:
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            name = signal.Signals(-code).name
            hint = " (is the machine's memory full?)" if name == "SIGKILL" else ""
            return f"the worker process was ended by {name}{hint}"
    return f"the worker process ended with exit code {code}"


@contextlib.contextmanager
def _thread_variables(threads: int) -> Iterator[None]:
    """Set the OpenMP and BLAS thread variables for processes started in this context."""
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
