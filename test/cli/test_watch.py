"""``tddfa watch`` without ROS: output format, and the error without rclpy."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import click
import pytest

from tddfa_ros.cli import main
from tddfa_ros.cli._table import FACE_HEAD, LINE_HEAD, plain, rows, screen, strongest
from tddfa_ros.cli.watch import Printer


def face(**changed: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "id": "f1",
        "confidence": 0.99,
        "distance": 0.6249,
        "position": [0.0, 0.0, 0.6249],
        "yaw": -12.34,
        "pitch": 5.0,
        "roll": 0.04,
        "expression": {"jawOpen": 0.52, "eyeBlinkLeft": 0.05, "browInnerUp": 0.31},
    }
    return {**values, **changed}


def report(*faces: dict[str, Any], **changed: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "topic": "/face_landmarks",
        "stamp": 1000.25,
        "frame_id": "camera_optical_frame",
        "rate": 29.97,
        "latency_ms": 12.4,
        "faces": list(faces),
    }
    return {**values, **changed}


def test_row_matches_header_columns() -> None:
    (row,) = rows(report(face()))
    assert row.split() == ["f1", "0.62", "m", "-12.3", "5.0", "0.0", "jawOpen", "0.52,", "browInnerUp", "0.31"]  # fmt: skip
    for title, end in (("distance", "0.62 m"), ("yaw", "-12.3"), ("pitch", "5.0"), ("roll", "0.0")):
        assert FACE_HEAD.index(title) + len(title) == row.index(end) + len(end)
    assert FACE_HEAD.index("expressions") == row.index("jawOpen")


def test_piped_line_starts_with_stamp_rate_and_latency() -> None:
    first, second = plain(report(face(), face(id="f2")))
    assert first.split()[:5] == ["1000.250000", "30.0", "Hz", "12", "ms"]
    assert second.split()[5] == "f2"
    assert LINE_HEAD.index("ID") == first.index("f1")
    assert LINE_HEAD.index("latency") + len("latency") == first.index(" ms") + len(" ms")


def test_shows_no_face_and_unknown_values() -> None:
    assert rows(report()) == ["no face"]
    (row,) = rows(report(face(distance=None, yaw=None, expression={"jawOpen": None})))
    assert row.split() == ["f1", "-", "m", "-", "5.0", "0.0"]
    assert plain(report(rate=None))[0].split() == ["1000.250000", "-", "Hz", "12", "ms", "no", "face"]  # fmt: skip


def test_lists_strongest_expressions_first() -> None:
    values = {"a": 0.2, "b": 0.9, "c": 0.09, "d": 0.3, "e": 0.2}
    assert strongest(values, 3) == "b 0.90, d 0.30, a 0.20"
    assert strongest({"c": 0.09}, 3) == ""


def test_table_is_redrawn_in_place_without_wrapping() -> None:
    text, lines = screen(report(face(), face(id="f2")), 0, 40)
    assert lines == 4 and text.count("\n") == 4 and "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 39
    assert text.startswith("/face_landmarks in camera_optical_frame")
    text, lines = screen(report(face()), lines, 100)
    assert text.startswith("\x1b[4A\x1b[J/face_landmarks in camera_optical_frame: 30.0 Hz 12 ms\n")
    assert lines == 3


def test_printer_writes_and_counts_lines(capsys: pytest.CaptureFixture[str]) -> None:
    printer = Printer(as_json=False, count=2)
    assert printer(report(face())) and not printer(report(face()))
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == LINE_HEAD and len(shown) == 3


def test_json_lines_match_reports(capsys: pytest.CaptureFixture[str]) -> None:
    printer = Printer(as_json=True, count=None)
    given = [report(face()), report(rate=None)]
    assert all(printer(item) for item in given)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == given


@pytest.mark.parametrize("missing", ["rclpy", "tddfa_msgs"])
def test_missing_ros_gives_a_hint(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "tddfa_ros.cli.watch.find_spec", lambda name: None if name == missing else real("json")
    )
    assert main(["watch"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: watch needs ROS 2, and this Python has no {missing}: source")
    assert error.count("\n") == 1


def test_once_and_count_are_exclusive() -> None:
    with pytest.raises(click.ClickException, match="one of --once and --count"):
        from tddfa_ros.cli.watch import command

        command.main(["--once", "--count", "3"], standalone_mode=False)
