from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

from tddfa_ros.errors import TddfaError
from tddfa_ros.nodes.ros.throttle import ThrottledLog
from tddfa_ros.sources.image_messages import to_bgr


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


def raised(raise_error: Callable[[], object]) -> Exception:
    try:
        raise_error()
    except TddfaError as error:
        return error
    raise AssertionError


def encoding_of(name: str) -> Exception:
    """The error of an image message with this encoding."""
    message = SimpleNamespace(encoding=name, height=1, width=1, step=1, data=b"0", is_bigendian=0)
    return raised(lambda: to_bgr(message))


def test_errors_raised_at_one_place_are_one_kind_whatever_they_quote() -> None:
    logger = Logger()
    log = ThrottledLog(logger, clock=Time())
    for i in range(1000):
        log.exception("processing an image", encoding_of(f"encoding {chr(97 + i % 26)}{i}"))
    log.exception(
        "processing an image", raised(lambda: to_bgr(SimpleNamespace(format="", data=b"")))
    )
    assert len(logger.lines) == 2
    assert "unknown image encoding 'encoding a0'" in logger.lines[0]
    assert logger.lines[1] == "E a compressed image is empty"


def test_text_from_the_network_is_escaped_and_cut() -> None:
    logger = Logger()
    log = ThrottledLog(logger, clock=Time())
    log.exception("processing an image", encoding_of("\x1b[2J\nfake line\u202e"))
    log.exception("processing an image", encoding_of("x" * 10**6))
    log.error("frame", "frame\x07" * 10**5)
    log.once("topic", "a\rb")
    log.warning_once("c\x9bd")
    assert all(line.isprintable() and len(line) < 2100 for line in logger.lines)
    assert "\\x1b[2J\\nfake line\\u202e" in logger.lines[0]
    assert logger.lines[-2:] == ["I a\\rb", "W c\\x9bd"]


def test_number_of_kinds_is_bounded() -> None:
    logger = Logger()
    log = ThrottledLog(logger, clock=Time())
    for i in range(10_000):
        log.error(f"kind {i}", "text")
        log.once(f"topic {i}", "text")
    assert len(logger.lines) == 257


def test_unexpected_exception_is_logged_with_type() -> None:
    logger = Logger()
    ThrottledLog(logger, clock=Time()).exception("drawing", KeyError("f1"))
    assert logger.lines == ["E unexpected KeyError while drawing: 'f1'"]
