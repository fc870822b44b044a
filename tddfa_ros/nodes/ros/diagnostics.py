"""Diagnostics of a node: frame rate, latency, dropped frames, device."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile

from tddfa_ros.nodes.shared_options import DiagnosticsOptions

T = TypeVar("T")

OTHER_CLOCK_MS = 60e3
"""A larger latency means that stamps and clock have no common time: a bag without simulated time, or an unsynchronized camera."""


@dataclass(frozen=True)
class Snapshot:
    """Statistics of the last few seconds; times in ms, NaN where nothing was measured."""

    fps: float
    faces: int
    received: int
    processed: int
    dropped: int
    late: int
    failed: int
    drop_ratio: float
    failed_ratio: float
    latency_p50: float
    latency_p95: float
    latency_max: float
    stages: Mapping[str, float]
    silence: float
    last_error: str


@dataclass
class _Window(Generic[T]):
    """Entries (time, value) of the last ``span`` seconds, newest last."""

    span: float
    entries: deque[tuple[float, T]] = field(default_factory=deque)

    def add(self, now: float, value: T) -> None:
        self.entries.append((now, value))
        self.trim(now)

    def trim(self, now: float) -> None:
        while self.entries and now - self.entries[0][0] > self.span:
            self.entries.popleft()


class Statistics:
    """Thread-safe frame statistics over a sliding window.

    Args:
        span: length of the window, s.
        clock: monotonic clock, s.
    """

    def __init__(self, span: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._span = span
        self._start = self._last_received = clock()
        self._arrivals: _Window[None] = _Window(span)
        self._drops: _Window[None] = _Window(span)
        self._frames: _Window[tuple[float, dict[str, float], int]] = _Window(span)
        self._failures: _Window[None] = _Window(span)
        self._received = self._processed = self._dropped = self._late = self._failed = 0
        self._last_error = ""

    def received(self, dropped: bool) -> None:
        """Count a received frame; ``dropped`` if it replaced an unprocessed one."""
        with self._lock:
            now = self._last_received = self._clock()
            self._received += 1
            self._arrivals.add(now, None)
            if dropped:
                self._dropped += 1
                self._drops.add(now, None)

    def late(self) -> None:
        """Count a frame that was dropped on arrival because it is older than the newest one, or has the same stamp."""
        with self._lock:
            self._last_received = self._clock()
            self._late += 1

    def processed(self, latency: float, stages: Mapping[str, float], faces: int) -> None:
        """Count a processed frame, published ``latency`` s after its stamp, with ``stages`` in ms."""
        with self._lock:
            self._processed += 1
            self._frames.add(self._clock(), (latency, dict(stages), faces))

    def failed(self, message: str) -> None:
        """Count a frame that could not be processed."""
        with self._lock:
            self._failed += 1
            self._failures.add(self._clock(), None)
            self._last_error = message

    def snapshot(self) -> Snapshot:
        """Summarize the last ``span`` seconds, and totals since the start."""
        with self._lock:
            now = self._clock()
            windows: tuple[_Window[Any], ...] = (
                self._arrivals,
                self._drops,
                self._frames,
                self._failures,
            )
            for window in windows:
                window.trim(now)
            frames = [value for _, value in self._frames.entries]
            arrivals, drops = len(self._arrivals.entries), len(self._drops.entries)
            failures = len(self._failures.entries)
            span = max(min(self._span, now - self._start), 1e-3)
            latencies = 1e3 * np.array([f[0] for f in frames]) if frames else np.array([np.nan])
            return Snapshot(
                fps=len(frames) / span,
                faces=frames[-1][2] if frames else 0,
                received=self._received,
                processed=self._processed,
                dropped=self._dropped,
                late=self._late,
                failed=self._failed,
                drop_ratio=drops / arrivals if arrivals else 0.0,
                failed_ratio=failures / (failures + len(frames)) if failures else 0.0,
                latency_p50=float(np.percentile(latencies, 50)),
                latency_p95=float(np.percentile(latencies, 95)),
                latency_max=float(latencies.max()),
                stages=_mean_stages([f[1] for f in frames]),
                silence=now - self._last_received,
                last_error=self._last_error,
            )


class Diagnostics:
    """Publishes a DiagnosticStatus once per second.

    Args:
        node: node whose status is published.
        statistics: frame statistics of the node.
        options: returns the current thresholds.
        inputs: resolved names of the input topics.
        facts: returns further key-value pairs, such as execution provider and camera model.
        state: returns why no frames are processed ("disabled", "idle"), or "" while they should be.
        warnings: returns persistent warnings, such as a requested GPU that is not used.
    """

    def __init__(
        self,
        node: Node,
        statistics: Statistics,
        *,
        options: Callable[[], DiagnosticsOptions],
        inputs: Sequence[str],
        facts: Callable[[], Mapping[str, str]] = dict,
        state: Callable[[], str] = str,
        warnings: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._node = node
        self._statistics = statistics
        self._options, self._facts, self._state, self._warnings = (
            options,
            facts,
            state,
            warnings,
        )
        self._inputs = ", ".join(inputs)
        self._publisher = node.create_publisher(
            DiagnosticArray, "/diagnostics", QoSProfile(depth=10)
        )
        # A steady clock reports silence also with use_sim_time and a paused bag.
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(1.0, self.publish, clock=clock)

    def publish(self) -> None:
        """Publish the status now."""
        message = DiagnosticArray(status=[self.status()])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)

    def status(self) -> DiagnosticStatus:
        """Build the status: level, summary and all values."""
        now = self._statistics.snapshot()
        state, facts = self._state(), self._facts()
        problems = list(self._warnings())
        if self._clock_missing():
            problems.append("use_sim_time is set, but there is no /clock")
        if not state:
            problems += find_problems(now, self._options(), self._inputs)
        level = DiagnosticStatus.WARN if problems else DiagnosticStatus.OK
        if now.failed_ratio == 1.0:
            level = DiagnosticStatus.ERROR
        summary = state or f"{now.fps:.1f} fps, {now.faces} faces, {now.latency_p50:.0f} ms"
        return DiagnosticStatus(
            level=level,
            name=self._node.get_fully_qualified_name().lstrip("/"),
            hardware_id=facts.get("provider", ""),
            message="; ".join(problems) if problems else summary,
            values=[KeyValue(key=k, value=v) for k, v in (_values(now) | dict(facts)).items()],
        )

    def _clock_missing(self) -> bool:
        simulated = self._node.get_parameter("use_sim_time").value
        return bool(simulated) and self._node.get_clock().now().nanoseconds == 0


def find_problems(now: Snapshot, limits: DiagnosticsOptions, inputs: str) -> list[str]:
    """Describe each exceeded threshold in a short phrase."""
    if now.silence > limits.silence:
        what = "nothing received" if not now.received else f"no messages for {now.silence:.0f} s"
        return [f"{what} on {inputs}"]
    problems = []
    if now.processed and now.fps < limits.min_fps:
        problems.append(f"low frame rate {now.fps:.1f} fps")
    if abs(now.latency_p50) > OTHER_CLOCK_MS:
        side = "behind" if now.latency_p50 > 0 else "ahead of"
        problems.append(
            f"stamps are {abs(now.latency_p50) / 1e3:.0f} s {side} the clock: replay a bag with "
            "'ros2 bag play --clock' and use_sim_time, or synchronize the clocks"
        )
    elif now.latency_p50 > limits.max_latency_ms:
        problems.append(f"high median latency {now.latency_p50:.0f} ms")
    if now.drop_ratio > limits.max_drop_ratio:
        problems.append(f"{100 * now.drop_ratio:.0f} % of frames dropped")
    if now.failed_ratio == 1.0:
        problems.append(f"all frames failed: {now.last_error}")
    elif now.failed_ratio > 0:
        problems.append(f"{100 * now.failed_ratio:.0f} % of frames failed: {now.last_error}")
    return problems


def _values(now: Snapshot) -> dict[str, str]:
    values = {
        "fps": f"{now.fps:.2f}",
        "faces": str(now.faces),
        "frames received": str(now.received),
        "frames processed": str(now.processed),
        "frames dropped": str(now.dropped),
        "frames late": str(now.late),
        "frames failed": str(now.failed),
        "drop ratio": f"{now.drop_ratio:.3f}",
        "latency p50 ms": f"{now.latency_p50:.1f}",
        "latency p95 ms": f"{now.latency_p95:.1f}",
        "latency max ms": f"{now.latency_max:.1f}",
    }
    values |= {f"{stage} ms": f"{mean:.2f}" for stage, mean in now.stages.items()}
    if now.last_error:
        values["last error"] = now.last_error
    return values


def _mean_stages(frames: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Average each stage over the frames in which it ran (detection does not run in every frame)."""
    names = dict.fromkeys(name for frame in frames for name in frame)
    return {n: float(np.mean([f[n] for f in frames if n in f])) for n in names}
