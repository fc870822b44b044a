from __future__ import annotations

import threading

import pytest

from tddfa_ros.nodes.ros.mailbox import Mailbox, Worker

WAIT = 5.0


def test_latest_item_replaces_older_and_counts() -> None:
    box: Mailbox[int] = Mailbox()
    assert [box.put(item) for item in (1, 2, 3)] == [False, True, True]
    assert box.take() == 3
    assert box.replaced == 2
    assert box.take(timeout=0.01) is None


def test_clear_does_not_count_as_replaced() -> None:
    box: Mailbox[int] = Mailbox()
    box.put(1)
    box.clear()
    assert box.take(timeout=0.01) is None
    assert box.replaced == 0


def test_close_wakes_a_waiting_consumer() -> None:
    box: Mailbox[int] = Mailbox()
    taken: list[int | None] = []
    consumer = threading.Thread(target=lambda: taken.append(box.take()))
    consumer.start()
    box.close()
    consumer.join(WAIT)
    assert taken == [None]
    box.put(1)
    assert box.take() is None


def test_slow_worker_skips_to_latest_item() -> None:
    begun, go, done = threading.Event(), threading.Event(), threading.Event()
    handled: list[int] = []

    def handle(item: int) -> None:
        handled.append(item)
        begun.set()
        assert go.wait(WAIT)
        if item == 9:
            done.set()

    worker = Worker(handle, pytest.fail)
    worker.put(0)
    assert begun.wait(WAIT)
    for item in range(1, 10):
        worker.put(item)
    go.set()
    assert done.wait(WAIT)
    assert handled == [0, 9]
    assert worker.stop()


def test_worker_survives_exception() -> None:
    errors: list[Exception] = []
    failed, done = threading.Event(), threading.Event()

    def handle(item: int) -> None:
        if item == 0:
            raise ValueError("bad frame")
        done.set()

    def on_error(error: Exception) -> None:
        errors.append(error)
        failed.set()

    worker = Worker(handle, on_error)
    worker.put(0)
    assert failed.wait(WAIT)
    worker.put(1)
    assert done.wait(WAIT)
    assert [str(e) for e in errors] == ["bad frame"]
    assert worker.stop()
    assert not worker.alive


def test_errors_during_stop_are_not_reported() -> None:
    errors: list[Exception] = []
    begun, go = threading.Event(), threading.Event()

    def handle(_: int) -> None:
        begun.set()
        go.wait(WAIT)
        raise RuntimeError("publisher is gone")

    worker = Worker(handle, errors.append)
    worker.put(0)
    assert begun.wait(WAIT)
    assert not worker.stop(timeout=0.01)
    go.set()
    assert worker.stop()
    assert errors == []
