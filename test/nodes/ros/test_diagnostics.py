from __future__ import annotations

import math

import pytest

pytest.importorskip("rclpy")

import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from rclpy.parameter import Parameter

from tddfa_ros.nodes.ros.diagnostics import Diagnostics, Statistics, find_problems
from tddfa_ros.nodes.shared_options import DiagnosticsOptions

LIMITS = DiagnosticsOptions(min_fps=5.0, max_latency_ms=100.0, max_drop_ratio=0.5, silence=3.0)


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def run(
    statistics: Statistics,
    clock: Time,
    seconds: float,
    *,
    hz: float = 20.0,
    latency: float = 0.02,
    drop_each: int = 0,
) -> None:
    for i in range(round(seconds * hz)):
        clock.now += 1 / hz
        dropped = bool(drop_each) and i % drop_each == 0
        statistics.received(dropped)
        statistics.processed(latency, {"regress": 4.0}, faces=2)


def test_rates_and_latencies_are_those_of_the_window() -> None:
    clock = Time()
    statistics = Statistics(span=5.0, clock=clock)
    run(statistics, clock, 10.0, hz=10.0, latency=0.5)
    run(statistics, clock, 6.0, hz=20.0, latency=0.02, drop_each=4)
    now = statistics.snapshot()
    assert now.fps == pytest.approx(20.0, rel=0.02)
    assert now.latency_p50 == pytest.approx(20.0)
    assert now.latency_max == pytest.approx(20.0)
    assert now.drop_ratio == pytest.approx(0.25, abs=0.01)
    assert (now.received, now.processed, now.dropped, now.faces) == (220, 220, 30, 2)
    assert dict(now.stages) == {"regress": 4.0}


def test_stage_times_average_over_frames_that_ran_them() -> None:
    clock = Time()
    statistics = Statistics(clock=clock)
    statistics.processed(0.01, {"regress": 2.0, "detect": 12.0}, faces=1)
    statistics.processed(0.01, {"regress": 4.0}, faces=1)
    assert dict(statistics.snapshot().stages) == {"regress": 3.0, "detect": 12.0}


def test_statistics_without_frames() -> None:
    now = Statistics(clock=Time()).snapshot()
    assert now.fps == 0.0
    assert math.isnan(now.latency_p50)


def test_a_healthy_stream_has_no_problems() -> None:
    clock = Time()
    statistics = Statistics(clock=clock)
    run(statistics, clock, 6.0)
    assert find_problems(statistics.snapshot(), LIMITS, "/image_raw") == []


def test_silence_warning_names_topic() -> None:
    clock = Time()
    statistics = Statistics(clock=clock)
    clock.now += 4.0
    assert find_problems(statistics.snapshot(), LIMITS, "/image_raw") == [
        "nothing received on /image_raw"
    ]
    run(statistics, clock, 1.0)
    clock.now += 7.0
    assert find_problems(statistics.snapshot(), LIMITS, "/image_raw") == [
        "no messages for 7 s on /image_raw"
    ]


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ({"hz": 2.0}, "low frame rate 2."),
        ({"latency": 0.25}, "high median latency 250 ms"),
        ({"drop_each": 1}, "100 % of frames dropped"),
    ],
)
def test_each_exceeded_threshold_is_reported(case: dict[str, float], expected: str) -> None:
    clock = Time()
    statistics = Statistics(clock=clock)
    run(statistics, clock, 6.0, **case)
    problems = find_problems(statistics.snapshot(), LIMITS, "/image_raw")
    assert len(problems) == 1
    assert problems[0].startswith(expected)


def test_all_frames_failing_is_a_problem() -> None:
    clock = Time()
    statistics = Statistics(clock=clock)
    statistics.received(False)
    statistics.failed("the image is truncated")
    problems = find_problems(statistics.snapshot(), LIMITS, "/image_raw")
    assert problems == ["all frames failed: the image is truncated"]


@pytest.mark.parametrize(("latency", "side"), [(3.6e6, "behind"), (-500.0, "ahead of")])
def test_stamps_of_another_clock_are_named(latency: float, side: str) -> None:
    clock = Time()
    statistics = Statistics(clock=clock)
    run(statistics, clock, 2.0, latency=latency)
    (problem,) = find_problems(statistics.snapshot(), LIMITS, "/image_raw")
    assert problem.startswith(f"stamps are {abs(latency):.0f} s {side} the clock")
    assert "latency" not in problem


def test_failed_frames_of_the_last_seconds_are_a_problem() -> None:
    clock = Time()
    statistics = Statistics(span=5.0, clock=clock)
    run(statistics, clock, 2.0)
    for _ in range(10):
        statistics.failed("wrong step")
    now = statistics.snapshot()
    assert now.failed_ratio == pytest.approx(0.2)
    assert find_problems(now, LIMITS, "/image_raw") == ["20 % of frames failed: wrong step"]
    run(statistics, clock, 6.0)
    assert statistics.snapshot().failed == 10
    assert find_problems(statistics.snapshot(), LIMITS, "/image_raw") == []


def test_late_frames_are_counted_and_are_not_silence() -> None:
    clock = Time()
    statistics = Statistics(clock=clock)
    run(statistics, clock, 1.0)
    clock.now += 2.0
    statistics.late()
    now = statistics.snapshot()
    assert (now.late, now.silence) == (1, 0.0)


@pytest.mark.parametrize("simulated", [True, False])
def test_missing_simulated_clock_is_named(simulated: bool) -> None:
    context = rclpy.Context()
    rclpy.init(args=[], context=context)
    clock = Parameter("use_sim_time", value=simulated)
    node = Node("diagnostics_test", context=context, parameter_overrides=[clock])
    try:
        statistics = Statistics()
        statistics.received(False)
        statistics.processed(0.01, {}, faces=0)
        diagnostics = Diagnostics(
            node, statistics, options=DiagnosticsOptions, inputs=["/image_raw"]
        )
        status = diagnostics.status()
        assert ("there is no /clock" in status.message) == simulated
        assert status.level == (DiagnosticStatus.WARN if simulated else DiagnosticStatus.OK)
        for _ in range(3):
            statistics.failed("wrong step")
        assert "75 % of frames failed: wrong step" in diagnostics.status().message
    finally:
        node.destroy_node()
        context.try_shutdown()


def test_only_failed_frames_are_an_error() -> None:
    context = rclpy.Context()
    rclpy.init(args=[], context=context)
    node = Node("diagnostics_test", context=context)
    try:
        statistics = Statistics()
        statistics.received(False)
        statistics.failed("wrong step")
        diagnostics = Diagnostics(
            node, statistics, options=DiagnosticsOptions, inputs=["/image_raw"]
        )
        assert diagnostics.status().level == DiagnosticStatus.ERROR
        assert "all frames failed: wrong step" in diagnostics.status().message
    finally:
        node.destroy_node()
        context.try_shutdown()
