from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from tddfa_ros.background import ReadAhead, WriteBehind, map_behind


def wait_until(condition) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_read_ahead_keeps_order_and_is_bounded() -> None:
    produced: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(50):
            produced.append(number)
            yield number

    reader = ReadAhead(numbers(), 3)
    items = iter(reader)
    assert next(items) == 0
    wait_until(lambda: len(produced) == 5)  # one taken, three waiting, one in the thread's hands
    time.sleep(0.3)
    assert len(produced) == 5
    assert list(items) == list(range(1, 50))
    reader.close()


def test_read_ahead_raises_after_the_items_before_the_error() -> None:
    def numbers() -> Iterator[int]:
        yield 1
        raise ValueError("damaged")

    reader = ReadAhead(numbers(), 2)
    items = iter(reader)
    assert next(items) == 1
    with pytest.raises(ValueError, match="damaged"):
        next(items)


def test_read_ahead_ends_its_thread_when_closed_early() -> None:
    before = threading.active_count()
    reader = ReadAhead(iter(range(1000)), 2)
    assert next(iter(reader)) == 0
    reader.close()
    assert threading.active_count() == before


def test_write_behind_keeps_order_and_is_bounded() -> None:
    gate, written = threading.Event(), []
    writer = WriteBehind(2)
    writer.submit(gate.wait)
    threading.Timer(0.3, gate.set).start()
    for number in range(10):  # blocks at the third until the gate opens
        writer.submit(lambda number=number: written.append(number))
        assert number < 3 or gate.is_set()
    writer.close()
    assert written == list(range(10))


def test_write_behind_raises_the_first_error_and_drops_what_follows() -> None:
    written = []

    def fail() -> None:
        raise OSError("disk full")

    writer = WriteBehind(4)
    writer.submit(fail)
    writer._queue.put(lambda: written.append(1))
    with pytest.raises(OSError, match="disk full"):
        writer.close()
    with pytest.raises(OSError, match="disk full"):
        writer.submit(lambda: None)
    assert written == []


def test_write_behind_cancels_what_waits() -> None:
    gate, written = threading.Event(), []
    writer = WriteBehind(4)
    writer.submit(gate.wait)
    writer.submit(lambda: written.append(1))
    threading.Timer(0.3, gate.set).start()
    writer.cancel()
    assert gate.is_set() and written == []


def test_map_behind_keeps_order_and_overlaps_with_its_source() -> None:
    threads = set()
    ahead: list[int] = []

    def double(number: int) -> int:
        threads.add(threading.current_thread().name)
        return 2 * number

    def numbers() -> Iterator[int]:
        for number in range(9):
            ahead.append(number)
            yield number

    results = map_behind(double, numbers(), 3)
    assert next(results) == 0
    assert len(ahead) <= 4
    assert list(results) == [2 * n for n in range(1, 9)]
    assert threading.current_thread().name not in threads


def test_map_behind_raises_the_error_of_its_function_and_source() -> None:
    assert list(map_behind(str, [], 2)) == []
    with pytest.raises(ZeroDivisionError):
        list(map_behind(lambda number: 1 // number, [1, 0, 2], 2))

    def broken() -> Iterator[int]:
        yield 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(map_behind(str, broken(), 4))
