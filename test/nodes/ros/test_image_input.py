from __future__ import annotations

from tddfa_ros.nodes.ros.image_input import StampMatcher


def test_either_order_gives_the_pair_in_stream_order() -> None:
    matcher = StampMatcher(4)
    assert matcher.add(0, 10, "image 10") is None
    assert matcher.add(1, 10, "faces 10") == ("image 10", "faces 10")
    assert matcher.add(1, 20, "faces 20") is None
    assert matcher.add(0, 20, "image 20") == ("image 20", "faces 20")


def test_a_pair_is_given_once() -> None:
    matcher = StampMatcher(4)
    matcher.add(0, 10, "image")
    matcher.add(1, 10, "faces")
    assert matcher.add(1, 10, "faces again") is None


def test_what_came_before_a_pair_is_forgotten() -> None:
    matcher = StampMatcher(4)
    for stamp in (10, 20, 30):
        matcher.add(0, stamp, f"image {stamp}")
    assert matcher.add(1, 20, "faces 20") is not None
    assert matcher.add(1, 10, "faces 10") is None
    assert matcher.add(1, 30, "faces 30") == ("image 30", "faces 30")


def test_only_the_newest_arrivals_are_kept() -> None:
    matcher = StampMatcher(2)
    for stamp in (10, 20, 30):
        matcher.add(0, stamp, stamp)
    assert matcher.add(1, 10, "late") is None
    assert matcher.add(1, 20, "in time") == (20, "in time")


def test_stamps_that_go_back_still_match() -> None:
    matcher = StampMatcher(2)
    for stamp in (100, 110, 5):
        matcher.add(0, stamp, stamp)
    assert matcher.add(1, 5, "faces") == (5, "faces")
