from __future__ import annotations

import itertools

import pytest

pytest.importorskip("tddfa_msgs", reason="tddfa_msgs is not built: run through `make test`")

from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image

from tddfa_ros.nodes.convert.messages import stamp_ns
from tddfa_ros.nodes.ros.stamps import REPEATS, StampCheck

SECOND = 1_000_000_000
FRAME = SECOND // 30


class Clock:
    """Receive clock, one frame ahead at each reading."""

    def __init__(self, now: int = 1_700_000_000 * SECOND) -> None:
        self.now = now

    def __call__(self) -> int:
        self.now += FRAME
        return self.now


def test_advancing_stamps_are_kept() -> None:
    check = StampCheck(Clock())
    stamps = [5 * SECOND + i * FRAME for i in range(50)]
    assert [check.check(s) for s in stamps] == stamps
    assert (check.late, check.standing) == (0, False)


@pytest.mark.parametrize("by", [1, FRAME, SECOND - 1])
def test_late_message_is_dropped_and_counted(by: int) -> None:
    check = StampCheck(Clock())
    assert check.check(9 * SECOND) == 9 * SECOND
    assert check.check(9 * SECOND - by) is None
    assert check.check(9 * SECOND + FRAME) == 9 * SECOND + FRAME
    assert check.late == 1


def test_jump_back_is_accepted() -> None:
    check = StampCheck(Clock())
    check.check(9 * SECOND)
    assert check.check(8 * SECOND) == 8 * SECOND
    assert check.check(8 * SECOND + FRAME) == 8 * SECOND + FRAME
    assert check.late == 0


def test_duplicate_is_dropped() -> None:
    check = StampCheck(Clock())
    given = [check.check(s) for s in (SECOND, SECOND, SECOND + FRAME, SECOND + FRAME)]
    assert given == [SECOND, None, SECOND + FRAME, None]
    assert (check.late, check.standing) == (2, False)


@pytest.mark.parametrize("stamp", [0, 77 * SECOND])
def test_constant_stamps_are_replaced_by_the_receive_clock(stamp: int) -> None:
    clock = Clock()
    check = StampCheck(clock)
    given = [check.check(stamp) for _ in range(20)]
    dropped = 0 if stamp == 0 else REPEATS - 1
    used = given[dropped + 1 :]
    assert check.standing
    assert check.late == dropped
    assert None not in used
    assert all(b > a for a, b in itertools.pairwise(used))
    assert used[-1] == clock.now


def test_stamps_are_used_again_once_they_advance() -> None:
    check = StampCheck(Clock())
    for _ in range(10):
        check.check(0)
    given = [check.check(SECOND + i * FRAME) for i in range(5)]
    assert given[-1] == SECOND + 4 * FRAME
    assert not check.standing


def test_whole_seconds_at_30_hz_count_as_standing() -> None:
    check = StampCheck(Clock())
    given = [check.check((100 + i // 30) * SECOND) for i in range(120)]
    used = [g for g in given if g is not None][1:]
    assert check.standing
    assert all(b > a for a, b in itertools.pairwise(used))


def test_receive_clock_without_simulated_time() -> None:
    """use_sim_time without /clock: the clock of the node is 0, and still."""
    check = StampCheck(lambda: 0)
    first, second = check.check(0), check.check(0)
    assert first is not None and second is not None
    assert 0 < first < second


def test_accept_replaces_only_standing_stamps() -> None:
    check = StampCheck(Clock())
    image = Image()
    image.header.stamp = Time(sec=3, nanosec=7)
    assert check.accept(image)
    assert stamp_ns(image.header.stamp) == 3 * SECOND + 7
    assert not check.accept(image)
    image.header.stamp = Time()
    assert check.accept(image)
    assert stamp_ns(image.header.stamp) > 1_700_000_000 * SECOND
