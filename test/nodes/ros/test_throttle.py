from __future__ import annotations

from tddfa_ros.errors import ImageError
from tddfa_ros.nodes.ros.throttle import ThrottledLog


class Logger:
    """Keeps what is logged; stands in for rclpy's logger, which writes to the terminal."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def error(self, line: str) -> None:
        self.lines.append(f"E {line}")

    def warning(self, line: str) -> None:
        self.lines.append(f"W {line}")

    def info(self, line: str) -> None:
        self.lines.append(f"I {line}")


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_repeated_error_is_suppressed_and_counted() -> None:
    logger, clock = Logger(), Time()
    log = ThrottledLog(logger, period=10.0, clock=clock)
    assert log.error("step", "wrong step")
    for clock.now in (1.0, 2.0, 9.0):
        assert not log.error("step", "wrong step")
    clock.now = 10.5
    assert log.error("step", "wrong step")
    assert logger.lines == ["E wrong step", "E wrong step (repeated 3 times since)"]


def test_kinds_are_throttled_separately() -> None:
    logger = Logger()
    log = ThrottledLog(logger, clock=Time())
    log.error("a", "one")
    log.warning("b", "two")
    assert logger.lines == ["E one", "W two"]


def test_once_logs_once() -> None:
    logger, clock = Logger(), Time()
    log = ThrottledLog(logger, period=1.0, clock=clock)
    log.once("fov", "assumed")
    clock.now = 1000.0
    log.once("fov", "assumed")
    assert log.warning_once("no GPU") and not log.warning_once("no GPU")
    assert logger.lines == ["I assumed", "W no GPU"]


def test_messages_differing_in_numbers_are_one_kind() -> None:
    logger = Logger()
    log = ThrottledLog(logger, clock=Time())
    log.exception("processing an image", ImageError("the image has 10 bytes instead of 921600"))
    log.exception("processing an image", ImageError("the image has 12 bytes instead of 921600"))
    log.exception("processing an image", ImageError("unknown encoding 'x'"))
    assert logger.lines == [
        "E the image has 10 bytes instead of 921600",
        "E unknown encoding 'x'",
    ]


def test_unexpected_exception_is_logged_with_type() -> None:
    logger = Logger()
    ThrottledLog(logger, clock=Time()).exception("drawing", KeyError("f1"))
    assert logger.lines == ["E unexpected KeyError while drawing: 'f1'"]
