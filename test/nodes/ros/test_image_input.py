from __future__ import annotations

from tddfa_ros.nodes.ros.image_input import StampMatcher


def test_either_order_gives_the_pair_in_stream_order() -> None:
    matcher = StampMatcher(4)
    assert matcher.add(0, 10, "image 10") is None
    assert matcher.add(1, 10, "faces 10") == ("image 10", "faces 10")
    assert matcher.add(1, 20, "faces 20") is None
    assert matcher.add(0, 20, "image 20") == ("image 20", "faces 20")


def test_pair_is_returned_once() -> None:
    matcher = StampMatcher(4)
    matcher.add(0, 10, "image")
    matcher.add(1, 10, "faces")
    assert matcher.add(1, 10, "faces again") is None


def test_matcher_drops_messages_before_pair() -> None:
    matcher = StampMatcher(4)
    for stamp in (10, 20, 30):
        matcher.add(0, stamp, f"image {stamp}")
    assert matcher.add(1, 20, "faces 20") is not None
    assert matcher.add(1, 10, "faces 10") is None
    assert matcher.add(1, 30, "faces 30") == ("image 30", "faces 30")


def test_matcher_drops_oldest_arrivals() -> None:
    matcher = StampMatcher(2)
    for stamp in (10, 20, 30):
        matcher.add(0, stamp, stamp)
    assert matcher.add(1, 10, "late") is None
    assert matcher.add(1, 20, "in time") == (20, "in time")


def test_backward_stamps_match() -> None:
    matcher = StampMatcher(2)
    for stamp in (100, 110, 5):
        matcher.add(0, stamp, stamp)
    assert matcher.add(1, 5, "faces") == (5, "faces")


def test_images_with_standing_stamps_are_paired_with_the_next_result() -> None:
    """face_node gives such images stamps of its receive clock, which the images do not have."""
    for stamp in (0, 100):
        matcher = StampMatcher(4)
        for i in range(6):
            assert matcher.add(0, stamp, f"image {i}") is None
        assert matcher.add(1, 10**18, "faces") == ("image 5", "faces")
        for i in range(1, 3):  # as soon as they advance, by stamp again
            matcher.add(0, stamp + i, f"new {i}")
        assert matcher.add(1, stamp + 1, "faces 1") == ("new 1", "faces 1")
